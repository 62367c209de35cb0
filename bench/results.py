"""What a bench found, kept as `bench/results/NAME.json` with the machine and the versions; `tools/graphs.py`
draws it. `BENCH_RESULTS` names another folder.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).with_name("results")
PACKAGES = ("ray", "fastapi", "uvicorn", "onnxruntime", "onnxruntime-genai")
Rows = Mapping[str, Mapping[str, float]]


def kept(
    name: str,
    title: str,
    unit: str,
    rows: Rows,
    *,
    rounds: int,
    enough: int = 15,
    better: Literal["less", "more"] = "less",
    versions: Sequence[str] = (),
) -> None:
    """Writes a table: what was asked → by side, the median of `rounds` in `unit`. `versions`: lines,
    where there are more to tell than our own. A try of fewer rounds than are `enough` replaces nothing."""
    elsewhere = os.environ.get("BENCH_RESULTS")
    if rounds < enough and not elsewhere:
        print(f"{name}: not kept, {rounds} rounds are fewer than {enough}")
        return
    ours = [f"Python {platform.python_version()}", *(f"{each} {version(each)}" for each in PACKAGES)]
    whole: dict[str, Any] = {
        "title": title,
        "unit": unit,
        "better": better,
        "rows": {
            what: {side: float(f"{figure:.4g}") for side, figure in sides.items()}
            for what, sides in rows.items()
        },
        "rounds": rounds,
        "from": "a run",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine(),
        "versions": [f"motley {version('motley')}", *(versions or ours)],
    }
    folder = Path(elsewhere) if elsewhere else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(f"{json.dumps(whole, indent=1, ensure_ascii=False)}\n")


def machine() -> dict[str, Any]:
    """`load`: processes that wanted a core, over the last 1, 5 and 15 minutes."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": named[0] if named else platform.machine(),
        "cores": os.cpu_count(),
        "load": [round(each, 1) for each in os.getloadavg()],
    }
