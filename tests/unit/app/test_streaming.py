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


def waiting_for_a_load(keeps_waiting: float = 60, **more: float) -> Request:
    request = visiting(**more)
    target = Visit.of(request.scope).target
    assert target is not None
    target.wait_s = 60
    target.held.set()
    asyncio.get_running_loop().call_later(keeps_waiting, target.held.clear)
    return request


async def told(body: Streamed, request: Request) -> bytes:
    sent = b""

    async def send(message: Any) -> None:
        nonlocal sent
        sent += message.get("body", b"")

    await body(request.scope, request.receive, send)
    return sent


async def test_who_waits_for_a_load_gets_a_stream_before_there_is_anything_in_it() -> None:
    source, request = Source(b"a", b"b", wait=0.2), waiting_for_a_load()
    begun = await first_or_gone(request, source(), 0.05)
    assert Visit.of(request.scope).first is None
    sent = await told(EventStream(begun, Visit.of(request.scope), 60, begun), request)
    assert sent == b": keep-alive\n\nab"
    assert Visit.of(request.scope).first is not None
    assert source.closed


async def test_what_fails_then_is_one_event() -> None:
    source, request = Source(b"a", wait=0.2, fail_at=1), waiting_for_a_load()
    source.items = (b"a", b"b")
    begun = await first_or_gone(request, source(), 0.05)
    sent = await told(EventStream(begun, Visit.of(request.scope), 60, begun), request)
    assert sent.startswith(b': keep-alive\n\nadata: {"error"')
    assert Visit.of(request.scope).cut == "engine_failed"


async def test_a_slow_model_keeps_its_status_code() -> None:
    """It was loaded before the grace was over: what is slow now is the engine."""
    source, request = Source(b"a", b"b", wait=0.3, fail_at=1), waiting_for_a_load(keeps_waiting=0.01)
    source.fail_at = 0
    with pytest.raises(EngineFailed):
        await first_or_gone(request, source(), 0.05)


async def test_who_leaves_a_stream_that_waits_ends_the_work() -> None:
    source, request = Source(b"a", wait=60), waiting_for_a_load(leaves_after=0.2)
    begun = await first_or_gone(request, source(), 0.05)
    sent = await told(EventStream(begun, Visit.of(request.scope), 60, begun), request)
    assert (sent, source.closed) == (b": keep-alive\n\n", True)


async def test_a_waiting_stream_that_nobody_reads_can_be_closed() -> None:
    source = Source(b"a", wait=60)
    begun = await first_or_gone(waiting_for_a_load(), source(), 0.01)
    await begun.aclose()
    assert source.closed
