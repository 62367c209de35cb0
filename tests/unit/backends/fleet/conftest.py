"""Fleets are written as text, with `# here` on the line a problem must name."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from backends.fleet.engines import check
from backends.fleet.problems import FleetError, Problem

NODES = """\
version: 1
nodes:
  laptop: {cpus: 2}
  elminster: {vendor: nvidia, gpus: 1, cpus: 8, vram: 8Gi}
  twin: {vendor: amd, gpus: 2, cpus: 4, vram: 16Gi}
models:
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """A whole fleet as text → a file of it."""

    def written(text: str) -> Path:
        path = tmp_path / "fleet.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.fixture
def found(write: Callable[[str], Path]) -> Callable[..., list[Problem]]:
    """The problems that `ring` (by default all three) has with a fleet; [] if there are none."""

    def problems(text: str, ring: Callable[[Path], object] = check) -> list[Problem]:
        try:
            ring(write(dedent(text)))
        except FleetError as error:
            return list(error.problems)
        return []

    return problems


@pytest.fixture
def found_in_models(found: Callable[..., list[Problem]]) -> Callable[[str], list[Problem]]:
    """As `found`, for the text below `models:`, on nodes laptop, elminster and twin."""

    def problems(text: str) -> list[Problem]:
        body = dedent(text)
        return found(NODES + "".join(f"  {line}\n" for line in body.splitlines()))

    return problems


@pytest.fixture
def marked() -> Callable[[str], list[int]]:
    """The lines of a text below `models:` that say `# here`, counted in the whole file."""

    def lines(text: str) -> list[int]:
        first = NODES.count("\n") + 1
        return [number for number, line in enumerate(dedent(text).splitlines(), first) if "# here" in line]

    return lines
