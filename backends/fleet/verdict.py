"""Is a variant worse than the one it is to replace? A pure function over counted windows.

Judged again and again, a fair comparison must not fire by chance: both tests ask for four standard
deviations, which an equal variant shows once in thirty thousand looks.
"""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from backends.fleet.schema import Rollback

CERTAIN = 4.0  # standard deviations
MOST = 1_000  # requests of a variant that are kept: of a busy one the latest

Reason = Literal["errors", "latency"]


class Outcome(NamedTuple):
    """One request: when it ended, and how many seconds the first item took (None where it failed)."""

    at: float
    seconds: float | None


class Window:
    """The outcomes of one variant in the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._outcomes: deque[Outcome] = deque(maxlen=MOST)

    def add(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)

    def since(self, now: float) -> list[Outcome]:
        while self._outcomes and self._outcomes[0].at < now - self._seconds:
            self._outcomes.popleft()
        return list(self._outcomes)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Worse, and what showed it: a sentence for people."""

    reason: Reason
    why: str


def judged(policy: Rollback, home: Sequence[Outcome], other: Sequence[Outcome]) -> Verdict | None:
    """A verdict on `other` where it is worse than `home` by more than the policy grants, and that is no
    chance; None while it is not, or there is too little to say."""
    if min(len(home), len(other)) < policy.requests:
        return None
    failed, theirs = _failed(other), _failed(home)
    if least_difference(failed, len(other), theirs, len(home)) > policy.errors:
        why = f"{failed} of {len(other)} requests failed, there {theirs} of {len(home)}"
        return Verdict("errors", why)
    took, granted = _seconds(other), [seconds * policy.latency for seconds in _seconds(home)]
    if not took or not granted:
        return None
    typical, most = _median(took), _median(granted)
    if typical > most and larger(took, granted) > CERTAIN:
        there = most / policy.latency
        why = f"the first item took {typical:.3g} s, there {there:.3g} s"
        return Verdict("latency", why)
    return None


def least_difference(hits: int, of: int, others: int, of_others: int, z: float = CERTAIN) -> float:
    """By how much the first share is larger at least: Newcombe's hybrid score interval, lower end
    (Statistics in Medicine 17, 1998, method 10)."""
    low, _ = _wilson(hits, of, z)
    _, high = _wilson(others, of_others, z)
    first, second = hits / of, others / of_others
    return first - second - math.hypot(first - low, high - second)


def larger(sample: Iterable[float], other: Iterable[float]) -> float:
    """How much larger the values of `sample` are than those of `other`, in standard deviations: the rank
    test of Mann and Whitney, with its correction for ties."""
    ours, theirs = list(sample), sorted(other)
    pairs = sum(bisect_left(theirs, one) + bisect_right(theirs, one) for one in ours) / 2
    count, total = len(ours) * len(theirs), len(ours) + len(theirs)
    ties = sum(size**3 - size for size in _ties(sorted(ours + theirs)))
    variance = count / 12 * (total + 1 - ties / (total * (total - 1)))
    return (pairs - count / 2) / math.sqrt(variance) if variance > 0 else 0.0


def _ties(ordered: Sequence[float]) -> Iterable[int]:
    at = 0
    while at < len(ordered):
        end = bisect_right(ordered, ordered[at], lo=at)
        yield end - at
        at = end


def _wilson(hits: int, of: int, z: float) -> tuple[float, float]:
    share, square = hits / of, z * z
    middle = share + square / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return (middle - half) / (1 + square / of), (middle + half) / (1 + square / of)


def _failed(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.seconds is None for outcome in outcomes)


def _seconds(outcomes: Sequence[Outcome]) -> list[float]:
    return [outcome.seconds for outcome in outcomes if outcome.seconds is not None]


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
