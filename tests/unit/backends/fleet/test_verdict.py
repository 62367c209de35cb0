"""The policy of a rollback, replayed by a clock of its own."""

import random
from collections.abc import Callable

import pytest

from backends.fleet.schema import Rollback
from backends.fleet.verdict import MOST, Outcome, Verdict, Window, judged, larger, least_difference

POLICY = Rollback()
REPLAYS = 100
Draw = Callable[[random.Random], float | None]


def request(seconds: float, failing: float = 0.0) -> Draw:
    """Log-normal times with that median, a wide spread, and some failures."""
    return lambda chance: None if chance.random() < failing else seconds * chance.lognormvariate(0, 0.8)


def replay(
    seed: int, home: Draw, other: Draw, *, share: float = 0.1, rate: float = 10, seconds: float = 120
) -> tuple[float, Verdict] | None:
    """A Poisson stream of requests, judged once a second: when a verdict fell, and which."""
    chance = random.Random(seed)
    windows = {False: Window(POLICY.window_s), True: Window(POLICY.window_s)}
    now, look = 0.0, 1.0
    while now < seconds:
        now += chance.expovariate(rate)
        while look < now:
            verdict = judged(POLICY, windows[False].since(look), windows[True].since(look))
            if verdict is not None:
                return look, verdict
            look += 1.0
        canary = chance.random() < share
        windows[canary].add(Outcome(now, (other if canary else home)(chance)))
    return None


@pytest.mark.parametrize("failing", [0.0, 0.02, 0.3])
def test_an_equal_one_never_loses_its_traffic(failing: float) -> None:
    """A hundred pairs that are alike, however well they do, looked at once a second."""
    same = request(0.2, failing)
    assert [seed for seed in range(REPLAYS) if replay(seed, same, same, seconds=60)] == []


@pytest.mark.parametrize("failing", [1.0, 0.4])
def test_a_failing_one_always_does_within_its_window(failing: float) -> None:
    for seed in range(REPLAYS):
        found = replay(seed, request(0.2), request(0.2, failing), seconds=POLICY.window_s)
        assert found is not None, seed
        assert found[1].reason == "errors"


def test_a_slow_one_always_does_within_its_window() -> None:
    for seed in range(REPLAYS):
        found = replay(seed, request(0.2), request(1.2), seconds=POLICY.window_s)
        assert found is not None, seed
        assert found[1].reason == "latency"
        assert "the first item took" in found[1].why


def test_one_that_is_a_little_worse_stays() -> None:
    """Within what the policy grants: 2 points more failures, 1.5 times the seconds."""
    for seed in range(REPLAYS // 4):
        assert replay(seed, request(0.2, 0.01), request(0.3, 0.03)) is None


def test_several_doors_judge_alike() -> None:
    """Each sees a third of the requests: none is wrong about an equal one, and one of them is right about
    a failing one within the window."""
    for seed in range(0, REPLAYS, 3):
        doors = range(seed, seed + 3)
        same = request(0.2, 0.02)
        assert not [door for door in doors if replay(door, same, same, rate=4)]
        broken = [replay(door, same, request(0.2, 1.0), rate=6, seconds=POLICY.window_s) for door in doors]
        assert any(broken)


def test_too_little_says_nothing() -> None:
    good, bad = [Outcome(0, 0.1)] * 500, [Outcome(0, None)] * POLICY.requests
    assert judged(POLICY, good, bad) is not None
    assert judged(POLICY, good, bad[1:]) is None
    assert judged(POLICY, good[: POLICY.requests - 1], bad) is None
    assert judged(POLICY, [], []) is None


def test_one_that_is_better_stays() -> None:
    assert judged(POLICY, [Outcome(0, None)] * 50, [Outcome(0, 0.1)] * 50) is None
    assert judged(POLICY, [Outcome(0, 3.0)] * 50, [Outcome(0, 0.1)] * 50) is None


def test_a_window_forgets() -> None:
    window = Window(60)
    for at in range(100):
        window.add(Outcome(at, 0.1))
    assert [outcome.at for outcome in window.since(100)] == list(range(40, 100))
    for _ in range(2 * MOST):
        window.add(Outcome(100, 0.1))
    assert len(window.since(100)) == MOST


def test_the_interval_is_newcombes() -> None:
    """56 of 70 and 48 of 80, 95 %: 0.0524 to 0.3339 in his paper."""
    assert least_difference(56, 70, 48, 80, z=1.959964) == pytest.approx(0.0524, abs=1e-4)
    assert -least_difference(48, 80, 56, 70, z=1.959964) == pytest.approx(0.3339, abs=1e-4)


def test_the_rank_test() -> None:
    assert larger([1, 2, 3], [1, 2, 3]) == 0
    assert larger([1.0] * 40, [1.0] * 40) == 0
    assert larger([2.0] * 40, [1.0] * 40) > 6
    # The worked example of its textbooks, ages of five men and four women: 17 of 20 pairs.
    assert larger([19, 22, 16, 29, 24], [20, 11, 17, 12]) == pytest.approx((17 - 10) / (20 / 12 * 10) ** 0.5)
