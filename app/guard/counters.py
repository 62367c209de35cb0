"""Where windows are counted: in this process, or in a Redis or Valkey that several doors share."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from app.guard.windows import Windows

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage

log = logging.getLogger(__name__)

T = TypeVar("T")

WITHIN_S = 0.5  # the longest a request waits for a store that does not answer
AGAIN_S = 5.0  # until it is asked again
# Redis tells how long a key lives in whole seconds, the nearest: rather too late than too early.
ROUNDED_S = 0.5


class CountersError(Exception):
    """The store cannot be used; the text says why, without its address."""


class _Away(Exception):
    """The store does not answer."""


class Counters:
    """`url`: `redis://` or `valkey://` (with a final `s`: TLS); none: in this process. While the store does
    not answer each door counts for itself, which lets more through than is meant, and refuses nobody who has
    something left, and it is asked again after `again_s` seconds. Raises CountersError.
    """

    def __init__(self, url: str = "", again_s: float = AGAIN_S) -> None:
        self._away_until, self._again_s = 0.0, again_s
        self._shared = _connected(url) if url else None
        own = _errors(self._shared) if self._shared else ()
        self._failures: tuple[type[Exception], ...] = (TimeoutError, OSError, *own)
        self._own = Windows()

    async def add(self, name: str, seconds: int, amount: int) -> None:
        """To the window, which lasts `seconds` from its first."""
        if (store := self._store()) is not None:
            with suppress(_Away):
                await self._within(store.incr(name, seconds, amount=amount))
                return
        self._own.add(name, seconds, amount)

    async def hit(self, name: str, seconds: int) -> tuple[int, float]:
        """One more: what is counted by now, and the seconds until the window ends."""
        if (store := self._store()) is not None:
            with suppress(_Away):
                return await self._within(_hit(store, name, seconds))
        return self._own.add(name, seconds, 1)

    async def standing(self, name: str) -> tuple[int, float]:
        """What is counted, and the seconds until the window ends."""
        if (store := self._store()) is not None:
            with suppress(_Away):
                return await self._within(_standing(store, name))
        return self._own.standing(name)

    async def close(self) -> None:
        if self._shared is not None:
            bridge: Any = self._shared.bridge  # `limits` itself never closes a connection
            await bridge.get_connection().aclose()

    def _store(self) -> "RedisStorage | None":
        """The one that all doors share, unless there is none, or it was away a moment ago."""
        if self._shared is None or time.monotonic() < self._away_until:
            return None
        return self._shared

    async def _within(self, answer: "Awaitable[T]") -> T:
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await answer
        except self._failures as error:
            if not self._away_until:
                why = type(error).__name__
                log.error("the store of limits does not answer (%s): doors count for themselves", why)  # noqa: TRY400
            self._away_until = time.monotonic() + self._again_s
            raise _Away from error
        if self._away_until:
            log.info("the store of limits answers again")
            self._away_until = 0.0
        return found


async def _standing(store: "RedisStorage", name: str) -> tuple[int, float]:
    return await store.get(name), await _left(store, name)


async def _hit(store: "RedisStorage", name: str, seconds: int) -> tuple[int, float]:
    return await store.incr(name, seconds), await _left(store, name)


async def _left(store: "RedisStorage", name: str) -> float:
    return max(0.0, await store.get_expiry(name) - time.time() + ROUNDED_S)


def _connected(url: str) -> "RedisStorage":
    from limits.aio.storage import RedisStorage
    from limits.errors import ConfigurationError

    if find_spec("redis") is None:
        raise CountersError("limits in a store need the package redis: pip install motley[redis]")
    # One protocol and one client for both; whose server it is makes no difference to it.
    scheme, _, rest = url.partition("://")
    try:
        return RedisStorage(
            f"async+{scheme.replace('valkey', 'redis')}://{rest}",
            implementation="redispy", key_prefix="motley",
            socket_timeout=WITHIN_S, socket_connect_timeout=WITHIN_S,
        )  # fmt: skip
    except (ConfigurationError, ValueError):
        raise CountersError("the URL of the store of limits cannot be read") from None


def _errors(store: "RedisStorage") -> tuple[type[Exception], ...]:
    found = store.base_exceptions
    return found if isinstance(found, tuple) else (found,)
