"""First or gone, without a server: who is awaited, and what is closed."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from fastapi import Request

from app.catalogue import Target
from app.streaming import EventStream, Streamed, answer_or_gone, first_or_gone
from app.telemetry.visit import KEY, Visit
from backends.contract.errors import ClientGone, EngineFailed, UpstreamTimeout


class Source:
    """A stream that waits, and knows whether it was closed."""

    def __init__(self, *items: bytes, wait: float = 0.0, fail_at: int = 99) -> None:
        self.items, self.wait, self.fail_at, self.closed = items, wait, fail_at, False

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for number, item in enumerate(self.items):
                if number == self.fail_at:
                    raise EngineFailed("it broke")
                await asyncio.sleep(self.wait)
                yield item
        finally:
            self.closed = True


def visiting(leaves_after: float = 60, timeout: float = 60) -> Request:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(leaves_after)
        return {"type": "http.disconnect"}

    visit = Visit("id", target=Target("m--main", "m", "main", "fake", "chat", timeout))
    return Request({"type": "http", KEY: visit, "headers": []}, receive)


async def test_the_first_item_is_not_lost() -> None:
    source = Source(b"a", b"b", b"c")
    stream = await first_or_gone(visiting(), source())
    assert [item async for item in stream] == [b"a", b"b", b"c"]
    assert source.closed


async def test_an_empty_stream_is_an_empty_answer() -> None:
    stream = await first_or_gone(visiting(), Source()())
    assert [item async for item in stream] == []


async def test_a_failure_before_the_first_item_is_raised() -> None:
    source = Source(b"a", fail_at=0)
    with pytest.raises(EngineFailed):
        await first_or_gone(visiting(), source())
    assert source.closed


async def test_whoever_leaves_ends_the_work() -> None:
    source = Source(b"a", wait=60)
    with pytest.raises(ClientGone):
        await first_or_gone(visiting(leaves_after=0.01), source())
    assert source.closed


async def test_time_runs_out() -> None:
    source = Source(b"a", wait=60)
    with pytest.raises(UpstreamTimeout):
        await first_or_gone(visiting(timeout=0.01), source())
    assert source.closed


async def test_being_cancelled_ends_the_work() -> None:
    source = Source(b"a", wait=60)
    waiting = asyncio.create_task(first_or_gone(visiting(), source()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert source.closed


async def test_an_answer_already_there_wins_over_leaving() -> None:
    async def at_once() -> int:
        return 7

    assert await answer_or_gone(visiting(leaves_after=0), at_once()) == 7


@pytest.mark.parametrize("fails_at", ["http.response.start", "http.response.body"])
async def test_a_client_that_goes_while_it_is_sent_to(fails_at: str) -> None:
    """Servers of ASGI 2.4 and later raise OSError from `send`."""
    source, request = Source(b"a", b"b", wait=0.01), visiting()

    async def send(message: Any) -> None:
        if message["type"] == fails_at:
            raise OSError

    origin = source()
    begun = await first_or_gone(request, origin)
    body = Streamed(begun, Visit.of(request.scope), "audio/wav", origin)
    await body(request.scope, request.receive, send)
    assert source.closed
    assert Visit.of(request.scope).cut == "client"


async def test_when_time_is_up_a_client_that_does_not_read_holds_nothing() -> None:
    source, request = Source(*[b"a"] * 9, wait=0.01), visiting(timeout=0.1)
    sent = 0

    async def send(_: Any) -> None:
        nonlocal sent
        sent += 1
        if sent > 3:
            await asyncio.Event().wait()  # its buffers are full

    origin = source()
    begun = await first_or_gone(request, origin)
    body = EventStream(begun, Visit.of(request.scope), 60, origin)
    serving = asyncio.create_task(body(request.scope, request.receive, send))
    await asyncio.wait({serving}, timeout=1)
    assert source.closed
    serving.cancel()
    await asyncio.wait({serving})
