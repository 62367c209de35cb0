"""Where the least replicas of a fleet go: which node, which of its GPUs. Pure.

Best fit, largest first; where that leaves something over and there is not too much of it, a search through
all ways. Ray places replicas as they come: what has no place here has none there, either.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from backends.fleet.schema import Fleet, Place

# Ray counts fractions of a GPU or core in ten-thousandths; so do we, for exact sums.
UNIT = 10_000
SLOT = "slot "
# A search of more steps than this (over the number of machines and replicas), or for more replicas, would
# take seconds: then best fit has the last word. `TRIES`: orders in which all are placed.
MOST_WORK, MOST_SOUGHT, TRIES = 40_000, 200, 12


class Machine(NamedTuple):
    """One node, empty: `number` counts those of its kind, from 1."""

    kind: str
    number: int
    cpus: float
    gpus: int


class Ask(NamedTuple):
    """One replica that wants a place; `replica` from 1. Of a slot, `model` is `slot NAME`, which no model is
    called, and `variant` is empty."""

    model: str
    variant: str
    replica: int
    nodes: tuple[str, ...]
    share: float
    cpus: float


class Seat(NamedTuple):
    """A replica in its place. `gpus`: which of the machine's, from 0; none for a share of 0."""

    ask: Ask
    machine: Machine
    gpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """`seats` in the order of the fleet; `left`: who has no place, the first of each variant first."""

    seats: tuple[Seat, ...]
    left: tuple[Ask, ...]


def machines(fleet: Fleet) -> list[Machine]:
    return [
        Machine(kind, number + 1, node.cpus, node.gpus)
        for kind, node in fleet.nodes.items()
        for number in range(node.count)
    ]


def asks(fleet: Fleet) -> list[Ask]:
    """The least replicas of every variant that has a place of its own, and one of every slot."""
    return [
        *(asked(f"{SLOT}{name}", "", 1, slot.place) for name, slot in fleet.slots.items()),
        *(
            asked(name, variant, number + 1, one.place)
            for name, model in fleet.models.items()
            for variant, one in model.variants.items()
            if one.slot is None
            for number in range(one.scale.replicas[0])
        ),
    ]


def asked(model: str, variant: str, replica: int, place: Place) -> Ask:
    return Ask(model, variant, replica, place.nodes, place.share, place.cpus)


def place_of(fleet: Fleet, ask: Ask) -> Place:
    if ask.model.startswith(SLOT):
        return fleet.slots[ask.model.removeprefix(SLOT)].place
    return fleet.models[ask.model].variants[ask.variant].place


def solve(wanted: Sequence[Ask], on: Iterable[Machine]) -> Placement:
    """A place for each of `wanted`, or for as many as best fit finds where there is none for all."""
    there = list(on)
    seats: list[Seat] = []
    for some in _apart(wanted):
        kinds = {kind for ask in some for kind in ask.nodes}
        seats += _settled(some, [_Room(machine) for machine in there if machine.kind in kinds])
    found = {seat.ask: seat for seat in seats}
    return Placement(
        tuple(found[ask] for ask in wanted if ask in found), tuple(ask for ask in wanted if ask not in found)
    )


def room_for(share: float, free: Sequence[float]) -> tuple[int, ...] | None:
    """Which GPUs take a share best, by what is free on each; None where none does. A share below 1 never
    spans two, and one above takes whole ones."""
    return next(_gpus(_units(share), [_units(part) for part in free]), None)


class _Room:
    """What one machine has left. `key`: equal for machines that are as good as one another."""

    __slots__ = ("cpu", "gpus", "key", "machine")

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.cpu, self.gpus = _units(machine.cpus), [UNIT] * machine.gpus
        self._note()

    def move(self, ask: Ask, gpus: tuple[int, ...], sign: int) -> None:
        """In with a replica (`sign` 1), or out (-1)."""
        self.cpu -= sign * _units(ask.cpus)
        for index in gpus:
            self.gpus[index] -= sign * min(_units(ask.share), UNIT)
        self._note()

    def _note(self) -> None:
        self.key = (self.machine.kind, self.cpu, *sorted(self.gpus))


def _units(amount: float) -> int:
    return round(amount * UNIT)


def _orders(wanted: Sequence[Ask], rooms: Sequence[_Room]) -> Iterator[list[Ask]]:
    """Those with the least choice first, then the largest; the scarcest first, of GPUs and cores together;
    then by chance, always the same."""
    yield sorted(wanted, key=lambda ask: (len(ask.nodes), -ask.share, -ask.cpus))
    gpus, cpus = sum(len(room.gpus) for room in rooms) or 1, sum(room.machine.cpus for room in rooms) or 1
    weight = {ask: ask.share / gpus + ask.cpus / cpus for ask in wanted}
    yield sorted(wanted, key=weight.__getitem__, reverse=True)
    dice = random.Random(len(wanted))
    while len(wanted) <= MOST_SOUGHT:
        some = {ask: weight[ask] * dice.uniform(0.6, 1.4) for ask in wanted}
        yield sorted(wanted, key=some.__getitem__, reverse=True)


def _gpus(share: int, free: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The ways a share may go to GPUs, the tightest first; of equal ones the first."""
    if share == 0:
        yield ()
    elif share >= UNIT:
        whole = [index for index, left in enumerate(free) if left == UNIT]
        if len(whole) * UNIT >= share:
            yield tuple(whole[: share // UNIT])
    else:
        first = {left: index for index, left in reversed([*enumerate(free)]) if left >= share}
        yield from ((first[left],) for left in sorted(first))


def _ways(ask: Ask, rooms: Sequence[_Room]) -> list[tuple[tuple[int, int, int], _Room, tuple[int, ...]]]:
    """(how good, room, GPUs): all that differ, best first. A tight GPU is good; what needs none goes where
    few are free, so that cores beside GPUs stay."""
    cpu, share = _units(ask.cpus), _units(ask.share)
    found: list[tuple[tuple[int, int, int], _Room, tuple[int, ...]]] = []
    seen = set()
    for room in rooms:
        if room.key in seen or room.cpu < cpu or room.machine.kind not in ask.nodes:
            continue
        seen.add(room.key)
        for gpus in _gpus(share, room.gpus):
            tight = room.gpus[gpus[0]] if gpus else sum(room.gpus)
            found.append(((tight, room.cpu, len(found)), room, gpus))
    return sorted(found, key=lambda way: way[0])


def _settled(wanted: Sequence[Ask], rooms: Sequence[_Room]) -> list[Seat]:
    """By best fit; where that leaves some over, by search, in one order after the other."""
    most: list[Seat] = []
    if _too_much(wanted, rooms):
        return _best_fit(next(_orders(wanted, rooms)), rooms)
    for order in islice(_orders(wanted, rooms), TRIES):
        seats = _best_fit(order, rooms)
        if len(seats) == len(wanted):
            return seats
        most = max(most, seats, key=len)
        for seat in seats:
            next(room for room in rooms if room.machine is seat.machine).move(seat.ask, seat.gpus, -1)
    if len(wanted) <= MOST_SOUGHT:
        for order in islice(_orders(wanted, rooms), TRIES):
            if found := _search(order, rooms):
                return found
    return most


def _best_fit(wanted: Sequence[Ask], rooms: Sequence[_Room]) -> list[Seat]:
    seats = []
    for ask in wanted:
        for _, room, gpus in _ways(ask, rooms)[:1]:
            room.move(ask, gpus, 1)
            seats.append(Seat(ask, room.machine, gpus))
    return seats


def _search(wanted: Sequence[Ask], rooms: Sequence[_Room]) -> list[Seat] | None:
    """A place for all of them; None where there is none, or none was found in time. Leaves the rooms empty
    where it finds none."""
    seats: list[Seat] = []
    hopeless: set[tuple[object, ...]] = set()
    steps = MOST_WORK // (len(rooms) + len(wanted))
    shares = [_units(ask.share) for ask in wanted]
    cores = [_units(ask.cpus) for ask in wanted]

    def lost(number: int) -> bool:
        """Whether what is left of GPUs and cores in useful pieces is less than what is still to come."""
        least = min((share for share in shares[number:] if share), default=0)
        useful = sum(part for room in rooms for part in room.gpus if part >= least)
        return useful < sum(shares[number:]) or sum(room.cpu for room in rooms) < sum(cores[number:])

    def placed(number: int) -> bool:
        nonlocal steps
        if number == len(wanted):
            return True
        state = (number, *sorted(room.key for room in rooms))
        if not steps or state in hopeless or lost(number):
            return False
        steps -= 1
        for _, room, gpus in _ways(wanted[number], rooms):
            room.move(wanted[number], gpus, 1)
            seats.append(Seat(wanted[number], room.machine, gpus))
            if placed(number + 1):
                return True
            seats.pop()
            room.move(wanted[number], gpus, -1)
        hopeless.add(state)
        return False

    return seats if placed(0) else None


def _too_much(wanted: Sequence[Ask], rooms: Sequence[_Room]) -> bool:
    gpus, cpus = sum(sum(room.gpus) for room in rooms), sum(room.cpu for room in rooms)
    return sum(_units(ask.share) for ask in wanted) > gpus or sum(_units(ask.cpus) for ask in wanted) > cpus


def _apart(wanted: Sequence[Ask]) -> list[list[Ask]]:
    """Into groups that share no kind of node: what becomes of one is nothing to the others."""
    leader: dict[str, str] = {}

    def led(kind: str) -> str:
        while leader.setdefault(kind, kind) != kind:
            kind = leader[kind]
        return kind

    for ask in wanted:
        for other in ask.nodes[1:]:
            leader[led(other)] = led(ask.nodes[0])
    groups: dict[str, list[Ask]] = {}
    for ask in wanted:
        groups.setdefault(led(ask.nodes[0]), []).append(ask)
    return list(groups.values())
