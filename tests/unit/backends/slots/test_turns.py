"""Who gets a slot's room, and how long the others wait, under a virtual clock."""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from backends.slots.turns import LONGEST_TURN_S, Load, Room, Turns

GIB = 2**30
CLOSING_S = 0.05


def loaded(turns: Turns, name: str, now: float, took: float = 1.0) -> None:
    """Bring one in that has room, or waits for nobody."""
    turns.want(name, now)
    assert [load.name for load in turns.step(now).load] == [name]
    turns.loaded(name, now + took, took)


@pytest.fixture
def two() -> Turns:
    """Room for two of `a` to `d`; `a` and `b` are in it since 1.0 and 2.0, and their turns are over at 3."""
    turns = Turns(Room(most=2), dict.fromkeys("abcd", GIB))
    loaded(turns, "a", 0.0)
    loaded(turns, "b", 1.0)
    return turns


def test_who_is_unused_for_longest_goes(two: Turns) -> None:
    two.begin("a", 3.0)
    two.end("a", 3.5)
    two.want("c", 4.0)
    assert two.step(4.0).evict == ("b",)
    assert not two.step(4.0).load  # before that is closed there is no room
    two.gone("b")
    assert two.step(4.1).load == (Load("c", ("b",)),)
    assert [two.stage(name) for name in "abcd"] == ["ready", "absent", "loading", "absent"]


def test_nobody_goes_with_a_request_in_flight(two: Turns) -> None:
    two.begin("a", 3.0)
    two.begin("b", 3.1)
    two.want("c", 4.0)
    assert not two.step(4.0).evict
    # The one that will go takes nothing more on, and who wants it waits behind `c`.
    assert (two.may("a"), two.may("b")) == (False, True)
    two.want("a", 4.1)
    assert (two.stage("a"), two.step(4.1).evict) == ("ready", ())
    two.end("a", 5.0)
    assert two.step(5.0).evict == ("a",)
    two.gone("a")
    assert [load.name for load in two.step(5.0).load] == ["c"]


def test_who_becomes_idle_first_goes_in_the_place_of_who_was_to_go(two: Turns) -> None:
    two.begin("a", 3.0)
    two.begin("b", 3.1)
    two.want("c", 4.0)
    two.step(4.0)
    two.end("b", 4.5)
    assert two.step(4.5).evict == ("b",)
    assert two.may("a")


def test_who_has_come_has_a_turn(two: Turns) -> None:
    two.want("c", 3.0)
    two.step(3.0)
    two.gone("a")
    two.step(3.0)
    two.begin("b", 3.5)
    two.loaded("c", 4.0, 1.0)
    two.want("d", 4.0)
    assert two.step(4.0).again == 4.5  # `b` will go for it, unless `c` is idle when its turn is over
    assert not two.may("b")
    assert two.step(4.5).evict == ("c",)
    two.loaded("b", 5.0, 1000.0)
    two.want("a", 5.0)
    assert two.step(5.0).again == 5.0 + LONGEST_TURN_S


def test_a_pinned_one_never_goes() -> None:
    turns = Turns(Room(most=2), dict.fromkeys("abc", 1), pinned={"a"})
    loaded(turns, "a", 0.0)
    loaded(turns, "b", 1.0)
    turns.want("c", 9.0)
    assert turns.step(9.0).evict == ("b",)


def test_what_fits_beside_the_others_needs_nobody_to_go() -> None:
    turns = Turns(Room(memory=4 * GIB), {"a": 3 * GIB, "b": GIB, "c": GIB})
    loaded(turns, "a", 0.0)
    loaded(turns, "b", 1.0)
    turns.want("c", 9.0)
    assert turns.step(9.0).evict == ("a",)


def test_no_more_go_than_must() -> None:
    turns = Turns(Room(memory=4 * GIB), {"small": GIB, "large": 3 * GIB, "other": 3 * GIB})
    loaded(turns, "small", 0.0)
    loaded(turns, "large", 1.0)
    turns.want("other", 9.0)
    assert turns.step(9.0).evict == ("large",)  # though `small` is unused for longer


def test_what_can_never_fit_is_known() -> None:
    turns = Turns(Room(memory=4 * GIB), {"kept": 2 * GIB, "fits": 2 * GIB, "not": 3 * GIB}, pinned={"kept"})
    assert [turns.possible(name) for name in ("kept", "fits", "not")] == [True, True, False]


def test_released_it_goes_when_nothing_runs_unless_it_is_wanted_again(two: Turns) -> None:
    two.begin("a", 3.0)
    two.release("a")
    assert not two.step(3.0).evict
    assert two.may("a")
    two.want("a", 3.1)
    two.end("a", 3.2)
    assert not two.step(3.2).evict
    two.release("a")
    assert two.step(3.3).evict == ("a",)


def test_a_broken_one_takes_nothing_more_on_and_goes(two: Turns) -> None:
    two.begin("a", 3.0)
    two.release("a", broken=True)
    assert (two.step(3.0).evict, two.may("a")) == ((), False)
    two.want("a", 3.1)
    two.end("a", 3.2)
    assert two.step(3.2).evict == ("a",)
    two.gone("a")
    assert [load.name for load in two.step(3.3).load] == ["a"]


@dataclass
class Waits:
    """One request that was not answered at once: for how long in all, and for how long of that a model
    was in the slot that nobody used."""

    name: str
    since: float
    in_all: float = 0.0
    beside_idle: float = 0.0


@dataclass
class Replay:
    """Requests on models of one slot, played on a virtual clock: (when, which, for how long). `alone`: loads
    follow one another, as on a GPU."""

    loads: dict[str, float]
    requests: Iterator[tuple[float, str, float]]
    room: Room
    sizes: dict[str, int]
    alone: bool = False
    now: float = 0.0
    waiting: list[tuple[Waits, float]] = field(default_factory=list)
    ended: list[Waits] = field(default_factory=list)
    swaps: int = 0

    def run(self) -> "Replay":
        turns, number = Turns(self.room, self.sizes), itertools.count()
        ongoing, looked, free = dict.fromkeys(self.sizes, 0), -1.0, 0.0
        agenda: list[tuple[float, int, Callable[[], None]]] = []

        def at(when: float, what: Callable[[], None]) -> None:
            heapq.heappush(agenda, (when, next(number), what))

        def end(name: str) -> None:
            turns.end(name, self.now)
            ongoing[name] -= 1

        def begin(name: str, lasts: float) -> None:
            turns.begin(name, self.now)
            ongoing[name] += 1
            at(self.now + lasts, lambda: end(name))

        def ask(name: str, lasts: float) -> None:
            self.waiting.append((Waits(name, self.now), lasts))
            turns.want(name, self.now)

        def come(name: str, took: float) -> None:
            turns.loaded(name, self.now, took)

        for when, name, lasts in self.requests:
            at(when, lambda name=name, lasts=lasts: ask(name, lasts))  # type: ignore[misc]
        while agenda:
            when, _, what = heapq.heappop(agenda)
            idle = any(turns.stage(name) == "ready" and not ongoing[name] for name in self.sizes)
            for one, _ in self.waiting:
                one.in_all += when - self.now
                one.beside_idle += (when - self.now) * idle
            self.now = when
            what()
            step = turns.step(self.now)
            for name in step.evict:
                assert not ongoing[name]
                at(self.now + CLOSING_S, lambda name=name: turns.gone(name))  # type: ignore[misc]
            for load in step.load:
                self.swaps += 1
                free = (max(free, self.now) if self.alone else self.now) + self.loads[load.name]
                at(free, lambda name=load.name, took=free - self.now: come(name, took))  # type: ignore[misc]
            if step.again is not None and step.again != looked:
                looked = step.again
                at(looked, lambda: None)
            present = [name for name in self.sizes if turns.stage(name) in ("loading", "ready", "going")]
            assert self.room.holds([self.sizes[name] for name in present])
            able = [(one, lasts) for one, lasts in self.waiting if turns.may(one.name)]
            self.waiting = [(one, lasts) for one, lasts in self.waiting if not turns.may(one.name)]
            for one, lasts in able:
                begin(one.name, lasts)
                self.ended.append(one)
        return self


def zipf(seed: int, models: str, rate: float, lasts: float, alone: bool, count: int = 100) -> Replay:
    """`rate` requests a second, the first model twice as often as the second, three times as the third …;
    each lasts `lasts` seconds on average. Loads take 1 to 4 s."""
    dice = random.Random(seed)
    weights = [1 / rank for rank in range(1, len(models) + 1)]
    when = itertools.accumulate(dice.expovariate(rate) for _ in range(count))
    requests = [
        (at, dice.choices(models, weights)[0], dice.expovariate(1 / lasts) if lasts else 0.0) for at in when
    ]
    loads = {name: dice.uniform(1, 4) for name in models}
    sizes = {name: dice.randrange(GIB // 2, GIB) for name in models}
    return Replay(loads, iter(requests), Room(2 * GIB, most=2), sizes, alone).run()


@pytest.mark.parametrize("rate", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("lasts", [0.0, 0.3, 6.0])
@pytest.mark.parametrize("alone", [False, True])
def test_nobody_waits_long_while_something_is_idle(rate: float, lasts: float, alone: bool) -> None:
    for seed in range(6):
        replay = zipf(seed, "abcd", rate, lasts, alone)
        slowest = max(replay.loads.values())
        assert len(replay.ended) == 100
        assert replay.swaps >= 4
        assert max(one.beside_idle for one in replay.ended) <= 3 * slowest
        if not (lasts or alone):  # then nothing else is waited for than loads
            assert max(one.in_all for one in replay.ended) <= 3 * slowest


def test_a_stream_of_requests_for_those_in_the_slot_starves_nobody() -> None:
    """`a` and `b` are never both idle, nor is either for long: requests overlap without a gap."""
    often = [(number * 0.5, "ab"[number % 2], 1.5) for number in range(400)]
    requests = sorted([*often, (20.0, "c", 0.1), (120.0, "d", 0.1)])
    replay = Replay(dict.fromkeys("abcd", 2.0), iter(requests), Room(most=2), dict.fromkeys("abcd", 1)).run()
    rare = [one for one in replay.ended if one.name in "cd"]
    assert len(rare) == 2
    assert max(one.in_all for one in rare) <= 1.5 + CLOSING_S + 2.0 + 1e-6
