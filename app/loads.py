"""How long models take to load, as far as this door has seen: what those who wait are told."""

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from backends.contract.state import VariantState

REMEMBERED = 5
ALMOST = 0.99  # a load that takes longer than usual has not ended
PLACING_S = 5.0  # so long a process may take to appear; then something keeps it from its place


class Loads:
    """The loads that run, and how long the last ones took, by application. `clock`: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: dict[str, float] = {}
        self._took: dict[str, deque[float]] = {}

    def begin(self, app: str, already: float = 0.0) -> None:
        """`already`: seconds that it has loaded for, where that is known."""
        self._begun[app] = self._clock() - already

    def end(self, app: str, loaded: bool) -> None:
        """One that failed says nothing about how long the next will take."""
        begun = self._begun.pop(app, None)
        if loaded and begun is not None:
            self._took.setdefault(app, deque(maxlen=REMEMBERED)).append(self._clock() - begun)

    def usual(self, app: str) -> float | None:
        """Seconds: the median of the last loads."""
        return statistics.median(self._took[app]) if app in self._took else None

    def told(self, app: str, state: VariantState) -> VariantState:
        """The state of a variant with what is known here of its load: since when, and how far it is."""
        begun = self._begun.get(app)
        seconds = state.seconds if begun is None else self._clock() - begun
        if begun is not None and (state.readiness == "cold" or _placing(state, seconds)):
            state = replace(state, readiness="loading")
        if state.readiness != "loading":
            return state
        return replace(state, seconds=seconds, progress=state.progress or self._progress(app, seconds))

    def _progress(self, app: str, seconds: float) -> float | None:
        usual = self.usual(app)
        return min(seconds / usual, ALMOST) if usual else None


def _placing(state: VariantState, seconds: float) -> bool:
    return state.readiness == "waiting" and seconds < PLACING_S
