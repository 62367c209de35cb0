"""Figures of what doors counted between two moments, and who looks how often."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from prometheus_client.core import Metric

from app.telemetry.figures import figures, quantile, seen
from app.telemetry.live import COUNT_S, WINDOW_S, Live, Pace
from app.telemetry.metrics import Meters

WHERE = ("chat", "llm", "main")


def served(meters: Meters, *took: float, status: str = "200", tokens: int = 0) -> None:
    for seconds in took:
        meters.requests.labels(*WHERE, status).inc()
        meters.seconds.labels(*WHERE).observe(seconds)
    if tokens:
        meters.tokens.labels(*WHERE, "completion").inc(tokens)


def test_what_lies_between_two_moments() -> None:
    meters = Meters()
    served(meters, 30, 30, 30, status="502", tokens=999)
    before = seen({"a": meters.counted()})
    served(meters, 0.02, 0.02, 0.02, 4, tokens=40)
    served(meters, 0.02, status="503")
    one = figures(before, before, seen({"a": meters.counted()}), 10)["llm"]["main"]
    assert (one.requests, one.failed, one.tokens_per_s, one.first_p50_s) == (5, 1, 4.0, None)
    assert 0.01 < (one.p50_s or 0) <= 0.025
    assert 2.5 < (one.p95_s or 0) <= 5


def test_nothing_asked_is_no_figure() -> None:
    meters = Meters()
    served(meters, 1)
    counted = seen({"a": meters.counted()})
    one = figures(counted, counted, counted, 5)["llm"]["main"]
    assert (one.requests, one.p50_s, one.p95_s) == (0, None, None)


def test_doors_are_added_up_and_one_that_came_or_went_is_left_out() -> None:
    a, b, c = Meters(), Meters(), Meters()
    served(c, *[1] * 100)
    before = seen({"a": a.counted(), "b": b.counted(), "gone": c.counted()})
    served(a, 1)
    served(b, 1, 1)
    now = seen({"a": a.counted(), "b": b.counted(), "new": c.counted()})
    assert figures(before, before, now, 5)["llm"]["main"].requests == 3


@pytest.mark.parametrize(
    ("part", "expected"), [(0.5, 1.0), (0.25, 0.5), (0.75, 2.0), (0.95, 2.8), (0.99, 3.0)]
)
def test_a_quantile_between_bounds(part: float, expected: float) -> None:
    """As `histogram_quantile` has it: 50 up to 1, 25 more up to 2, 25 more up to 3 or beyond."""
    buckets = {1.0: 50.0, 2.0: 75.0, 3.0: 100.0, float("inf"): 100.0}
    assert quantile(part, buckets) == pytest.approx(expected, abs=0.05)
    assert quantile(part, {1.0: 0.0, float("inf"): 10.0}) == 1.0
    assert quantile(part, {}) is None


class Moments:
    """Doors and a clock that tests move."""

    def __init__(self) -> None:
        self.meters, self.now, self.questions = Meters(), 0.0, 0

    async def counted(self) -> Mapping[str, Sequence[Metric]]:
        self.questions += 1
        return {"": self.meters.counted()}

    def __call__(self) -> float:
        return self.now


async def test_doors_are_asked_now_and_then_and_figures_are_of_the_last_minutes() -> None:
    doors = Moments()
    pace = Pace(doors, doors)
    assert await pace.now() is None
    served(doors.meters, 1, tokens=50)
    doors.now = COUNT_S / 2
    assert await pace.now() is None
    doors.now = COUNT_S
    told = await pace.now()
    assert told is not None
    assert doors.questions == 2
    assert told["seconds"] == COUNT_S
    assert told["of"]["llm"]["main"]["tokens_per_s"] == 10
    while doors.now < 2 * WINDOW_S:
        doors.now += COUNT_S
        told = await pace.now()
    assert told is not None
    assert told["seconds"] == WINDOW_S
    assert told["of"]["llm"]["main"]["requests"] == 0
    doors.now += WINDOW_S  # nobody watched
    assert await pace.now() is None


async def test_all_who_watch_share_a_look_and_nobody_looks_for_nobody() -> None:
    looks, states = 0, [b"one", b"one", b"two"]

    async def look() -> bytes:
        nonlocal looks
        looks += 1
        return states[min(looks, len(states)) - 1]

    live = Live(look, every_s=0.01)

    async def watched() -> list[bytes]:
        watching = live.watch()
        found = [await anext(watching), await anext(watching)]
        await watching.aclose()
        return found

    assert await asyncio.gather(*(watched() for _ in range(20))) == [[b"one", b"two"]] * 20
    assert looks == 3
    await asyncio.sleep(0.05)
    assert looks == 3


async def test_it_ends_and_tells_what_broke() -> None:
    async def look() -> bytes:
        return b"same"

    assert [state async for state in Live(look, every_s=0.01).watch(0.1)] == [b"same"]

    async def broken() -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await anext(Live(broken).watch())
