"""One start at a time on one GPU.

An engine that measures the free memory of its card while it starts, as vLLM does, counts the growth of
another as its own and takes too little, or fails. The lock is a file per device, so it holds between
all processes of a node that see the same temporary directory, and falls with the process that has it.
"""

import asyncio
import fcntl
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from backends.contract.engine import Vendor

# What each vendor's runtime reads to learn which cards it may see; the first that is set counts.
VISIBLE: Mapping[Vendor, tuple[str, ...]] = {
    "cpu": (),
    "nvidia": ("CUDA_VISIBLE_DEVICES",),
    "amd": ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
    "intel": ("ONEAPI_DEVICE_SELECTOR", "ZE_AFFINITY_MASK"),
}


def devices(vendor: Vendor, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The cards a child with this environment will use, as the runtime names them, sorted. `all`
    where nothing narrows the choice; none on a CPU."""
    if vendor == "cpu":
        return ()
    for name in VISIBLE[vendor]:
        if value := environment.get(name):
            return tuple(sorted({part.strip() for part in value.split(",") if part.strip()}))
    return ("all",)


@asynccontextmanager
async def held(
    vendor: Vendor, names: tuple[str, ...], *, folder: Path | None = None, every: float = 0.2
) -> AsyncIterator[None]:
    """Hold the lock of every named device. They are taken in one order by all, so nobody waits in
    a circle. `every`: seconds between two tries. Cancelling while waiting is safe."""
    where = folder or Path(tempfile.gettempdir()) / f"motley-starts-{os.getuid()}"
    where.mkdir(mode=0o700, exist_ok=True)
    async with AsyncExitStack() as stack:
        for name in sorted(names):
            key = hashlib.sha256(f"{vendor} {name}".encode()).hexdigest()[:16]
            await stack.enter_async_context(_held(where / key, every))
        yield


@asynccontextmanager
async def _held(path: Path, every: float) -> AsyncIterator[None]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _taken(file):  # noqa: ASYNC110  (another process holds it: nobody here can say)
            await asyncio.sleep(every)
        yield
    finally:
        os.close(file)  # which lets go of the lock


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
