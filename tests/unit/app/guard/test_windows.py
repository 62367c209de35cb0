"""Fixed windows, by a clock of the test's own."""

from app.guard.windows import SWEEP_S, Windows


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_window_lasts_from_the_first_thing_in_it() -> None:
    clock = Clock()
    windows = Windows(clock)
    assert windows.standing("a") == (0, 0.0)
    assert windows.add("a", 10, 2) == (2, 10)
    clock.now += 4
    assert windows.add("a", 10, 5) == (7, 6)
    assert windows.standing("a") == (7, 6.0)
    assert windows.standing("b") == (0, 0.0)
    clock.now += 6
    assert windows.standing("a") == (0, 0.0)
    assert windows.add("a", 10, 1) == (1, 10)
    assert windows.standing("a") == (1, 10.0)


def test_what_has_ended_is_forgotten() -> None:
    clock = Clock()
    windows = Windows(clock)
    windows.add("day", 86_400, 3)
    for number in range(100):
        windows.add(f"minute {number}", 60, 1)
    clock.now += SWEEP_S
    windows.add("another", 60, 1)
    assert set(windows._begun) == {"day", "another"}
    assert windows.standing("day") == (3, 86_400 - SWEEP_S)
