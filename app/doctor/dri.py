"""AMD and Intel: cards that the kernel itself drives, by their files in /dev/dri."""

import re
from collections.abc import Iterator, Mapping

from app.doctor.cards import Card, counted, library, promised, reachable, summed, visible
from app.doctor.finding import Finding, warning, wrong
from app.doctor.machine import Machine, gib
from backends.contract.engine import Vendor
from backends.fleet.schema import Node

_OVERRIDE = "HSA_OVERRIDE_GFX_VERSION"
_DRIVERS: Mapping[Vendor, tuple[str, ...]] = {"amd": ("amdgpu",), "intel": ("xe", "i915")}
_KFD = "/dev/kfd"
# What containers are given the files with.
_GIVEN: Mapping[Vendor, str] = {
    "amd": "docker run --device /dev/kfd --device /dev/dri",
    "intel": "docker run --device /dev/dri",
}
# Intel's part of Level Zero, by which torch finds its cards: the loader and the driver.
_LEVEL_ZERO = {"libze_loader.so.1": "libze1", "libze_intel_gpu.so.1": "libze-intel-gpu1"}


def amd(machine: Machine, cards: list[Card], node: str, wanted: Node | None) -> Iterator[Finding]:
    """`cards`: of this vendor, on the bus; `wanted`: this machine's kind of node, where it has such cards."""
    yield from _override(machine)
    yield from counted("amd", len(cards), node, wanted)
    if not cards:
        return
    able = _able(machine, cards)
    found = [*visible(machine, "amd"), *_files(machine, "amd", cards, able, wanted)]
    yield from found
    chips = _chips(machine)
    yield from _unsupported(machine, chips)
    sizes = [size for card in able if (size := _memory(machine, card))]
    yield from promised("amd", node, wanted, max(sizes, default=None))
    if not found:
        memory = f", {gib(max(sizes))}" if sizes else ""
        yield summed("amd", chips or ["AMD"] * len(able), f"driver amdgpu{memory}")


def intel(machine: Machine, cards: list[Card], node: str, wanted: Node | None) -> Iterator[Finding]:
    """As `amd`."""
    yield from counted("intel", len(cards), node, wanted)
    if not cards:
        return
    able = _able(machine, cards)
    found = [*visible(machine, "intel"), *_files(machine, "intel", cards, able, wanted)]
    if lacking := [name for name in _LEVEL_ZERO if library(machine, name) is None]:
        fix = f"sudo apt install {' '.join(_LEVEL_ZERO[name] for name in lacking)}"
        found.append(wrong("intel", f"Level Zero is not whole: {', '.join(lacking)} not found", fix))
    yield from found
    if not found:
        names = [f"Intel {card.address}" for card in able]
        yield summed("intel", names, f"driver {', '.join(sorted({card.driver for card in able}))}")


def _able(machine: Machine, cards: list[Card]) -> list[Card]:
    """Those with a driver that computes, and a file here: in a container others have theirs elsewhere."""
    return [
        card
        for card in cards
        if card.driver in _DRIVERS[card.vendor] and card.render and machine.there(f"/dev/dri/{card.render}")
    ]


def _files(
    machine: Machine, vendor: Vendor, cards: list[Card], able: list[Card], wanted: Node | None
) -> Iterator[Finding]:
    """What those lack that are not `able`, where there are not enough; and who may use the files."""
    files = [*([_KFD] if vendor == "amd" else []), *(f"/dev/dri/{card.render}" for card in able)]
    lacking = [file for file in files if not machine.there(file)]
    if len(able) < (wanted.gpus if wanted is not None else 1):
        for card in (card for card in cards if card not in able):
            if card.driver in _DRIVERS[vendor]:
                lacking.append(f"/dev/dri/{card.render or 'renderD…'}")
            else:
                yield _strange(card)
    if lacking:
        fix = _GIVEN[vendor] if machine.boxed else f"sudo modprobe {_DRIVERS[vendor][0]}"
        yield wrong(vendor, f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing", fix)
    yield from reachable(machine, vendor, files)


def _strange(card: Card) -> Finding:
    """One that the kernel has no driver for, or another than ours."""
    known = _DRIVERS[card.vendor]
    load = f"sudo modprobe {known[0]}"
    if not card.driver:
        return wrong(card.vendor, f"the kernel has no driver for the card {card.address}", load)
    said = f"the kernel gave the card {card.address} to {card.driver}, not to {' or '.join(known)}"
    unbind = f"echo {card.address} | sudo tee /sys/bus/pci/drivers/{card.driver}/unbind"
    return wrong(card.vendor, said, f"{unbind} && {load}")


def _override(machine: Machine) -> Iterator[Finding]:
    value = machine.environment.get(_OVERRIDE)
    if value is not None and re.fullmatch(r"\d+\.\d+\.\d+", value) is None:
        what = "is set and empty" if not value else "is no version like 10.3.0"
        yield wrong("amd", f"{_OVERRIDE} {what}: ROCm does not start with it", f"unset {_OVERRIDE}")


def _chips(machine: Machine) -> list[str]:
    """`gfx1151`, for each that the kernel can compute on, which writes 110501."""
    found = []
    for node in machine.within("/sys/class/kfd/kfd/topology/nodes"):
        pairs = (line.partition(" ") for line in machine.text(node / "properties").splitlines())
        number = int({name: value for name, _, value in pairs}.get("gfx_target_version", "0"))
        if number:
            found.append(f"gfx{number // 10000}{number // 100 % 100:x}{number % 100:x}")
    return found


def _unsupported(machine: Machine, chips: list[str]) -> Iterator[Finding]:
    """Small chips have no kernels of their own in ROCm's libraries; those of their family's first one run."""
    if machine.environment.get(_OVERRIDE):
        return
    for chip in dict.fromkeys(chips):
        if re.fullmatch("gfx103[1-6]", chip):
            said = f"ROCm's libraries have no kernels for {chip}; those for gfx1030 run on it"
            yield warning("amd", said, f"export {_OVERRIDE}=10.3.0")


def _memory(machine: Machine, card: Card) -> int:
    """Bytes that it can reach: its own, and what of the machine's it may take where it has little."""
    own, of_machine = (
        int(machine.text(card.folder / f"mem_info_{kind}_total") or 0) for kind in ("vram", "gtt")
    )
    return max(own, of_machine) if own < 8 << 30 else own
