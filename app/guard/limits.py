"""How much a key may do, and how much it has done.

Windows are fixed: each begins with the first request in it. So it is known to the second when what is used up
comes back, and what was not known beforehand (the tokens of an answer) can be counted afterwards.
"""

import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Self, get_args

from backends.contract.errors import RateLimited

if TYPE_CHECKING:
    from limits.aio.storage import Storage

# What is counted. Requests before they are served, everything else when it is known how much it was.
Kind = Literal["requests", "tokens", "audio_seconds", "characters"]
Period = Literal["second", "minute", "hour", "day"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PERIODS: tuple[Period, ...] = get_args(Period)
BUSY_S = 1.0  # nobody knows when another of a key's requests will end


@dataclass(frozen=True, slots=True)
class Limit:
    kind: Kind
    amount: int
    period: Period


@dataclass(frozen=True, slots=True)
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

    def __bool__(self) -> bool:
        return bool(self.windows) or self.concurrency is not None


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of a limit, and the seconds until all of it is there again."""

    limit: Limit
    left: int
    reset_s: float


class Limiter:
    """Counts per key, in this process: each of several doors counts for itself."""

    def __init__(self) -> None:
        self._running: dict[str, int] = {}
        self._made: Storage | None = None

    @asynccontextmanager
    async def admitted(self, key: str, limits: Limits, headers: dict[str, str]) -> AsyncIterator[None]:
        """One request of a key, while it lasts. `headers`: are filled with how the key stands. Raises
        RateLimited."""
        running = self._running.get(key, 0)
        if limits.concurrency is not None and running >= limits.concurrency:
            said = f"This API key may have {limits.concurrency} requests at a time, and has them"
            raise RateLimited(said, retry_after=BUSY_S)
        self._running[key] = running + 1
        try:
            await self._take(key, limits, headers)
            yield
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]

    async def charge(self, key: str, limits: Limits, spent: Mapping[Kind, float]) -> None:
        """Count what a request has used, beyond what was left too."""
        for limit in limits.windows:
            cost = math.ceil(spent.get(limit.kind, 0))
            if cost and limit.kind != "requests":
                await self._windows.incr(*_window(limit, key), amount=cost)

    async def _take(self, key: str, limits: Limits, headers: dict[str, str]) -> None:
        stands = [await self._standing(key, limit) for limit in limits.windows if limit.kind != "requests"]
        refused = [one for one in stands if not one.left]
        for limit in limits.windows:
            # What is refused by a short window does not count in a long one.
            if limit.kind == "requests" and not refused:
                used = await self._windows.incr(*_window(limit, key))
                stands.append(await self._standing(key, limit, used))
                refused += stands[-1:] if used > limit.amount else []
        headers.update(told(stands))
        if refused:
            last = max(refused, key=lambda one: one.reset_s)
            raise RateLimited(_said(last.limit), retry_after=last.reset_s)

    async def _standing(self, key: str, limit: Limit, used: int | None = None) -> Standing:
        name, _ = _window(limit, key)
        used = await self._windows.get(name) if used is None else used
        until = await self._windows.get_expiry(name)
        return Standing(limit, max(0, limit.amount - used), max(0.0, until - time.time()))

    @property
    def _windows(self) -> "Storage":
        """The counters themselves: strategies make their names anew each time, half the price of it."""
        if self._made is None:
            # Only where a key has a limit.
            from limits.aio.storage import MemoryStorage

            self._made = MemoryStorage()
        return self._made


@lru_cache(4096)
def _window(limit: Limit, key: str) -> tuple[str, int]:
    """The name of a counter, and how many seconds it counts."""
    import limits

    item = limits.parse(f"{limit.amount} per {limit.period}")
    return item.key_for(limit.kind, key), item.get_expiry()


def told(stands: list[Standing]) -> dict[str, str]:
    """`x-ratelimit-{limit,remaining,reset}-KIND` as OpenAI has them, of each kind the one with least left."""
    headers: dict[str, str] = {}
    for kind in KINDS:
        of_kind = [one for one in stands if one.limit.kind == kind]
        if of_kind:
            least = min(of_kind, key=lambda one: (one.left, -one.reset_s))
            name = kind.replace("_", "-")
            headers[f"x-ratelimit-limit-{name}"] = str(least.limit.amount)
            headers[f"x-ratelimit-remaining-{name}"] = str(least.left)
            headers[f"x-ratelimit-reset-{name}"] = span(least.reset_s)
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
