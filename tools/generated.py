"""A file that is made of others: written, or with `--check` told to be stale."""

import sys
from collections.abc import Sequence
from pathlib import Path


def kept(target: Path, text: str, command: str, arguments: Sequence[str]) -> int:
    """Exit status: 1 where `--check` is among the arguments and the file is not `text`. `command`: what
    writes it."""
    if "--check" not in arguments:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return 0
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return 0
    print(f"{target.name} is stale: run {command}", file=sys.stderr)
    return 1
