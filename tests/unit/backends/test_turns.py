"""Who goes next, by a clock of the test's own."""

import heapq
from collections import Counter
from collections.abc import Iterable

import pytest

from backends.contract.tasks import NOBODY, Asker
from backends.turns import MANY, Turns

ANN, BOB, EVE = (Asker(name) for name in ("ann", "bob", "eve"))


def order(turns: Turns[str], seconds: float = 1.0) -> list[str]:
    """One after the other, each as long as it is told."""
    found = []
    while (following := turns.next()) is not None:
        who, expected = following
        found.append(who)
        turns.end(Asker(who[:3]), expected, seconds)
    return found


def served(
    askers: Iterable[tuple[Asker, float]], slots: int, until: float, waiting: int = 20
) -> dict[str, float]:
    """Seconds that each key had of `slots` places, when each always has `waiting` requests waiting that take
    so many seconds each."""
    turns, takes, had = Turns[Asker](), dict(askers), Counter[str]()
    for asker in takes:
        for _ in range(waiting):
            turns.wait(asker, asker)
    running: list[tuple[float, int, Asker, float]] = []
    now, number = 0.0, 0
    while now < until:
        while len(running) < slots and (following := turns.next()) is not None:
            asker, expected = following
            number += 1
            heapq.heappush(running, (now + takes[asker], number, asker, expected))
            turns.wait(asker, asker)
        now, _, asker, expected = heapq.heappop(running)
        had[asker.key] += takes[asker]
        turns.end(asker, expected, takes[asker])
    return dict(had)


def test_of_one_key_who_came_first() -> None:
    turns = Turns[str]()
    for number in range(3):
        turns.wait(NOBODY, f"   {number}")
    found = []
    while (following := turns.next()) is not None:
        found.append(following[0])
    assert found == ["   0", "   1", "   2"]


def test_a_crowd_does_not_push_back_who_comes_alone() -> None:
    turns = Turns[str]()
    for number in range(5):
        turns.wait(ANN, f"ann{number}")
    turns.wait(BOB, "bob0")
    turns.wait(BOB, "bob1")
    assert order(turns) == ["ann0", "bob0", "ann1", "bob1", "ann2", "ann3", "ann4"]


@pytest.mark.parametrize("slots", [1, 4, 16])
@pytest.mark.parametrize("seconds", [1.0, 5.0])
def test_time_is_shared_and_not_requests(slots: int, seconds: float) -> None:
    had = served([(ANN, 1.0), (BOB, seconds)], slots, until=2000)
    assert had["ann"] == pytest.approx(had["bob"], rel=0.1)


def test_by_weight() -> None:
    had = served([(ANN, 1.0), (Asker("bob", 3), 2.0)], 4, until=2000)
    assert had["bob"] == pytest.approx(3 * had["ann"], rel=0.1)


def test_a_higher_rank_goes_before() -> None:
    turns = Turns[str]()
    for asker in (Asker("low", rank=-1), ANN, Asker("top", rank=1), BOB):
        turns.wait(asker, asker.key)
    assert order(turns) == ["top", "ann", "bob", "low"]


def test_time_that_was_not_used_is_not_saved_up() -> None:
    turns = Turns[str]()
    quiet = turns.begin(BOB)  # it runs all the while, and that is all it does
    for number in range(50):
        turns.wait(ANN, f"ann{number}")
    for _ in range(50):
        following = turns.next()
        assert following is not None
        turns.end(ANN, following[1], 10.0)
        turns.wait(ANN, "ann")
    for _ in range(20):
        turns.wait(BOB, "bob")
    nexts = [turns.next() for _ in range(20)]
    turns.end(BOB, quiet, 1.0)
    assert 8 <= sum(one is not None and one[0] == "bob" for one in nexts) <= 13


def test_what_was_used_while_nobody_waited_costs_nothing() -> None:
    turns = Turns[str]()
    for _ in range(5):
        turns.end(ANN, turns.begin(ANN), 1000.0)
    turns.wait(BOB, "bob")
    turns.wait(ANN, "ann")
    turns.wait(BOB, "bob")
    assert order(turns) == ["bob", "ann", "bob"]


def test_who_leaves_is_passed_over() -> None:
    turns = Turns[str]()
    turns.wait(ANN, "ann0")
    turns.wait(ANN, "ann1")
    turns.leave(ANN, "ann0")
    assert turns.waiting == 1
    assert order(turns) == ["ann1"]


def test_who_gives_up_a_place() -> None:
    turns = Turns[str]()
    for number in range(4):
        turns.wait(ANN, f"ann{number}")
    assert turns.crowded_out(ANN) is None
    assert turns.crowded_out(BOB) == "ann3"
    turns.wait(BOB, "bob0")
    assert turns.crowded_out(BOB) == "ann2"
    turns.wait(BOB, "bob1")
    assert turns.crowded_out(BOB) is None
    assert turns.crowded_out(EVE) in ("ann1", "bob1")
    turns.wait(EVE, "eve0")
    assert turns.crowded_out(Asker("low", rank=-1)) is None
    assert turns.crowded_out(Asker("top", rank=1)) is not None
    assert turns.waiting == 3


def test_more_for_who_weighs_more() -> None:
    turns = Turns[str]()
    heavy = Asker("bob", weight=2)
    for number in range(2):
        turns.wait(ANN, f"ann{number}")
        turns.wait(heavy, f"bob{number}")
    assert turns.crowded_out(heavy) == "ann1"


def test_keys_that_come_once_are_forgotten() -> None:
    turns = Turns[str]()
    turns.wait(ANN, "ann")
    for number in range(3 * MANY):
        one = Asker(str(number))
        turns.end(one, turns.begin(one), 50.0)
    assert len(turns._lines) <= MANY + 1
    assert order(turns) == ["ann"]
    assert not turns._lines
