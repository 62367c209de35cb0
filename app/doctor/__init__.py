"""Will Motley run here? Each check looks at the machine, and yields what it finds. Nothing is changed."""

from collections.abc import Iterator

from app.doctor import cluster, room, software
from app.doctor.cards import on_the_bus
from app.doctor.dri import amd, intel
from app.doctor.finding import Finding, warning, wrong
from app.doctor.machine import Machine
from app.doctor.nvidia import nvidia
from app.doctor.surroundings import hooks, interpreters, keys
from backends.contract.errors import InvalidRequest
from backends.fleet.schema import Fleet
from backends.sources import locate
from backends.sources.address import parse

_VENDORS = {"nvidia": nvidia, "amd": amd, "intel": intel}


def examined(
    machine: Machine, fleet: Fleet | None = None, node: str | None = None, port: int = 8000
) -> Iterator[Finding]:
    """All there is to say. `fleet`: one that was checked; `node`: the kind of node in it that this machine
    is, None where that is not known; `port`: the door's."""
    yield from software.packages(machine, fleet, node)
    yield from interpreters(machine, fleet, node)
    yield from keys(machine, fleet, node)
    yield from hooks(machine, fleet)
    yield from software.torch(machine, fleet, node)
    yield from cards(machine, fleet, node)
    yield from room.memory(machine, fleet, node)
    yield from room.processors(machine, fleet, node)
    yield from room.shared_memory(machine)
    yield from room.scratch(machine)
    yield from room.store(machine, fleet, node)
    yield from sources(fleet, node)
    yield from room.descriptors(machine)
    yield from cluster.other_clusters(machine)
    yield from cluster.haproxy(machine)
    yield from cluster.port(machine, port)
    yield from cluster.proxies(machine)


def cards(machine: Machine, fleet: Fleet | None, node: str | None) -> Iterator[Finding]:
    """Where the kind of node is known, those of its vendor, and they must work; else those that are here, and
    whoever does not use them may leave them as they are."""
    wanted = fleet.nodes[node] if fleet is not None and node is not None else None
    found = on_the_bus(machine)
    for vendor, look in _VENDORS.items():
        theirs = [card for card in found if card.vendor == vendor]
        if wanted is None:
            yield from map(_milder, look(machine, theirs, "", None))
        elif wanted.vendor == vendor:
            yield from look(machine, theirs, node or "", wanted)


def _milder(finding: Finding) -> Finding:
    return warning(finding.about, finding.message, finding.fix) if finding.state == "wrong" else finding


def sources(fleet: Fleet | None, node: str | None) -> Iterator[Finding]:
    """Whether what lies on the node is there."""
    for one in software.placed(fleet, node):
        address = parse(one.source)
        if not address.far:
            try:
                locate(one.source)
            except InvalidRequest:
                said = f"{one.source} is not on this machine"
                yield wrong("models", said, "copy or mount it there, or change the `source:` in the fleet")
