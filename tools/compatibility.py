"""Writes `docs/compatibility.md` from `docs/compatibility.json`, or with `--check` says whether it is stale
(exit status 1). Files that `pytest --record FILE` wrote are taken into the latter beforehand:

    python tools/compatibility.py [FILE …]
    python tools/compatibility.py --check

What a file of tests showed replaces what it showed before; those that did not run keep theirs, with its date.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECORD, TARGET = ROOT / "docs" / "compatibility.json", ROOT / "docs" / "compatibility.md"
CLIENTS = ("openai-python", "openai-node", "LangChain", "LlamaIndex", "Cohere SDK", "tritonclient", "curl")
# It computes nothing, so that what it answers shows the door alone.
FAKE = "fake"
WAYS = {(False,): "whole", (True,): "streamed", (False, True): "both"}

HEAD = """# Clients

Which clients were answered at which endpoint, by which engine: what a door saw while the [tests](../tests)
ran, not what anybody believes. A cell is there where the client got the whole of a 200, and every test of its
file passed. What is not here may work, too: it was not asked. `whole`: one document or file; `streamed`: as
it was made.

`make clients` writes this page and the [record](compatibility.json) that it is made of. `fake` is an
engine that computes nothing: there the door's part is shown, and no model's. `chain` is a [chain](chains.md)
of others; `the door itself` answers what is asked of no model. Real models are tiny here, and on CPUs: this
says who understands whom, not how well they answer.
"""

Answered = dict[str, Any]
Whole = dict[str, dict[str, Any]]


def merged(old: Whole, lines: Iterable[dict[str, Any]], exists: Iterable[str]) -> Whole:
    """By file of tests. One that failed loses what it showed before, and so does one that is gone."""
    new = {line["tests"]: {name: each for name, each in line.items() if name != "tests"} for line in lines}
    there = set(exists)
    return {file: one for file, one in sorted({**old, **new}.items()) if one["answered"] and file in there}


def document(record: Whole) -> str:
    answered = [each for one in record.values() for each in one["answered"]]
    parts = [HEAD, "\n## At a glance\n", glance(answered), "\n(in brackets: `fake` alone)\n"]
    for client in CLIENTS:
        if asked := [each for each in answered if each["client"] == client]:
            parts += [f"\n## {client}\n", _versions(asked), "\n", engines(asked)]
    parts += ["\n## What ran\n", ran(record)]
    return "".join(parts)


def glance(answered: Sequence[Answered]) -> str:
    ways: dict[tuple[str, str], set[tuple[bool, bool]]] = defaultdict(set)
    for each in answered:
        ways[each["endpoint"], each["client"]].add((each["engine"] == FAKE, each["streamed"]))

    def cell(endpoint: str, client: str) -> str:
        real, fakes = (
            {streamed for fake, streamed in ways[endpoint, client] if fake == which}
            for which in (False, True)
        )
        told = [WAYS[tuple(sorted(real))]] if real else []
        alone = [f"({WAYS[tuple(sorted(fakes - real))]})"] if fakes - real else []
        return " ".join(told + alone)

    here = [client for client in CLIENTS if any(each["client"] == client for each in answered)]
    endpoints = sorted({each["endpoint"] for each in answered}, key=_place)
    rows = [[f"`{endpoint}`", *(cell(endpoint, client) for client in here)] for endpoint in endpoints]
    return table(["", *here], rows)


def engines(asked: Sequence[Answered]) -> str:
    by: dict[str, dict[bool, set[str]]] = defaultdict(lambda: {False: set(), True: set()})
    for each in asked:
        by[each["endpoint"]][each["streamed"]].add(each["engine"] or "the door itself")
    rows = [
        [f"`{endpoint}`", *(", ".join(sorted(by[endpoint][streamed])) for streamed in (False, True))]
        for endpoint in sorted(by, key=_place)
    ]
    return table(["", "whole", "streamed"], rows)


def ran(record: Whole) -> str:
    rows = [
        [f"[{file.removeprefix('tests/')}](../{file})", one["date"], one["motley"], str(one["passed"]),
         ", ".join(f"{engine} {told}" for engine, told in one["engines"].items())]
        for file, one in record.items()
    ]  # fmt: skip
    head = ["tests", "on", "Motley", "passed", "engines, by the version of their library"]
    return table(head, rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _versions(asked: Sequence[Answered]) -> str:
    return f"{'; '.join(sorted({each['version'] for each in asked}))}\n"


def _place(endpoint: str) -> tuple[bool, str]:
    """Those of OpenAI's API first."""
    path = endpoint.partition(" ")[2]
    return not path.startswith("/v1"), path


def main(arguments: list[str]) -> int:
    record: Whole = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if "--check" in arguments:
        gone = [file for file in record if not (ROOT / file).exists()]
        fresh = not gone and TARGET.read_text() == document(record)
        if not fresh:
            print("docs/compatibility.md is stale: run `python tools/compatibility.py`", file=sys.stderr)
        return 0 if fresh else 1
    lines = [json.loads(line) for file in arguments for line in Path(file).read_text().splitlines()]
    there = [file for file in {*record, *(line["tests"] for line in lines)} if (ROOT / file).exists()]
    record = merged(record, lines, there)
    RECORD.write_text(f"{json.dumps(record, indent=1)}\n")
    TARGET.write_text(document(record))
    print(f"{TARGET.relative_to(ROOT)}: {sum(len(one['answered']) for one in record.values())} answers")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
