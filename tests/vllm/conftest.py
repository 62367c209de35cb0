"""Real vLLM on the CPU behind the real door: one start for all that asks it without Ray."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.api.doors import Behind, on_one_node

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


@pytest.fixture(scope="session")
def behind(checkpoint: Path) -> Iterator[Behind]:
    model = {"task": "chat", "aliases": ["gpt-4o"], "engine": "vllm", "source": f"file://{checkpoint}"}
    one = Behind(on_one_node({"tiny": {**model, "options": OPTIONS}}))
    yield one
    one.close()


@pytest.fixture
def sdk(behind: Behind) -> Iterator[openai.OpenAI]:
    url = f"{behind.base_url}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=120) as client:
        yield client
