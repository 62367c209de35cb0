"""All there is to know of streams: first or gone, events, keep-alive, cut, close.

Whoever awaits an engine races the client's leaving, so that nobody is computed for who is not
there. Read the body first: both take from the same `receive`.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar, cast

import orjson
from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import envelope, unexpected
from app.telemetry.visit import Visit
from backends.contract.errors import ClientGone, GatewayError, UpstreamTimeout

log = logging.getLogger(__name__)

T = TypeVar("T")

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"


async def answer_or_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`. Raises ClientGone when the client leaves first, UpstreamTimeout when the
    target's time is up; either way `work` is cancelled, and over, before this returns."""
    working = asyncio.create_task(work)
    try:
        await _raced(request, working, None)
        return working.result()
    finally:
        if not working.done():
            await _end(working)


async def first_or_gone(
    request: Request, source: AsyncGenerator[T, None], grace: float | None = None
) -> AsyncGenerator[T, None]:
    """Await the first item, so that whatever fails before it still has a status code.

    Returns the whole stream, first item included; to close that closes `source`. Raises as
    `answer_or_gone` does. With `grace`, for who can be told of silence and of failures in the stream
    itself: a request that waits longer than that, in seconds, for a model to load gets its stream before
    there is anything in it.
    """
    first = asyncio.create_task(_take(source))
    try:
        await _raced(request, first, grace)
        if first.done():
            first.result()
        stream = _resumed(first, source, Visit.of(request.scope))
        await anext(stream)  # begun, it will close what it holds
    except BaseException:
        await _end(first)
        await source.aclose()
        raise
    return cast(AsyncGenerator[T, None], stream)


async def _raced(request: Request, working: asyncio.Task[Any], grace: float | None) -> None:
    """Returns when `working` is done, or may be waited for behind a stream that has begun. Raises as
    `answer_or_gone` does."""
    visit = Visit.of(request.scope)
    leaving = asyncio.create_task(_gone(request.receive))
    waited = {working, leaving}
    if grace is not None and visit.target is not None and visit.target.wait_s:
        waited.add(asyncio.create_task(_held(visit.target.held, grace)))
    try:
        await asyncio.wait(waited, timeout=_left(visit), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            visit.got_first()
        elif leaving.done():
            raise ClientGone("the client closed the connection")
        elif not any(task.done() for task in waited):
            raise _too_slow(visit)
    finally:
        await _end(*(waited - {working}))


async def _held(held: asyncio.Event, grace: float) -> None:
    """Returns once a request has waited so long for a load, and still does."""
    while True:
        await held.wait()
        await asyncio.sleep(grace)
        if held.is_set():
            return


async def collected(source: AsyncGenerator[T, None]) -> list[T]:
    """All items of a stream that is answered as one document."""
    async with aclosing(source):
        return [item async for item in source]


class Streamed(Response):
    """A body that comes as it is made.

    A failure on the way cuts the connection without the final chunk: a client of a binary stream
    can tell by nothing else. The client's leaving closes `source` at once, silent or not.
    `origin` is the engine's stream under it, closed too: a generator that was never begun does
    not close what it holds.
    """

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        visit: Visit,
        media_type: str,
        origin: AsyncGenerator[Any, None],
    ) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-cache"
        self.headers["x-accel-buffering"] = "no"
        self._source, self._visit, self._origin = source, visit, origin
        visit.streams = True
        self._last = 0.0

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        tasks: list[asyncio.Task[None]] = []
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            self._last = time.perf_counter()
            pump, leaving, beat = self._pump(send), _gone(receive), self._beat(send)
            tasks = [asyncio.create_task(work) for work in (pump, leaving, beat)]
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                self._visit.cut = "client"
        except OSError:
            self._visit.cut = "client"
        finally:
            await _end(*tasks)
            await self._source.aclose()
            await self._origin.aclose()

    async def _pump(self, send: Send) -> None:
        try:
            async with asyncio.timeout(_left(self._visit)):
                async for piece in self._source:
                    await self._send(send, piece)
        except TimeoutError:
            await self._source.aclose()  # first: telling it may take as long as the client pleases
            await self._failed(send, _too_slow(self._visit))
        except GatewayError as error:
            await self._failed(send, error)
        except OSError:
            self._visit.cut = "client"
        except Exception:
            log.exception("a stream broke")
            await self._failed(send, unexpected())
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, piece: bytes) -> None:
        if piece:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            self._last = time.perf_counter()

    async def _failed(self, _send: Send, error: GatewayError) -> None:
        self._visit.cut = error.code

    async def _beat(self, send: Send) -> None:
        """Nothing to send between the bytes of a file."""


class EventStream(Streamed):
    """Server-sent events. Silence of `keepalive` seconds is filled with a comment; a failure is
    one event in the envelope, then the end, without `[DONE]`."""

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        visit: Visit,
        keepalive: float,
        origin: AsyncGenerator[Any, None],
    ) -> None:
        super().__init__(source, visit, "text/event-stream; charset=utf-8", origin)
        self._keepalive = keepalive

    async def _failed(self, send: Send, error: GatewayError) -> None:
        await super()._failed(send, error)
        await send({"type": "http.response.body", "body": self._told(error), "more_body": False})

    def _told(self, error: GatewayError) -> bytes:
        return b"data: " + orjson.dumps(envelope(error)) + b"\n\n"

    async def _beat(self, send: Send) -> None:
        if self._visit.first is None:  # begun for the sake of this
            await self._send(send, KEEP_ALIVE)
        while True:
            rest = self._last + self._keepalive - time.perf_counter()
            if rest > 0:
                await asyncio.sleep(rest)
            else:
                await self._send(send, KEEP_ALIVE)


class NumberedEvents(EventStream):
    """The events of `/v1/responses`: each has a name and a number, from 0 on, and the last one says
    itself that it is. A failure is an event `error` with the next number: what OpenAI's has of it,
    and the envelope beside it, by which SDKs know an error in any stream."""

    _sent = 0

    async def _send(self, send: Send, piece: bytes) -> None:
        await super()._send(send, piece)
        # Inside JSON a line break is always escaped: this one is the stream's own.
        self._sent += piece.count(b"\ndata:")

    def _told(self, error: GatewayError) -> bytes:
        said = envelope(error)
        about = {name: said["error"][name] for name in ("code", "message", "param")}
        event = {"type": "error", "sequence_number": self._sent, **about, **said}
        return b"event: error\ndata: " + orjson.dumps(event) + b"\n\n"


def _left(visit: Visit) -> float | None:
    """Seconds until the target's time is up; None where no target was chosen."""
    if visit.target is None:
        return None
    return max(0.0, visit.target.timeout_s - visit.elapsed())


def _too_slow(visit: Visit) -> UpstreamTimeout:
    assert visit.target is not None
    return UpstreamTimeout(f"the model did not answer within {visit.target.timeout_s:g} s")


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _take(source: AsyncGenerator[T, None]) -> list[T]:
    async for item in source:
        return [item]
    return []


async def _resumed(
    first: asyncio.Task[list[T]], source: AsyncGenerator[T, None], visit: Visit
) -> AsyncGenerator[T | None, None]:
    """None, so that it has begun; then the items, the first of which may be yet to come."""
    async with aclosing(source):
        try:
            yield None
            items = await first
            visit.got_first()
        finally:
            if not first.done():
                await _end(first)
        for item in items:
            yield item
        if items:
            async for item in source:
                yield item
