"""Written behind the requests, and nothing twice or never."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from app.usage.entries import Account, Used
from app.usage.ledger import Asked, Ledger, StoreFailed

A, B = Account("a", "m", "chat", "main", 0), Account("b", "m", "chat", "main", 0)


class Shelf:
    """Keeps in memory. `broken`: does not, until told otherwise; `slow`: not before it is set."""

    def __init__(self) -> None:
        self.held: dict[Account, Used] = {}
        self.broken, self.closed, self.times = False, False, 0
        self.slow = threading.Event()
        self.slow.set()

    def add(self, batch: Mapping[Account, Used]) -> None:
        self.slow.wait(60)
        self.times += 1
        if self.broken:
            raise StoreFailed("it is away")
        for account, used in batch.items():
            self.held.setdefault(account, Used()).add(used)

    def rows(self, asked: Asked) -> list[dict[str, Any]]:
        return [{"key": account.key, "requests": used.requests} for account, used in self.held.items()]

    def close(self) -> None:
        self.closed = True


async def test_many_requests_are_few_rows() -> None:
    shelf = Shelf()
    ledger = Ledger(shelf)
    for account in (A, B, A, A):
        ledger.note(account, Used(requests=1, prompt_tokens=2))
    assert await ledger.write()
    assert shelf.held == {A: Used(3, 0, 6), B: Used(1, 0, 2)}
    assert await ledger.write()
    assert shelf.times == 1


async def test_it_writes_by_itself_and_what_is_left_at_the_end() -> None:
    shelf = Shelf()
    ledger = Ledger(shelf, write_s=0.01)
    running = asyncio.create_task(ledger.run())
    ledger.note(A, Used(1))
    async with asyncio.timeout(30):
        while A not in shelf.held:
            await asyncio.sleep(0.01)
    ledger.note(B, Used(1))
    await ledger.close()
    await running
    assert shelf.held == {A: Used(1), B: Used(1)}
    assert shelf.closed


async def test_what_cannot_be_written_stays(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    ledger = Ledger(shelf)
    shelf.broken = True
    for _ in range(3):
        ledger.note(A, Used(1))
        assert not await ledger.write()
    shelf.broken = False
    assert await ledger.write()
    assert shelf.held == {A: Used(3)}
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "usage cannot be written (it is away); it is kept until it can be"
    ]


async def test_what_is_lost_is_said(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    shelf.broken = True
    ledger = Ledger(shelf, write_s=0.01)
    ledger.note(A, Used(7))
    await ledger.close()
    assert "the usage of 7 requests could not be written and is lost" in caplog.text


async def test_whoever_asks_sees_what_was_just_noted_and_may_leave() -> None:
    shelf = Shelf()
    ledger = Ledger(shelf)
    ledger.note(A, Used(1))
    assert await ledger.rows(Asked({}, ["key"])) == [{"key": "a", "requests": 1}]
    shelf.slow.clear()
    ledger.note(A, Used(1))
    asking = asyncio.create_task(ledger.rows(Asked({}, ["key"])))
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    shelf.broken = True
    shelf.slow.set()
    await ledger.write()  # after the one that was left alone, which failed
    shelf.broken = False
    await ledger.close()
    assert shelf.held == {A: Used(2)}
