"""How much a key may do, and how much it has done.

Windows are fixed: each begins with the first request in it. So it is known to the second when what is used up
comes back, and what was not known beforehand (the tokens of an answer) can be counted afterwards.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Self, get_args

from app.guard.counters import Counters
from backends.contract.errors import RateLimited

# What is counted. Requests before they are served, everything else when it is known how much it was.
Kind = Literal["requests", "tokens", "audio_seconds", "characters", "gpu_seconds"]
Period = Literal["second", "minute", "hour", "day"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PERIODS: tuple[Period, ...] = get_args(Period)
BUSY_S = 1.0  # nobody knows when another of a key's requests will end
_SECONDS: Mapping[Period, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
HEADERS: Mapping[Kind, tuple[str, ...]] = {
    kind: tuple(f"x-ratelimit-{what}-{kind.replace('_', '-')}" for what in ("limit", "remaining", "reset"))
    for kind in KINDS
}
# Counters are whole numbers: in so many parts of one. Many requests take far less than a second of a GPU.
_PARTS: Mapping[Kind, int] = {"gpu_seconds": 1000}


@dataclass(frozen=True, slots=True)
class Limit:
    kind: Kind
    amount: int
    period: Period

    def counter(self, key: str) -> str:
        return f"{self.kind}/{key}/{self.amount}/{self.period}"


@dataclass(frozen=True)
class Limits:
    """Of one key. `windows`: short periods first. `concurrency`: requests at a time, None for any number."""

    windows: tuple[Limit, ...] = ()
    concurrency: int | None = None

    @classmethod
    def parsed(cls, amounts: Mapping[str, int]) -> Self:
        """Of `KIND/PERIOD` and `concurrency`. Raises ValueError."""
        windows, concurrency = [], None
        for name, amount in amounts.items():
            kind, _, period = name.partition("/")
            if amount < 1:
                raise ValueError(f"'{name}' must be 1 at least")
            if name == "concurrency":
                concurrency = amount
            elif kind not in KINDS or period not in PERIODS:
                raise ValueError(
                    f"'{name}' is no limit: write KIND/PERIOD ({', '.join(KINDS)}; {', '.join(PERIODS)}) "
                    "or concurrency"
                )
            else:
                windows.append(Limit(kind, amount, period))
        return cls(tuple(sorted(windows, key=lambda one: PERIODS.index(one.period))), concurrency)

    @cached_property
    def requests(self) -> tuple[Limit, ...]:
        return tuple(one for one in self.windows if one.kind == "requests")

    @cached_property
    def others(self) -> tuple[Limit, ...]:
        return tuple(one for one in self.windows if one.kind != "requests")

    def __bool__(self) -> bool:
        return bool(self.windows) or self.concurrency is not None


UNLIMITED = Limits()


class Standing(NamedTuple):
    """What is left of a limit, and the seconds until all of it is there again."""

    limit: Limit
    left: int
    reset_s: float


class Limiter:
    """Counts per key, in `counters`; how many run at a time, in this process: each of several doors counts
    these for itself."""

    def __init__(self, counters: Counters | None = None) -> None:
        self._running: dict[str, int] = {}
        self._counters = counters or Counters()

    async def close(self) -> None:
        await self._counters.close()

    async def enter(self, key: str, limits: Limits, headers: dict[str, str]) -> None:
        """One request of a key begins; one that was let in must `leave`. `headers`: are filled with how the
        key stands. Raises RateLimited."""
        running = self._running.get(key, 0)
        if limits.concurrency is not None and running >= limits.concurrency:
            said = f"This API key may have {limits.concurrency} requests at a time, and has them"
            raise RateLimited(said, retry_after=BUSY_S)
        self._running[key] = running + 1
        try:
            await self._take(key, limits, headers)
        except BaseException:
            self._left(key)
            raise

    async def leave(self, key: str, limits: Limits, spent: Mapping[Kind, float]) -> None:
        """Its end. What it has used counts, beyond what was left too."""
        try:
            for limit in limits.others:
                cost = math.ceil(spent.get(limit.kind, 0) * _PARTS.get(limit.kind, 1))
                if cost:
                    await self._counters.add(limit.counter(key), _SECONDS[limit.period], cost)
        finally:
            self._left(key)

    def _left(self, key: str) -> None:
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]

    async def _take(self, key: str, limits: Limits, headers: dict[str, str]) -> None:
        """What is refused by a short window does not count in a long one, and what is refused for anything
        else is no request."""
        stands, refused = [], []
        for limit in limits.others:
            stands.append(one := _standing(limit, *await self._counters.standing(limit.counter(key))))
            if not one.left:
                refused.append(one)
        for limit in () if refused else limits.requests:
            used, reset_s = await self._counters.hit(limit.counter(key), _SECONDS[limit.period])
            stands.append(one := _standing(limit, used, reset_s))
            if used > limit.amount:
                refused.append(one)
                break
        headers.update(told(stands))
        if refused:
            last = max(refused, key=lambda one: one.reset_s)
            raise RateLimited(_said(last.limit), retry_after=last.reset_s)


def _standing(limit: Limit, counted: int, reset_s: float) -> Standing:
    parts = _PARTS.get(limit.kind, 1)
    left = limit.amount * parts - counted
    return Standing(limit, max(0, math.ceil(left / parts)), reset_s)


def told(stands: list[Standing]) -> dict[str, str]:
    """`x-ratelimit-{limit,remaining,reset}-KIND` as OpenAI has them, of each kind the one with least left."""
    least: dict[Kind, Standing] = {}
    for one in stands:
        other = least.get(one.limit.kind)
        if other is None or (one.left, -one.reset_s) < (other.left, -other.reset_s):
            least[one.limit.kind] = one
    headers: dict[str, str] = {}
    for kind, one in least.items():
        limit, remaining, reset = HEADERS[kind]
        headers[limit], headers[remaining] = str(one.limit.amount), str(one.left)
        headers[reset] = span(one.reset_s)
    return headers


def span(seconds: float) -> str:
    """`1h0m12s`, `6m0s`, `7s`, rounded up."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _said(limit: Limit) -> str:
    return f"This API key has used up its {limit.amount} {limit.kind.replace('_', ' ')} per {limit.period}"
