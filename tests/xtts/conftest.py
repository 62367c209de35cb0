"""Real XTTS, tiny and random, behind the real door: one start for the whole suite."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.engines.xtts import Xtts
from backends.fleet.schema import Fleet
from tests.api.doors import Served

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


class Behind:
    """A door with XTTS behind it, under the name `xtts` and the alias `tts-1`."""

    def __init__(self, checkpoint: Path) -> None:
        model = {"task": "speak", "aliases": ["tts-1"], "engine": "xtts", "source": f"file://{checkpoint}"}
        fleet = Fleet.model_validate({
            "version": 1,
            "nodes": {"laptop": {"vendor": "cpu"}},
            "models": {"xtts": {**model, "options": OPTIONS, "place": {"node": "laptop"}}},
        })  # fmt: skip
        upstream = LocalUpstream.from_fleet(fleet)
        self._upstream = upstream
        self.served = Served(create_app(Settings(_env_file=None, voices="memory://xtts"), fleet, upstream))
        try:
            self._wait()
        except BaseException:
            self.served.close()
            raise

    @property
    def engine(self) -> Xtts:
        (host,) = self._upstream.hosts.values()
        assert isinstance(host.engine, Xtts)
        return host.engine

    def _wait(self) -> None:
        while not all(state.ready for state in self._upstream.states().values()):
            (state,) = self._upstream.states().values()
            assert state.readiness == "loading", state
            time.sleep(0.05)


@pytest.fixture(scope="session")
def behind(checkpoint: Path) -> Iterator[Behind]:
    one = Behind(checkpoint)
    yield one
    one.served.close()


@pytest.fixture
def http(behind: Behind) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=behind.served.base_url, timeout=120) as client:
        yield client
