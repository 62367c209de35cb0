"""Fixed windows, counted in this process."""

import time
from collections.abc import Callable

SWEEP_S = 60.0


class Windows:
    """By name. Each begins with the first thing that is counted in it. `clock`: seconds, of any beginning."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._swept = clock, clock()
        self._begun: dict[str, tuple[int, float]] = {}  # what is counted, when it ends

    def add(self, name: str, seconds: int, amount: int) -> tuple[int, float]:
        """What is counted by now in the window, which lasts `seconds`, and the seconds until it ends."""
        now = self._clock()
        counted, end = self._begun.get(name, (0, now))
        if end <= now:
            self._sweep(now)
            counted, end = 0, now + seconds
        self._begun[name] = counted + amount, end
        return counted + amount, end - now

    def standing(self, name: str) -> tuple[int, float]:
        """What is counted, and the seconds until the window ends; nothing and 0 where none has begun."""
        now = self._clock()
        counted, end = self._begun.get(name, (0, now))
        return (counted, end - now) if end > now else (0, 0.0)

    def _sweep(self, now: float) -> None:
        """Forget what has ended: keys go, and their limits change."""
        if now - self._swept >= SWEEP_S:
            self._begun = {name: one for name, one in self._begun.items() if one[1] > now}
            self._swept = now
