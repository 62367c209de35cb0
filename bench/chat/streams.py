"""A client that costs little: many chat streams at once, each over a connection of its own, with
the time of every arrival. What the events say is looked into only after the clock has stopped."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

TOKEN = b'"content":"'  # opens a token's text in a chunk; empty where a chunk only names the role
EMPTY = b'"content":""'
SPACED = b'"content": "'


@dataclass
class Stream:
    """One answer: when it was asked for, and what arrived when, seconds of `time.perf_counter`."""

    asked: float = 0.0
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)
    status: int = 0
    ended: bool = False

    def first(self) -> float:
        """Seconds until the first token."""
        return next(when for when, data in self.arrivals if tokens(data)) - self.asked

    def gaps(self) -> list[float]:
        """Seconds between tokens; those of one arrival came at once."""
        found: list[float] = []
        last: float | None = None
        for when, data in self.arrivals:
            if count := tokens(data):
                found += [when - last] if last is not None else []
                found += [0.0] * (count - 1)
                last = when
        return found

    def events(self) -> list[dict[str, Any]]:
        body = _dechunked(b"".join(data for _, data in self.arrivals))
        lines = (line.strip() for line in body.split(b"\n"))
        data = (line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:"))
        return [orjson.loads(one) for one in data if one != b"[DONE]"]

    def text(self) -> str:
        choices = (choice for event in self.events() for choice in event.get("choices", ()))
        return "".join(choice["delta"].get("content") or "" for choice in choices)


def tokens(data: bytes) -> int:
    return data.count(TOKEN) + data.count(SPACED) - data.count(EMPTY)


def _dechunked(body: bytes) -> bytes:
    """HTTP/1.1's chunks, whose borders may lie within an event, as one."""
    parts, at = [], 0
    while (line := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:line], 16)
        parts.append(body[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    return b"".join(parts)


class _Connection(asyncio.Protocol):
    """HTTP/1.1, one request, a chunked answer, kept as it came."""

    def __init__(self, request: bytes, stream: Stream, over: asyncio.Future[None]) -> None:
        self._request, self._stream, self._over = request, stream, over
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._stream.asked = time.perf_counter()
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._stream.status:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._stream.status = int(head.split(b" ", 2)[1])
        self._stream.arrivals.append((time.perf_counter(), data))
        if b"[DONE]" in data[-64:]:
            self._stream.ended = True
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if not self._over.done():
            self._over.set_result(None)


async def run(url: str, bodies: list[dict[str, Any]], *, key: str, spread: float = 0.0) -> list[Stream]:
    """Ask for all of them, begun over `spread` seconds. Raises RuntimeError when one is broken."""
    place = urlsplit(url)
    loop = asyncio.get_running_loop()

    async def one(number: int, body: dict[str, Any]) -> Stream:
        await asyncio.sleep(spread * number / len(bodies))
        content = orjson.dumps(body)
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {place.netloc}\r\nauthorization: Bearer {key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
        )
        stream, over = Stream(), loop.create_future()
        await loop.create_connection(
            lambda: _Connection(head.encode() + content, stream, over), place.hostname or "", place.port or 80
        )
        await asyncio.wait_for(over, 120)
        return stream

    streams = await asyncio.gather(*(one(number, body) for number, body in enumerate(bodies)))
    for stream in streams:
        if stream.status != 200 or not stream.ended:
            told = b"".join(data for _, data in stream.arrivals)[-300:]
            raise RuntimeError(f"a stream ended with status {stream.status}: {told!r}")
    return streams
