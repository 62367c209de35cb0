"""Do all the least replicas fit on the nodes together? Where not: what is in the way, what would help."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from backends.fleet.placement import SLOT, Ask, Machine, Placement, Seat, asks, machines, room_for, solve
from backends.fleet.problems import Finding, Path
from backends.fleet.schema import Fleet

MOST_NAMED = 6


def crowding(fleet: Fleet) -> Iterator[Finding]:
    """One finding per variant whose least replicas find no room beside the others."""
    there = machines(fleet)
    placement = solve(asks(fleet), there)
    # The first replica of each variant that has no place speaks for the others.
    for ask in {(ask.model, ask.variant): ask for ask in reversed(placement.left)}.values():
        lack, message = in_the_way(ask, there, placement.seats)
        path: Path
        if ask.model.startswith(SLOT):
            who, path = ask.model, ("slots", ask.model.removeprefix(SLOT), "place", lack)
        else:
            least = fleet.models[ask.model].variants[ask.variant].scale.replicas[0]
            who = f"{ask.model}, variant {ask.variant}" + (f", replica {ask.replica}" if least > 1 else "")
            path = ("models", ask.model, "variants", ask.variant, "place", lack)
        yield Finding(path, f"{who}: {message}", _what_would_help(fleet, ask, placement))


def in_the_way(ask: Ask, there: Iterable[Machine], seats: Iterable[Seat]) -> tuple[str, str]:
    """(`node`, `share` or `cpus`: what is lacking; why no machine of its kinds takes it beside those
    seats). Both empty where one does."""
    mine = [machine for machine in there if machine.kind in ask.nodes]
    beside = [seat for seat in seats if seat.machine.kind in ask.nodes]
    where = " or ".join(ask.nodes)
    if not mine:
        return "node", f"no node {where} in the cluster"
    free = {machine: free_gpus(machine, beside) for machine in mine}
    roomy = [machine for machine in mine if room_for(ask.share, free[machine]) is not None]
    if not roomy:
        return "share", f"needs {_amount(ask.share)} on {where}{_filled(ask, beside, list(free.values()))}"
    left = max(
        machine.cpus - sum(seat.ask.cpus for seat in beside if seat.machine == machine) for machine in roomy
    )
    if left < ask.cpus:
        return "cpus", f"needs {ask.cpus:g} cpus on {where}, which has {left:g} left"
    return "", ""


def free_gpus(machine: Machine, seats: Iterable[Seat]) -> list[float]:
    """What is left of each of its GPUs, 0…1."""
    free = [1.0] * machine.gpus
    for seat in seats:
        for gpu in seat.gpus if seat.machine == machine else ():
            free[gpu] = round(free[gpu] - min(seat.ask.share, 1.0), 4)
    return free


def _filled(ask: Ask, seats: Iterable[Seat], free: Sequence[Sequence[float]]) -> str:
    there = [seat.ask for seat in seats if seat.gpus]
    if not there:
        return f", which has {max(map(len, free))}"
    leave, fill = ("leaves", "fills") if len(there) == 1 else ("leave", "fill")
    most = max((part for parts in free for part in parts), default=0.0)
    if most <= 0:
        return f"; {_tenants(there)} {fill} it"
    whole = max(sum(part == 1 for part in parts) for parts in free)
    rest = f"{most:g} of one" if ask.share < 1 else f"{whole or 'none'} whole"
    return f"; {_tenants(there)} {leave} {rest}"


def _tenants(there: Iterable[Ask]) -> str:
    """`whisper 0.5 and xtts 0.5`; equal ones together."""
    counted = Counter(f"{ask.model} {ask.share:g}" for ask in there)
    named = [f"{many} × {one}" if many > 1 else one for one, many in counted.most_common(MOST_NAMED)]
    if more := len(counted) - len(named):
        named.append(f"{more} more")
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))


def _amount(share: float) -> str:
    return f"{share:g} of a GPU" if share < 1 else "1 GPU" if share == 1 else f"{share:g} GPUs"


def _what_would_help(fleet: Fleet, ask: Ask, placement: Placement) -> str:
    kind = ask.nodes[0]
    count = _enough(fleet, kind, sum(kind in other.nodes for other in placement.left))
    what = "lower a share" if ask.share else "reserve fewer cpus"
    of = f"count: {count}" if len(ask.nodes) == 1 else f"count: {count} of {kind}"
    return f"{what} to fit, add a node ({of}), or start from 0 replicas"


def _enough(fleet: Fleet, kind: str, most: int) -> int:
    """The least count of a kind with which all find a place that may be there; `most` more always do."""
    wanted = [ask for ask in asks(fleet) if kind in ask.nodes]
    others = [machine for machine in machines(fleet) if machine.kind != kind]
    node = fleet.nodes[kind]
    few, many = node.count, node.count + most
    while many - few > 1:
        middle = (few + many) // 2
        more = [Machine(kind, number + 1, node.cpus, node.gpus) for number in range(middle)]
        if solve(wanted, [*others, *more]).left:
            few = middle
        else:
            many = middle
    return many
