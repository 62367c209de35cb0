"""What a process and its children have of the machine's memory, and of its cards, at this moment.

Of cards each vendor tells in a way of its own: NVIDIA's by NVML (the package `nvidia-ml-py`, where it is
installed), those of AMD and Intel by the kernel, in what it says of each open file of a card
(docs.kernel.org/gpu/drm-usage-stats.html). Both count by process ids as they are seen here: in a container
with ids of its own NVML knows none of ours, and nobody can tell.
"""

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil

from backends.contract.engine import Vendor

PROC = Path("/proc")
# Where a driver of the kernel counts what its card can reach: its own memory, and on cards that share the
# machine's that part of it which is theirs.
REGIONS = ("vram", "local", "gtt")
_UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def family(pid: int) -> list[int]:
    """The process and all below it."""
    try:
        top = psutil.Process(pid)
        return [pid, *(child.pid for child in top.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def ram(pids: Collection[int]) -> int | None:
    """Proportional: what several share is divided between them. None where the system does not say."""
    sizes = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            told = psutil.Process(pid).memory_full_info()
            if not hasattr(told, "pss"):
                return None
            sizes.append(told.pss)
    return sum(sizes) or None


def vram(pids: Collection[int], vendor: Vendor) -> int | None:
    if vendor == "cpu":
        return None
    return _by_nvml(pids) if vendor == "nvidia" else by_kernel(pids)


def _by_nvml(pids: Collection[int]) -> int | None:
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    sizes = []
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            card = pynvml.nvmlDeviceGetHandleByIndex(index)
            running = pynvml.nvmlDeviceGetComputeRunningProcesses(card)
            sizes += [one.usedGpuMemory for one in running if one.pid in pids and one.usedGpuMemory]
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()
    return sum(sizes) if sizes else None


def by_kernel(pids: Collection[int], proc: Path = PROC) -> int | None:
    """A client of a card may be open as several files, in several processes: it counts once."""
    clients: dict[tuple[str, str], int] = {}
    for pid in pids:
        for told in _opened(proc / str(pid) / "fdinfo"):
            if client := told.get("drm-client-id"):
                clients[told.get("drm-pdev", ""), client] = _resident(told)
    return sum(clients.values()) if clients else None


def _opened(folder: Path) -> Iterator[dict[str, str]]:
    """What is told of each open file of a card."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = os.listdir(folder)
    for name in names:
        with contextlib.suppress(OSError):
            text = (folder / name).read_text()
            if "drm-client-id" in text:
                pairs = (line.partition(":") for line in text.splitlines())
                yield {key: value.strip() for key, _, value in pairs}


def _resident(told: dict[str, str]) -> int:
    """The newest of the three names that drivers have had for it."""
    regions: dict[str, int] = {}
    for kind in ("memory", "total", "resident"):
        for key, value in told.items():
            region = key.removeprefix(f"drm-{kind}-")
            if region != key and region.startswith(REGIONS):
                number, _, unit = value.partition(" ")
                regions[region] = int(number) * _UNITS[unit.strip()]
    return sum(regions.values())
