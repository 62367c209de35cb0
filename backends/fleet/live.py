"""The fleet beside the nodes that are really there: what is missing, and why a replica waits. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from backends.contract.state import ReplicaState, VariantState
from backends.fleet.crowding import in_the_way
from backends.fleet.placement import SLOT, Machine, Placement, Seat, asked, asks, room_for, solve
from backends.fleet.schema import Fleet, app_name


@dataclass(frozen=True, slots=True)
class Node:
    """A living node of the cluster. `id`: Ray's; `kind`: its label, empty without one."""

    id: str
    kind: str
    cpus: float
    gpus: int


def lacking(fleet: Fleet, nodes: Iterable[Node]) -> list[str]:
    """What the fleet says there is and the cluster has not, a sentence each."""
    there = list(nodes)
    said = []
    for kind, node in fleet.nodes.items():
        living = [one for one in there if one.kind == kind]
        if not living:
            said.append(f"no node {kind} in the cluster")
            continue
        if len(living) < node.count:
            said.append(f"{kind}: {len(living)} of {node.count} nodes are in the cluster")
        for what, wanted in (("gpus", node.gpus), ("cpus", node.cpus)):
            least = min(getattr(one, what) for one in living)
            if least < wanted:
                said.append(f"{kind}: the fleet says {wanted} {what}, the cluster has {least:g}")
    if strangers := sorted({one.kind or "unlabelled" for one in there} - fleet.nodes.keys()):
        said.append(f"not in the fleet: {', '.join(strangers)}")
    return said


def on_these(fleet: Fleet, nodes: Iterable[Node]) -> tuple[Placement, list[str]]:
    """The least replicas placed on the nodes that are there, and for each that would wait, why."""
    there = _machines(nodes)
    placement = solve(asks(fleet), there.values())
    waits = [
        (
            f"{ask.model}: "
            if not ask.variant
            else f"{ask.model}, variant {ask.variant}, replica {ask.replica}: "
        )
        + in_the_way(ask, there.values(), placement.seats)[1]
        for ask in placement.left
    ]
    return placement, waits


def reasons(fleet: Fleet, nodes: Sequence[Node], states: Mapping[str, VariantState]) -> dict[str, str]:
    """For each application with replicas that have no place: why not, in the fleet's words. Nothing of one
    that has room, or is only just being started."""
    there = _machines(nodes)
    seats = _seats(fleet, there, states)
    said = {}
    for name, model in fleet.models.items():
        for variant, one in model.variants.items():
            app = app_name(name, variant)
            if app in states and states[app].pending:
                ask = asked(name, variant, 0, one.place)
                _, why = in_the_way(ask, there.values(), seats)
                said[app] = why
    return {app: why for app, why in said.items() if why}


def _machines(nodes: Iterable[Node]) -> dict[str, Machine]:
    """By Ray's id; numbered within their kind."""
    numbers: dict[str, int] = {}
    found = {}
    for node in nodes:
        numbers[node.kind] = numbers.get(node.kind, 0) + 1
        found[node.id] = Machine(node.kind, numbers[node.kind], node.cpus, node.gpus)
    return found


def _seats(fleet: Fleet, there: Mapping[str, Machine], states: Mapping[str, VariantState]) -> list[Seat]:
    """Who sits where, by what the replicas say of themselves; of one that has not spoken yet, where it
    fits beside the others."""
    sitting = {
        # The process of a slot sits there once, however many of its variants are in it.
        replica.id or (name, variant, number): (
            asked(name, variant, number, one.place)
            if one.slot is None
            else asked(f"{SLOT}{one.slot}", "", 0, one.place),
            replica,
        )
        for name, model in fleet.models.items()
        for variant, one in model.variants.items()
        for number, replica in enumerate(_replicas(states, app_name(name, variant)))
        if replica.machine in there
    }
    free = {machine: [1.0] * machine.gpus for machine in there.values()}
    seats = []
    for ask, replica in sorted(sitting.values(), key=lambda one: not one[1].gpus):
        machine = there[replica.machine]
        known = tuple(gpu for gpu in replica.gpus if gpu < machine.gpus)
        gpus = known or room_for(ask.share, free[machine]) or ()
        for gpu in gpus:
            free[machine][gpu] = round(free[machine][gpu] - min(ask.share, 1.0), 4)
        seats.append(Seat(ask, machine, gpus))
    return seats


def _replicas(states: Mapping[str, VariantState], app: str) -> Iterable[ReplicaState]:
    return states[app].replicas if app in states else ()


def explained(
    fleet: Fleet, nodes: Sequence[Node], states: Mapping[str, VariantState]
) -> dict[str, VariantState]:
    """`states`, and in the message of each that waits for a place or is down why, where it has none."""
    said = reasons(fleet, nodes, states)
    return {
        app: replace(state, message=state.message or said.get(app) or _silent(state))
        for app, state in states.items()
    }


def _silent(state: VariantState) -> str:
    """Who could not start leaves last words; who ran, and was ended, none."""
    return "its process ended; it is being restarted" if state.readiness == "down" else ""
