"""Cards and their drivers, of each vendor."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.doctor.finding import Finding, ok, warning, wrong
from app.doctor.machine import Machine, gib
from backends.contract.engine import Vendor
from backends.fleet.schema import Node
from backends.sizes import size_in_bytes
from backends.startlock import VISIBLE

NAMES: Mapping[Vendor, str] = {"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel"}
_IDS: Mapping[str, Vendor] = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel"}
# Where systems keep the libraries that drivers bring; WSL has its own.
_LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64",
    "/usr/lib", "/usr/lib/wsl/lib", "/usr/local/lib", "/usr/local/nvidia/lib64", "/run/opengl-driver/lib",
)  # fmt: skip
SPARE = 1.05  # a fleet may say a little more than there is: 8Gi of a card that keeps something for itself


@dataclass(frozen=True, slots=True)
class Card:
    """A card on the PCI bus. `driver`: the kernel's, empty where none has it; `render`: its file in
    `/dev/dri`, empty where the driver made none."""

    vendor: Vendor
    folder: Path
    driver: str
    render: str

    @property
    def address(self) -> str:
        return self.folder.name


def on_the_bus(machine: Machine) -> list[Card]:
    found = []
    for folder in machine.within("/sys/bus/pci/devices"):
        kind, vendor = machine.text(folder / "class"), _IDS.get(machine.text(folder / "vendor"))
        # Displays, and what AMD's accelerators are; Intel's of that class is no card for us.
        if vendor and (kind.startswith("0x03") or (vendor == "amd" and kind.startswith("0x12"))):
            files = [one.name for one in machine.within(folder / "drm") if one.name.startswith("renderD")]
            driver = machine.link(folder / "driver")
            found.append(Card(vendor, folder, driver, files[0] if files else ""))
    return found


def library(machine: Machine, name: str) -> Path | None:
    """Where a shared library lies, links followed; None where it is nowhere to be found."""
    own = machine.environment.get("LD_LIBRARY_PATH", "").split(":")
    for folder in (*_LIBRARIES, *filter(None, own)):
        if (path := machine.at(folder) / name).exists():
            return path.resolve()
    return None


def counted(vendor: Vendor, count: int, node: str, wanted: Node | None) -> Iterator[Finding]:
    """Whether there are as many as the fleet says."""
    if wanted is not None and count < wanted.gpus:
        said = f"the fleet says {wanted.gpus} of {NAMES[vendor]}'s on {node}, this machine has {count}"
        fix = f"`gpus: {count}`" if count else f"place models elsewhere than on {node}"
        yield wrong(vendor, said, f"in the fleet, {fix}")


def visible(machine: Machine, vendor: Vendor) -> Iterator[Finding]:
    """Whether a variable hides all cards. To the vendors' runtimes an empty one does."""
    for name in VISIBLE[vendor]:
        if (value := machine.environment.get(name)) is not None and value.strip() in (
            "",
            "-1",
            "none",
            "NoDevFiles",
        ):
            yield wrong(vendor, f"{name} is set and names no card, which hides all of them", f"unset {name}")


def reachable(machine: Machine, vendor: Vendor, files: list[str]) -> Iterator[Finding]:
    """Whether this process may use the files of its cards."""
    denied = [file for file in files if machine.there(file) and not machine.may_use(machine.at(file))]
    if not denied:
        return
    groups = ",".join(sorted({machine.group(machine.at(file).stat().st_gid) for file in denied}))
    fix = f'sudo usermod -aG {groups} "$USER"'
    if machine.boxed:
        fix = "docker run " + " ".join(f"--group-add {name}" for name in groups.split(","))
    said = (
        f"this user may not use {', '.join(denied)}: the group {groups} may (it counts from the next login)"
    )
    yield wrong(vendor, said, fix)


def promised(vendor: Vendor, node: str, wanted: Node | None, found: int | None) -> Iterator[Finding]:
    """Whether the fleet says no more memory than the smallest card has. `found`: bytes."""
    if wanted is None or wanted.vram is None or not found:
        return
    if size_in_bytes(wanted.vram) > SPARE * found:
        said = f"{node} has cards of {wanted.vram} in the fleet, and this machine's have {gib(found)}"
        yield warning(
            vendor, f"{said}: shares promise more than there is", f"in the fleet, `vram: {found >> 20}Mi`"
        )


def summed(vendor: Vendor, cards: list[str], about: str) -> Finding:
    """That all is well. `cards`: what each is called."""
    names = ", ".join(
        f"{cards.count(name)} × {name}" if cards.count(name) > 1 else name for name in dict.fromkeys(cards)
    )
    return ok(vendor, f"{names}; {about}")
