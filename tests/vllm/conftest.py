"""Real vLLM on the CPU behind the real door: one start for all that asks it without Ray."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.engines.vllm import Vllm
from backends.fleet.schema import Fleet
from tests.api.doors import Served

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"

OPTIONS: dict[str, Any] = {
    "python": str(PYTHON),
    "kv_cache_memory_bytes": 64 * 2**20,
    "max_num_seqs": 8,
    "enforce_eager": True,
    "dtype": "bfloat16",
    "tool_call_parser": "hermes",
    # A model this small would pad a document with blanks until its window is full.
    "extra": {"structured-outputs-config": {"backend": "xgrammar", "disable_any_whitespace": True}},
    # Threads that spin at barriers would take the cores from everything else.
    "env": {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "VLLM_CPU_OMP_THREADS_BIND": "nobind"},
}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert PYTHON.exists(), "`make test-vllm` installs what this suite needs"
    folder = tmp_path_factory.mktemp("checkpoint")
    subprocess.run(
        [PYTHON, Path(__file__).with_name("checkpoint.py"), folder], check=True, capture_output=True
    )
    return folder


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Behind:
    """A door with vLLM behind it, under the name `tiny` and the alias `gpt-4o`."""

    def __init__(self, checkpoint: Path) -> None:
        place = {"node": "laptop"}
        model = {"task": "chat", "aliases": ["gpt-4o"], "engine": "vllm", "source": f"file://{checkpoint}"}
        fleet = Fleet.model_validate({
            "version": 1,
            "nodes": {"laptop": {"vendor": "cpu"}},
            "models": {"tiny": {**model, "options": OPTIONS, "place": place}},
        })  # fmt: skip
        upstream = LocalUpstream.from_fleet(fleet)
        self._upstream = upstream
        self.served = Served(create_app(Settings(_env_file=None), fleet, upstream))
        self.stages: list[str] = []
        try:
            self._wait()
        except BaseException:
            self.served.close()
            raise

    @property
    def engine(self) -> Vllm:
        (host,) = self._upstream.hosts.values()
        assert isinstance(host.engine, Vllm)
        return host.engine

    def _wait(self) -> None:
        while not all(state.ready for state in self._upstream.states().values()):
            (state,) = self._upstream.states().values()
            assert state.readiness == "loading", state
            if state.stage not in self.stages:
                self.stages.append(state.stage)
            time.sleep(0.02)


@pytest.fixture(scope="session")
def behind(checkpoint: Path) -> Iterator[Behind]:
    one = Behind(checkpoint)
    yield one
    one.served.close()


@pytest.fixture
def sdk(behind: Behind) -> Iterator[openai.OpenAI]:
    url = f"{behind.served.base_url}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=120) as client:
        yield client
