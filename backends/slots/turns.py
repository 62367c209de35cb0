"""Who is in a slot, who comes next, and who goes for it. Pure: no clock, no engine; times are in seconds.

Who waits is served in the order of asking. For it those go that nobody uses, the longest unused first; where
all are in use, the one whose last request began first takes no new ones and goes when it has finished. Who
has just come has a turn first, in which it does not go: those who waited for it must get in.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

# A turn lasts for half of what the load took, and no longer than this: who waits next, waits for it too.
TURN, LONGEST_TURN_S = 0.5, 2.0

Stage = Literal["loading", "ready", "going"]


@dataclass(frozen=True, slots=True)
class Room:
    """What a slot holds: so many bytes, so many models at once; None where that is not counted."""

    memory: int | None = None
    most: int | None = None

    def holds(self, sizes: Collection[int]) -> bool:
        return (self.memory is None or sum(sizes) <= self.memory) and (
            self.most is None or len(sizes) <= self.most
        )


@dataclass(slots=True)
class _Here:
    """`until`: the end of its turn; `used`: when a request last began or (while none runs) ended; `parting`:
    it goes as soon as nothing runs; `barred`: and takes nothing more on."""

    stage: Stage = "loading"
    turn: float = 0.0
    until: float = 0.0
    used: float = 0.0
    ongoing: int = 0
    parting: bool = False
    barred: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """`instead`: who went for it."""

    name: str
    instead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What is to begin now: `evict` and `load`; `again`: when to look anew, if nothing happens before."""

    evict: tuple[str, ...] = ()
    load: tuple[Load, ...] = ()
    again: float | None = None


@dataclass(slots=True)
class _Plan:
    """A step in the making. `stay`: who is to be in the slot in the end; `go`: who is to leave, and for
    whom; `come`: who is to be loaded, in order."""

    stay: list[str]
    go: dict[str, str] = field(default_factory=dict)
    come: list[str] = field(default_factory=list)


class Turns:
    """`sizes`: bytes of each that may come; `pinned` are never evicted."""

    def __init__(self, room: Room, sizes: Mapping[str, int], pinned: Collection[str] = ()) -> None:
        self._room, self._sizes, self._pinned = room, dict(sizes), frozenset(pinned)
        self._here: dict[str, _Here] = {}
        self._queue: list[str] = []
        self._leaving: frozenset[str] = frozenset()
        self._went: dict[str, list[str]] = {}

    def possible(self, name: str) -> bool:
        """Whether it fits beside those that never go."""
        return self._fits({*self._pinned, name})

    def stage(self, name: str) -> Stage | Literal["queued", "absent"]:
        if name in self._here:
            return self._here[name].stage
        return "queued" if name in self._queue else "absent"

    def may(self, name: str) -> bool:
        """Whether a request for it may begin."""
        here = self._here.get(name)
        return here is not None and here.stage == "ready" and not here.barred and name not in self._leaving

    def want(self, name: str, now: float) -> None:
        """Somebody waits for it, or wants it kept. `possible` names only."""
        here = self._here.get(name)
        if here is not None:
            here.parting, here.used = here.barred, max(here.used, now)
        loading = here is not None and here.stage == "loading"
        if not loading and name not in self._queue and not self.may(name):
            self._queue.append(name)

    def begin(self, name: str, now: float) -> None:
        """A request for one that `may`."""
        here = self._here[name]
        here.ongoing, here.used = here.ongoing + 1, now

    def end(self, name: str, now: float) -> None:
        here = self._here[name]
        here.ongoing -= 1
        if not here.ongoing:  # not before: else who is to go would look newer with each that ends
            here.used = now

    def loaded(self, name: str, now: float, took: float) -> None:
        turn = min(TURN * took, LONGEST_TURN_S)
        self._here[name] = _Here("ready", turn, now + turn, now)

    def gone(self, name: str) -> None:
        """It has been closed, or did not load."""
        del self._here[name]

    def release(self, name: str, *, broken: bool = False) -> None:
        """It may go as soon as nothing runs; a `broken` one takes nothing more on."""
        if name in self._here:
            here = self._here[name]
            here.parting, here.barred = True, here.barred or broken

    def step(self, now: float) -> Step:
        """What is to begin now, noted as begun. To be asked after all that is told."""
        plan = self._plan(now)
        idle = [name for name, here in self._here.items() if here.stage == "ready" and not here.ongoing]
        evict = tuple(name for name in idle if name in plan.go or self._here[name].parting)
        for name in evict:
            self._here[name].stage = "going"
            if name in plan.go:
                self._went.setdefault(plan.go[name], []).append(name)
        self._leaving = frozenset(plan.go).difference(evict)
        load = tuple(self._coming(plan.come))
        turns = [here.until for here in self._here.values() if here.stage == "ready" and here.until > now]
        return Step(evict, load, min(turns, default=None) if self._queue else None)

    def _plan(self, now: float) -> _Plan:
        plan = _Plan([name for name, here in self._here.items() if here.stage != "going" and not here.barred])
        for name in tuple(self._queue):
            here = self._here.get(name)
            if name in plan.stay and here is not None:  # it need not go after all, and has a turn instead
                self._queue.remove(name)
                here.until = max(here.until, now + here.turn)
                continue
            found = None if here is not None else self._victims(name, plan.stay, now)
            if found is None:
                break
            plan.go.update(dict.fromkeys(found, name))
            plan.stay = [other for other in plan.stay if other not in found] + [name]
            plan.come.append(name)
        return plan

    def _victims(self, name: str, stay: Collection[str], now: float) -> list[str] | None:
        """Who is to go so that there is room for one more; None where not enough may."""
        able = [other for other in stay if self._evictable(other, now)]
        able.sort(key=lambda other: (self._here[other].ongoing > 0, self._here[other].used))
        chosen: list[str] = []
        while not self._fits({*stay, name}.difference(chosen)):
            if not able:
                return None
            chosen.append(able.pop(0))
        for spared in tuple(reversed(chosen)):  # small ones, where a larger one makes the room alone
            if self._fits({*stay, name}.difference(chosen) | {spared}):
                chosen.remove(spared)
        return chosen

    def _evictable(self, name: str, now: float) -> bool:
        here = self._here.get(name)
        return here is not None and here.stage == "ready" and now >= here.until and name not in self._pinned

    def _coming(self, names: Iterable[str]) -> Iterable[Load]:
        """In order, as far as there is room already."""
        for name in names:
            if not self._fits({*self._here, name}):
                return
            self._here[name] = _Here()
            self._queue.remove(name)
            yield Load(name, tuple(self._went.pop(name, ())))

    def _fits(self, names: Collection[str]) -> bool:
        return self._room.holds([self._sizes[name] for name in names])
