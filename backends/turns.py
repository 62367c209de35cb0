"""Who goes next where a model has more to do than it can: weighted fair queueing between keys. Pure."""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from backends.contract.tasks import Asker

W = TypeVar("W")

FIRST_S = 1.0  # what a request is expected to take before any has ended
SMOOTH = 0.1  # the part that the latest has in what is expected
MANY = 1024  # keys that have nothing here, and are remembered none the less


@dataclass(slots=True)
class _Line(Generic[W]):
    """Of one key. `had`: seconds of work by its weight, those included that are expected of what runs."""

    asker: Asker
    had: float
    waiting: deque[W] = field(default_factory=deque)
    running: int = 0


class Turns(Generic[W]):
    """The engine's time is shared, not the number of requests: next is, among the keys of the highest rank
    that wait, the one that has had least for its weight, and of one key who came first. What was not used is
    not saved up, and what was used while nobody waited costs nothing.

    `W`: what stands for a waiting request. Time is told, in seconds; nothing here looks at a clock. Who
    begins is told how long he is expected to take, and says so again at the end.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line[W]] = {}
        # By rank: what those who began last had had. Whoever comes anew begins there.
        self._now: defaultdict[int, float] = defaultdict(float)
        self._expected = FIRST_S
        self.waiting = 0

    def begin(self, asker: Asker) -> float:
        """It need not wait."""
        return self._start(self._line(asker))

    def wait(self, asker: Asker, who: W) -> None:
        self._line(asker).waiting.append(who)
        self.waiting += 1

    def leave(self, asker: Asker, who: W) -> None:
        """It does not wait any longer."""
        line = self._lines[asker.key]
        line.waiting.remove(who)
        self.waiting -= 1
        self._forget(line)

    def next(self) -> tuple[W, float] | None:
        """Whose turn it is, of those who wait; it has begun then."""
        lines = [line for line in self._lines.values() if line.waiting]
        if not lines:
            return None
        line = min(lines, key=lambda one: (-one.asker.rank, one.had))
        self.waiting -= 1
        return line.waiting.popleft(), self._start(line)

    def end(self, asker: Asker, expected: float, seconds: float) -> None:
        """One that had begun has ended."""
        line = self._lines[asker.key]
        line.running -= 1
        line.had += (seconds - expected) / line.asker.weight
        if not self.waiting:
            line.had = min(line.had, self._now[line.asker.rank])
        self._expected += SMOOTH * (seconds - self._expected)
        self._forget(line)

    def crowded_out(self, newcomer: Asker) -> W | None:
        """Who gives up a place so that `newcomer` may wait, where there is none left: the last of the key
        that has most waiting for its weight, among those of the lowest rank. None: the newcomer itself."""

        def crowding(line: _Line[W]) -> tuple[int, float]:
            return -line.asker.rank, len(line.waiting) / line.asker.weight

        mine = self._lines.get(newcomer.key)
        with_it = (-newcomer.rank, ((len(mine.waiting) if mine else 0) + 1) / newcomer.weight)
        worst = max((line for line in self._lines.values() if line.waiting), key=crowding, default=None)
        if worst is None or worst is mine or crowding(worst) <= with_it:
            return None
        self.waiting -= 1
        return worst.waiting.pop()

    def _line(self, asker: Asker) -> _Line[W]:
        now, line = self._now[asker.rank], self._lines.get(asker.key)
        if line is None:
            line = self._lines[asker.key] = _Line(asker, now)
        elif not line.waiting:
            line.had = max(line.had, now) if line.asker.rank == asker.rank else now
        line.asker = asker  # its weight may have changed
        return line

    def _start(self, line: _Line[W]) -> float:
        rank = line.asker.rank
        self._now[rank] = max(self._now[rank], line.had)
        line.running += 1
        line.had += self._expected / line.asker.weight
        return self._expected

    def _forget(self, line: _Line[W]) -> None:
        """What nobody will miss."""
        if line.waiting or line.running:
            return
        if line.had <= self._now[line.asker.rank]:
            del self._lines[line.asker.key]
        elif len(self._lines) > MANY:
            self._lines = {key: one for key, one in self._lines.items() if one.waiting or one.running}
