"""What a host counts of its own work. Doors only see their own requests; this is all of them."""

from bisect import bisect_left
from dataclasses import dataclass, field

# Upper bounds, in seconds, of the waits that are counted together.
WAITS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class Tally:
    """Since the host was made. `share`: of a GPU that it has, 0 without one. `waits`: how many tasks waited
    for a place up to each of `WAITS` and no less, and, last, longer; `waited_s` in all. `engine_s`: for how
    long places were taken, of all tasks together; `wasted_s`: how much of that, and of what the engine did
    beyond it, was after the caller had left."""

    share: float = 0.0
    waits: list[int] = field(default_factory=lambda: [0] * (len(WAITS) + 1))
    waited_s: float = 0.0
    engine_s: float = 0.0
    wasted_s: float = 0.0

    def waited(self, seconds: float) -> None:
        self.waits[bisect_left(WAITS, seconds)] += 1
        self.waited_s += seconds
