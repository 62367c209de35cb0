"""vLLM's log → the stage of a start. What is not recognised says nothing."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

Say = Callable[[str, float | None], None]

# A line, and the stage that it begins or belongs to. The first that matches counts.
_STAGES: Mapping[str, re.Pattern[str]] = {
    "downloading": re.compile(r"Fetching \d+ files|Downloading |\.safetensors: +\d+%"),
    "loading": re.compile(r"Starting to load model|Loading .*(shards|safetensors)|Prefetching checkpoint"),
    "compiling": re.compile(r"torch\.compile|Compiling a graph|Dynamo bytecode transform|Cache the graph"),
    "warming": re.compile(
        r"Model loading took|Capturing CUDA graphs|Graph capturing|KV cache size|[Ww]arm(ing|up)"
        r"|init engine|Starting vLLM|Application startup"
    ),
}
_PER_CENT = re.compile(r"\b(\d{1,3})%")
_LEVEL = re.compile(r"^(?:\([^)]*\) )*(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")


class Line(NamedTuple):
    """`fraction`: 0…1 within the stage, None where the line does not say."""

    stage: str
    fraction: float | None


def read(line: str) -> Line | None:
    """None for a line that tells nothing about a start."""
    for stage, pattern in _STAGES.items():
        if pattern.search(line):
            found = _PER_CENT.search(line)
            return Line(stage, min(int(found[1]), 100) / 100 if found else None)
    return None


def level(line: str) -> str:
    """`debug`, `info`, `warning` or `error`: what vLLM itself calls the line; debug for bars and prints."""
    found = _LEVEL.match(line)
    return "debug" if found is None else found[1].lower().replace("critical", "error")
