"""What stands in the project's Markdown: its pages, their links, anchors and blocks of code.

Pages are read on a forge and on the site that `tools/docs.py` builds; this module knows where they differ.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUTER = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")

# A piece of code is skipped, whatever it holds; a link's text may be code and may be broken into lines.
_CODE = r"(?<!`)(?P<ticks>`+)(?!`)(?:(?!\n\n).)+?(?<!`)(?P=ticks)(?!`)"
_LINK = r"\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\)"
_SPAN = re.compile(f"(?s:{_CODE})|{_LINK}")
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<language>[\w+-]*) *$")
_MARK = re.compile(r"^ *<!-- (?P<kind>needs|quick start): (?P<what>.+) -->$")
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *#*$")


@dataclass(frozen=True)
class Block:
    """A fenced block. `needs`: what its mark says that no test has. `terminal`: where the quick start types
    it."""

    page: str
    line: int
    language: str
    text: str
    needs: str = ""
    terminal: str = ""

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """All pages, as paths from the root."""
    inner = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    return [*OUTER, *inner]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def parts(text: str) -> Iterator[tuple[bool, str]]:
    """(is it a fenced block?, the text of it), in order; joined they are the page."""
    held: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        found = _FENCE.match(line.rstrip("\n"))
        if fence:
            held.append(line)
            if found and found["fence"] == fence and not found["language"]:
                yield True, "".join(held)
                held, fence = [], ""
        elif found:
            yield False, "".join(held)
            held, fence = [line], found["fence"]
        else:
            held.append(line)
    yield bool(fence), "".join(held)


def linked(text: str, by: Callable[[str, str], str]) -> str:
    """Prose with each link replaced by what `by` makes of its text and target; code stays as it is."""

    def one(match: re.Match[str]) -> str:
        return match[0] if match["target"] is None else by(match["text"], match["target"])

    return _SPAN.sub(one, text)


def links(page: str) -> list[str]:
    """The targets of a page's links to other pages and files, and to anchors."""
    found: list[str] = []

    def told(text: str, target: str) -> str:
        found.append(target)
        return f"[{text}]({target})"

    for fenced, text in parts(read(page)):
        if not fenced:
            linked(text, told)
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def title(page: str) -> str:
    return _headings(page)[0]


def anchors(page: str) -> set[str]:
    """Of a page's headings. Raises ValueError where two are alike."""
    found: set[str] = set()
    for heading in _headings(page):
        if (anchor := slug(heading)) in found:
            raise ValueError(f"{page}: two headings are '{anchor}', which forge and site number differently")
        found.add(anchor)
    return found


def slug(heading: str) -> str:
    """As forges make it, and on the site `pymdownx.slugs`."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _headings(page: str) -> list[str]:
    lines = "".join(text for fenced, text in parts(read(page)) if not fenced).splitlines()
    found = [match["text"] for line in lines if (match := _HEADING.match(line))]
    return [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "").replace("*", "") for text in found]


def target(page: str, link: str) -> tuple[str, str]:
    """(path from the root, anchor) of a link on a page. The path may lead to nothing."""
    path, _, anchor = link.partition("#")
    if not path:
        return page, anchor
    found = (ROOT / page).parent.joinpath(path).resolve()
    return found.relative_to(ROOT).as_posix() if found.is_relative_to(ROOT) else str(found), anchor


def broken() -> list[str]:
    """Links that lead to no file, folder or anchor."""
    wrong = []
    for page in pages():
        for link in links(page):
            path, anchor = target(page, link)
            if not (ROOT / path).exists():
                wrong.append(f"{page}: {link}: there is no such file")
            elif anchor and (not path.endswith(".md") or anchor not in anchors(path)):
                wrong.append(f"{page}: {link}: there is no such anchor")
    return wrong


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page, with what the mark in the line above says."""
    found, line, above = [], 1, ""
    for fenced, text in parts(read(page)):
        if fenced:
            first, *rest = text.splitlines(keepends=True)
            opened = _FENCE.match(first.rstrip("\n"))
            assert opened is not None
            body = "".join(one.removeprefix(opened["indent"]) for one in rest[:-1])
            found.append(Block(page, line, opened["language"], body, **_marked(above)))
        elif text.strip():
            above = text.splitlines()[-1]
        line += text.count("\n")
        above = "" if fenced else above
    return found


def _marked(above: str) -> dict[str, str]:
    mark = _MARK.match(above)
    if mark is None:
        return {}
    return {"needs" if mark["kind"] == "needs" else "terminal": mark["what"]}
