"""The ledger: what requests used, added up in memory and written behind them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.usage.entries import Account, Used

log = logging.getLogger(__name__)

WRITE_S = 0.5  # what a process that is killed loses, and the time of one writing
LAST_TRIES = 3


class StoreFailed(Exception):
    """The database did not do it; the text says why, without its address."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`where`: what columns of the account must be; `by`: which of them to keep apart; hours that begin from
    `since` on and before `until`, Unix seconds; `most`: rows."""

    where: Mapping[str, str]
    by: Sequence[str]
    since: int | None = None
    until: int | None = None
    most: int = 1000


class Shelf(Protocol):
    """`Store`, or what stands in for it. Blocks; raises `StoreFailed`."""

    def add(self, batch: Mapping[Account, Used]) -> None: ...
    def rows(self, asked: Asked) -> list[dict[str, Any]]: ...
    def close(self) -> None: ...


class Ledger:
    """No request waits for it. What cannot be written now stays and is written later, in one row per account:
    while a database is away that takes memory for accounts and hours, not for requests."""

    def __init__(self, shelf: Shelf, write_s: float = WRITE_S) -> None:
        self._shelf, self._write_s = shelf, write_s
        self._pending: dict[Account, Used] = {}
        self._writing, self._ending = asyncio.Lock(), asyncio.Event()
        self._failing = False

    def note(self, account: Account, used: Used) -> None:
        held = self._pending.get(account)
        if held is None:
            self._pending[account] = used
        else:
            held.add(used)

    async def run(self) -> None:
        """Write every `write_s` seconds, until `close`."""
        while not self._ending.is_set():
            try:
                async with asyncio.timeout(self._write_s):
                    await self._ending.wait()
            except TimeoutError:
                await self.write()

    async def write(self) -> bool:
        """All that is noted by now; whether it could be. To cancel it does not end it."""
        return await asyncio.shield(asyncio.ensure_future(self._write()))

    async def rows(self, asked: Asked) -> list[dict[str, Any]]:
        """What this process noted is in them; of other doors, what they have written. Raises StoreFailed."""
        await self.write()
        return await asyncio.to_thread(self._shelf.rows, asked)

    async def close(self) -> None:
        """Write the rest. Call when no request is left."""
        self._ending.set()
        for _ in range(LAST_TRIES):
            if await self.write():
                break
            await asyncio.sleep(self._write_s)
        else:
            lost = sum(one.requests for one in self._pending.values())
            log.error("the usage of %d requests could not be written and is lost", lost)
        await asyncio.to_thread(self._shelf.close)

    async def _write(self) -> bool:
        async with self._writing:
            if not self._pending:
                return True
            batch, self._pending = self._pending, {}
            try:
                await asyncio.to_thread(self._shelf.add, batch)
            except Exception as error:
                for account, used in batch.items():
                    self.note(account, used)
                if not self._failing:
                    why = error if isinstance(error, StoreFailed) else type(error).__name__
                    log.error("usage cannot be written (%s); it is kept until it can be", why)  # noqa: TRY400
                self._failing = True
                return False
            if self._failing:
                log.info("usage is written again")
            self._failing = False
            return True


def kept(url: str) -> Ledger | None:
    """The ledger in a database; None for no URL. Raises StoreFailed."""
    if not url:
        return None
    from app.usage.store import Store  # half as large as the rest of a door: only where it is wanted

    return Ledger(Store(url))
