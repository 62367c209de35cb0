"""The stand-in for vLLM's interpreter, and what it noted."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from backends.contract.engine import GpuShare, ModelRef
from backends.contract.tasks import ChatTask
from backends.engines.vllm import Vllm

# A command that takes an interpreter's arguments and is not our interpreter.
STAND_IN: dict[str, Any] = {
    "python": str(Path(__file__).with_name("stand-in")),
    "env": {"STAND_IN_PYTHON": sys.executable},
}


def engine(
    notes: Path, *, share: GpuShare | None = None, env: dict[str, str] | None = None, **more: Any
) -> Vllm:
    ref = ModelRef("m", "chat", f"file://{notes}", notes)
    variables = {**STAND_IN["env"], "STAND_IN_NOTES": str(notes), **(env or {})}
    return Vllm(ref, Vllm.Options(python=STAND_IN["python"], env=variables, **more), share or GpuShare())


RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"


def slots(uds: Path | None) -> int:
    """The answers vLLM itself says it is computing, or has waiting. Blocks."""
    return measured(uds, RUNNING, WAITING)


def measured(uds: Path | None, *metrics: str) -> int:
    """The sum of these metrics of the vLLM that listens there. Blocks."""
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(uds)), timeout=30) as client:
        lines = client.get("http://vllm/metrics").raise_for_status().text.splitlines()
    counts = tuple(f"{metric}{{" for metric in metrics)
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(counts)))


def noted(folder: Path) -> list[dict[str, Any]]:
    """What the stand-in wrote at each start: its flags and environment, then the pid of its core."""
    return [json.loads(line) for line in (folder / "started").read_text().splitlines()]


def asked(said: str, **body: Any) -> ChatTask:
    return ChatTask("r-1", {"model": "m", "messages": [{"role": "user", "content": said}], **body})


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    """Not running: unknown to the kernel, or only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # before it was opened, or after
        return True
