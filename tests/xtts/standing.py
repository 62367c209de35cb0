"""The stand-in for XTTS's interpreter, and what it noted."""

import json
import sys
from pathlib import Path
from typing import Any

from backends.contract.engine import GpuShare, ModelRef
from backends.engines.xtts import Xtts

STAND_IN: dict[str, Any] = {
    "python": str(Path(__file__).with_name("stand-in")),
    "env": {"STAND_IN_PYTHON": sys.executable},
}


def engine(folder: Path, *, share: GpuShare | None = None, **options: Any) -> Xtts:
    """Notes are in `folder`."""
    whole = {**STAND_IN, **options, "env": {**STAND_IN["env"], "STAND_IN_NOTES": str(folder / "notes")}}
    ref = ModelRef("tts", "speak", f"file://{folder}", folder)
    return Xtts(ref, Xtts.Options(**whole), share or GpuShare())


def noted(folder: Path, what: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "notes").read_text().splitlines()]
    return [note for note in found if note["what"] == what]
