"""What is told of loads, by a clock of our own."""

import pytest

from app.catalogue import not_ready
from app.loads import Loads
from backends.contract.state import Readiness, VariantState

APP = "m--main"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loads(clock: Clock) -> Loads:
    return Loads(clock)


def load(loads: Loads, clock: Clock, seconds: float, loaded: bool = True) -> None:
    loads.begin(APP)
    clock.now += seconds
    loads.end(APP, loaded)


def test_the_usual_is_the_median_of_the_last_five(loads: Loads, clock: Clock) -> None:
    assert loads.usual(APP) is None
    for seconds in (900, 10, 20, 12, 11, 30):
        load(loads, clock, seconds)
    assert loads.usual(APP) == 12
    assert loads.usual("another") is None


def test_a_failed_load_says_nothing(loads: Loads, clock: Clock) -> None:
    load(loads, clock, 1, loaded=False)
    assert loads.usual(APP) is None


def test_how_far_and_how_long_yet(loads: Loads, clock: Clock) -> None:
    load(loads, clock, 40)
    loads.begin(APP)
    clock.now += 10
    told = loads.told(APP, VariantState("cold"))
    assert (told.readiness, told.seconds, told.progress) == ("loading", 10, 0.25)
    error = not_ready("m", told)
    assert error.message == "The model `m` is loading since 10 s, 25% done, about 30 s left"
    assert error.retry_after == 30


def test_one_that_takes_longer_than_usual_is_not_done(loads: Loads, clock: Clock) -> None:
    load(loads, clock, 10)
    loads.begin(APP)
    clock.now += 300
    told = loads.told(APP, VariantState("loading"))
    assert told.progress == 0.99
    assert 1 <= (not_ready("m", told).retry_after or 0) <= 60


def test_the_first_load_has_no_figure(loads: Loads, clock: Clock) -> None:
    loads.begin(APP)
    clock.now += 3
    told = loads.told(APP, VariantState("loading"))
    assert (told.seconds, told.progress) == (3, None)
    assert not_ready("m", told).message == "The model `m` is loading since 3 s"


def test_the_engine_knows_better(loads: Loads, clock: Clock) -> None:
    load(loads, clock, 10)
    loads.begin(APP)
    clock.now += 1
    assert loads.told(APP, VariantState("loading", progress=0.5)).progress == 0.5


def test_a_load_that_another_began(loads: Loads, clock: Clock) -> None:
    load(loads, clock, 10)
    told = loads.told(APP, VariantState("loading", seconds=5))
    assert (told.seconds, told.progress) == (5, 0.5)
    loads.begin(APP, already=5)
    clock.now += 15
    loads.end(APP, loaded=True)
    assert loads.usual(APP) == 15


@pytest.mark.parametrize(
    ("after", "found", "told"),
    [(1, "waiting", "loading"), (6, "waiting", "waiting"), (6, "cold", "loading"), (1, "down", "down")],
)
def test_a_process_needs_a_moment(
    loads: Loads, clock: Clock, after: float, found: Readiness, told: Readiness
) -> None:
    loads.begin(APP)
    clock.now += after
    assert loads.told(APP, VariantState(found)).readiness == told


def test_without_a_load_nothing_is_changed(loads: Loads) -> None:
    for readiness in ("cold", "waiting", "down", "ready"):
        state = VariantState(readiness, seconds=7)  # type: ignore[arg-type]
        assert loads.told(APP, state) is state
