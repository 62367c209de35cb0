"""Real XTTS, tiny and random, behind the real door: one start for the whole suite."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.doors import Behind, on_one_node

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-xtts" / "bin" / "python"

OPTIONS: dict[str, Any] = {
    "python": str(PYTHON),
    "voices": {"alloy": "Ana Florence"},
    "languages": {"Craig Gutsy": "de"},
    "env": {"OMP_NUM_THREADS": "2"},
}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert PYTHON.exists(), "`make test-xtts` installs what this suite needs"
    folder = tmp_path_factory.mktemp("checkpoint")
    subprocess.run(
        [PYTHON, Path(__file__).with_name("checkpoint.py"), folder], check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="session")
def behind(checkpoint: Path) -> Iterator[Behind]:
    model: dict[str, object] = {
        "task": "speak",
        "aliases": ["tts-1"],
        "engine": "xtts",
        "source": f"file://{checkpoint}",
    }
    model |= {"allow_pickle": True}
    one = Behind(on_one_node({"xtts": {**model, "options": OPTIONS}}), voices="memory://xtts")
    yield one
    one.close()


@pytest.fixture
def http(behind: Behind) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=behind.base_url, timeout=120) as client:
        yield client
