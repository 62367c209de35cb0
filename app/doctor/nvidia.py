"""NVIDIA: the kernel's module, the library, the files, and what nvidia-smi says."""

import re
from collections.abc import Iterator

from app.doctor.cards import Card, counted, library, promised, summed, visible
from app.doctor.finding import Finding, warning, wrong
from app.doctor.machine import Machine
from backends.fleet.schema import Node

_VERSION = re.compile(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b")
_QUERY = ("--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
_FILES = ("/dev/nvidiactl", "/dev/nvidia-uvm")
_GIVEN = "docker run --gpus all (or -f deploy/compose/cuda.yaml with docker compose)"


def nvidia(machine: Machine, cards: list[Card], node: str, wanted: Node | None) -> Iterator[Finding]:
    """`cards`: of this vendor, on the bus; `wanted`: this machine's kind of node, where it has such cards."""
    windows = machine.there("/dev/dxg")  # WSL: the driver is Windows', and no bus is seen
    few = [] if windows else [*counted("nvidia", len(cards), node, wanted)]
    yield from few
    if not cards and not windows:
        return
    found = [*visible(machine, "nvidia"), *_driver(machine, cards, windows)]
    yield from found
    if not found:
        yield from _told(machine, node, None if few else wanted)


def _driver(machine: Machine, cards: list[Card], windows: bool) -> Iterator[Finding]:
    told = _VERSION.search(machine.text("/proc/driver/nvidia/version"))
    lib = library(machine, "libcuda.so.1")
    if told is None and not windows:
        strangers = sorted({card.driver for card in cards} - {"", "nvidia"})
        if strangers:
            said = f"the kernel runs the card with {strangers[0]}, which cannot compute"
            yield wrong("nvidia", said, install(machine))
        else:
            fix = "sudo modprobe nvidia" if lib else install(machine)
            yield wrong("nvidia", "the kernel has no driver for the card", fix)
        return
    if lib is None:
        fix = _GIVEN if machine.boxed else install(machine)
        yield wrong("nvidia", "libcuda.so.1, the driver's library, is not here", fix)
        return
    of_library = _VERSION.search(lib.name)
    if told and of_library and told[1] != of_library[1]:
        said = (
            f"the kernel still runs the driver {told[1]}, and libcuda is {of_library[1]}: nothing computes so"
        )
        yield wrong("nvidia", said, "sudo reboot")
    lacking = [file for file in _FILES if not machine.there(file)]
    if not any(re.fullmatch(r"nvidia\d+", one.name) for one in machine.within("/dev")):
        lacking.append("/dev/nvidia0")
    if lacking and not windows:
        fix = _GIVEN if machine.boxed else "sudo nvidia-modprobe -u -c=0"
        yield wrong("nvidia", f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing", fix)


def _told(machine: Machine, node: str, wanted: Node | None) -> Iterator[Finding]:
    """What the driver itself says of its cards, once nothing seems to be in its way."""
    smi = machine.program("nvidia-smi")
    if smi is None:
        yield warning(
            "nvidia", "nvidia-smi is not on PATH: nothing is known of the cards' memory", _tools(machine)
        )
        return
    well, said = machine.said(smi, *_QUERY)
    rows = [line.rpartition(",") for line in said.splitlines()]
    if not well or not rows or not all(size.strip().isdigit() for _, _, size in rows):
        first = said.splitlines()[0] if said else "nothing is said"
        yield wrong("nvidia", f"nvidia-smi fails: {first}", "sudo dmesg | grep -i nvrm")
        return
    sizes = [int(size) << 20 for _, _, size in rows]
    driver = _VERSION.search(machine.text("/proc/driver/nvidia/version"))
    yield from counted("nvidia", len(rows), node, wanted)
    yield from promised("nvidia", node, wanted, min(sizes, default=None))
    names = [f"{name.strip()} ({int(size) / 1024:.1f} GiB)" for name, _, size in rows]
    yield summed("nvidia", names, f"driver {driver[1]}" if driver else "driver of Windows")


def install(machine: Machine) -> str:
    """What installs the driver here."""
    match machine.system:
        case "ubuntu":
            return "sudo ubuntu-drivers install"
        case "debian":
            return "sudo apt install nvidia-driver"
        case "fedora":
            return "sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda"
        case "arch":
            return "sudo pacman -S nvidia nvidia-utils"
    return "install NVIDIA's driver as your distribution says"


def _tools(machine: Machine) -> str:
    told = _VERSION.search(machine.text("/proc/driver/nvidia/version"))
    if machine.system == "ubuntu" and told:
        return f"sudo apt install nvidia-utils-{told[1].partition('.')[0]}"
    return "sudo apt install nvidia-smi" if machine.system == "debian" else install(machine)
