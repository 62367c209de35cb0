"""Draws `docs/benchmarks/NAME.svg` from every `bench/results/NAME.json`, or with `--check` says whether one
is stale (exit status 1). What a result has is told by `bench/results.py`.
"""

import json
import sys
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS, DRAWN = ROOT / "bench" / "results", ROOT / "docs" / "benchmarks"

WIDTH, LEFT, RIGHT = 760, 230, 90  # of the names, and of the figures behind the bars
HEAD, BAR, GAP, GROUP = 62, 16, 5, 30  # a group begins with its name
LINE = 112  # characters of the small print
# Where the largest of a group is so many times that of another, each group has a scale of its own.
APART = 6
# What stands out of a group that has it.
OURS = "Motley"
# On a ground of their own, so that no page's theme hides them.
STYLE = """
.page{fill:#fff}text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:17px;font-weight:600}
.what{font-weight:600}.side{text-anchor:end}.small{font-size:12px;fill:#59636e}.ours{fill:#0969da}.other{fill:#8c959f}
@media(prefers-color-scheme:dark){.page{fill:#0d1117}text{fill:#e6edf3}.small{fill:#9198a1}.ours{fill:#4493f8}
.other{fill:#656c76}}"""

Result = dict[str, Any]


def drawn(result: Result) -> str:
    """The SVG of a result: a group of bars for each row, a bar for each side."""
    rows: dict[str, dict[str, float]] = result["rows"]
    largest = {what: max(sides.values()) for what, sides in rows.items()}
    apart = max(largest.values()) > APART * min(largest.values())
    room, top, body = WIDTH - LEFT - RIGHT, HEAD, list[str]()
    for what, sides in rows.items():
        body.append(_text("what", 20, top + 14, what))
        top += GROUP - 8
        scale = room / ((largest[what] if apart else max(largest.values())) or 1)
        for side, figure in sides.items():
            kind = "ours" if side == OURS or OURS not in sides else "other"
            body.append(_text("side", LEFT - 10, top + 13, side))
            wide = max(1, figure * scale)
            size = f'width="{wide:.1f}" height="{BAR}" rx="2"'
            body.append(f'<rect class="{kind}" x="{LEFT}" y="{top}" {size}/>')
            body.append(_text("figure", LEFT + wide + 8, top + 13, shown(figure)))
            top += BAR + GAP
        top += 12
    told = list(_told(result, apart))
    height = top + 6 + 16 * len(told[1:])
    body += [_text("title", 20, 28, result["title"]), _text("small", 20, 48, told[0])]
    body += [_text("small", 20, top + 12 + 16 * number, line) for number, line in enumerate(told[1:])]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title about">\n'
        f'<title id="title">{escape(result["title"])}</title>\n'
        f'<desc id="about">{escape(described(result))}</desc>\n<style>{STYLE}</style>\n'
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def described(result: Result) -> str:
    """Every figure in words, for who cannot see the bars."""
    rows = (
        f"{what}: {', '.join(f'{side} {shown(figure)}' for side, figure in sides.items())}"
        for what, sides in result["rows"].items()
    )
    return f"In {result['unit']}, {result['better']} is better. {'. '.join(rows)}."


def shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3g}"


def _told(result: Result, apart: bool) -> Iterator[str]:
    scale = ", each group on its own scale" if apart else ""
    yield f"{result['unit']}, {result['better']} is better{scale}"
    machine, rounds = result["machine"], result["rounds"]
    load = f", {machine['load'][1]:g} processes wanted them" if "load" in machine else ""
    yield f"{rounds} rounds on {machine['cores']} cores, {machine['processor']}{load}"
    yield f"{result['date']}" + ("" if result["from"] == "a run" else f", from {result['from']}")
    yield from textwrap.wrap("; ".join(result["versions"]), LINE)


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'


def all_drawn() -> dict[str, str]:
    """By file name. A table of nothing but zeros has no bars."""
    results = {file.stem: json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))}
    return {
        f"{name}.svg": drawn(result)
        for name, result in results.items()
        if any(figure for sides in result["rows"].values() for figure in sides.values())
    }


def main(arguments: list[str]) -> int:
    wanted = all_drawn()
    there = {file.name: file.read_text() for file in DRAWN.glob("*.svg")}
    if "--check" in arguments:
        if there != wanted:
            stale = sorted(name for name in {*there, *wanted} if there.get(name) != wanted.get(name))
            print(f"stale in docs/benchmarks: {', '.join(stale)}: run `make graphs`", file=sys.stderr)
        return 0 if there == wanted else 1
    DRAWN.mkdir(exist_ok=True)
    for name in there.keys() - wanted.keys():
        (DRAWN / name).unlink()
    for name, text in wanted.items():
        (DRAWN / name).write_text(text)
    print(f"{len(wanted)} graphs in {DRAWN.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
