"""Build the site of the documentation: `build/site`, with zensical (`make docs` installs it).

Pages are written for a forge, which has the whole tree beside them. So they are first copied to `build/docs`
as the site needs them: the README is its first page, files that pages lead to come along, the list of
decisions is made of their titles, and marks above blocks become their captions.
"""

import posixpath
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.pages import OUTER, ROOT, broken, linked, pages, parts, read, target, title

BUILD, SITE, SETTINGS = ROOT / "build" / "docs", ROOT / "build" / "site", ROOT / "zensical.toml"
DECISIONS = "docs/decisions"
_MARKED = re.compile(r"^<!-- (?P<kind>needs|quick start): (?P<what>.+) -->\n\Z", re.MULTILINE)
_LISTED, _TABLED = re.compile(r"^([-*+]|\d+\.) "), re.compile(r"^\|")


def named() -> list[str]:
    """The pages that the site's navigation names, in its order."""

    def leaves(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for one in entry.values() if isinstance(entry, dict) else entry:
                yield from leaves(one)

    return list(leaves(tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["project"]["nav"]))


def placed(page: str) -> str:
    """Where a page or file of the project lies on the site."""
    if page == "README.md":
        return "index.md"
    if page.startswith("docs/"):
        return page.removeprefix("docs/")
    # Names with a dot before them are left out of sites.
    return page if page in OUTER else f"files/{page}".replace("/.", "/")


def without_place() -> list[str]:
    """Pages that no reader would find: neither named in the navigation nor in the list of decisions."""
    known = {*named(), *(placed(page) for page in pages() if page.startswith(f"{DECISIONS}/"))}
    return [page for page in pages() if placed(page) not in known]


def absent() -> list[str]:
    """Pages that the navigation names and nobody wrote."""
    return sorted({*named()} - {placed(page) for page in pages()} - {"decisions/index.md"})


class Stage:
    """The copies in `folder`, until nothing is left that a page leads to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting = [*pages(), *self._beside()]
        self._seen: set[str] = set()

    def run(self) -> None:
        while self._waiting:
            path = self._waiting.pop()
            if path in self._seen:
                continue
            self._seen.add(path)
            copy = self._folder / placed(path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.endswith(".md"):
                copy.write_text(self._page(path), encoding="utf-8")
            else:
                shutil.copyfile(ROOT / path, copy)
        (self._folder / "decisions" / "index.md").write_text(_decisions(), encoding="utf-8")

    def _beside(self) -> list[str]:
        files = (path for path in (ROOT / "docs").rglob("*") if path.is_file() and path.suffix != ".md")
        return [path.relative_to(ROOT).as_posix() for path in files]

    def _page(self, page: str) -> str:
        made, caption = "", ""
        for fenced, text in parts(read(page)):
            if fenced:
                made += re.sub(r"^( *```+)([\w+-]*)", rf"\1\2{caption}", text, count=1)
            else:
                mark = _MARKED.search(text)
                needs = "needs " if mark and mark["kind"] == "needs" else ""
                caption = f' title="{needs}{mark["what"]}"' if mark else ""
                prose = linked(_MARKED.sub("", text), lambda *link: self._link(page, *link))
                made += spaced(prose)
        return made

    def _link(self, page: str, text: str, link: str) -> str:
        if re.match(r"[a-z]+:", link):
            return f"[{text}]({link})"
        path, anchor = target(page, link)
        if path == DECISIONS:
            path = f"{DECISIONS}/index.md"
        elif (ROOT / path).is_dir():
            return text  # nobody can look into it here
        else:
            self._waiting.append(path)
        to = posixpath.relpath(placed(path), posixpath.dirname(placed(page)) or ".")
        return f"[{text}]({to}{'#' if anchor else ''}{anchor})"


def spaced(prose: str) -> str:
    """An empty line before lists and tables: Python's Markdown wants it, forges do not."""
    made: list[str] = []
    for line in prose.splitlines(keepends=True):
        above = made[-1] if made else "\n"
        for begins in (_LISTED, _TABLED):
            if begins.match(line) and above.strip() and not begins.match(above) and above[0] not in " #":
                made.append("\n")
        made.append(line)
    return "".join(made)


def _decisions() -> str:
    found = [page for page in pages() if page.startswith(f"{DECISIONS}/")]
    lines = [f"- [{title(page)}]({posixpath.basename(page)})" for page in found]
    said = "Each is a page: what was decided, why, and what else there was."
    return "\n".join(["# Decisions", "", said, "", *lines, ""])


def foreign() -> list[str]:
    """What pages would ask other hosts for. Links that a reader follows are none of it."""
    asked = re.compile(
        r"<(?:script|img|iframe|source)[^>]* src=.?https?:[^>]*>|<link[^>]* href=.?https?:[^>]*>"
    )
    found = ((path, asked.search(path.read_text(encoding="utf-8"))) for path in SITE.rglob("*.html"))
    return [f"{path.relative_to(ROOT)}: {match[0]}" for path, match in found if match]


def main(zensical: str) -> int:
    """`zensical`: its command. Exit status 1 where a link leads nowhere or a page has no place."""
    wrong = [*broken(), *(f"{page}: zensical.toml gives it no place" for page in without_place())]
    wrong += [f"zensical.toml: there is no {page}" for page in absent()]
    if not wrong:
        shutil.rmtree(BUILD, ignore_errors=True)
        Stage(BUILD).run()
        built = subprocess.run([zensical, "build", "--clean", "--strict", "-f", SETTINGS], check=False)
        wrong = foreign() if built.returncode == 0 else ["zensical found something else"]
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
