"""A client that costs little: callers with a connection each, one request at a time, kept alive."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

LENGTH = b"\r\ncontent-length: "


@dataclass
class Load:
    """What `callers` at once got through: seconds of each request, and of them all."""

    took: float
    latencies: list[float] = field(default_factory=list)


class Caller(asyncio.Protocol):
    """HTTP/1.1. Raises RuntimeError for any status but 200, and for a connection that is lost."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)
        self._received = bytearray()
        self._whole: int | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def connect(self) -> None:
        place = self._place
        await asyncio.get_running_loop().create_connection(lambda: self, place.hostname, place.port)

    async def post(self, path: str, body: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        assert self._transport is not None
        self._received.clear()
        self._whole, self._answer = None, loop.create_future()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {self._place.netloc}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._whole is None:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end]).lower() + b"\r\n"
            if b" 200 " not in head.partition(b"\r\n")[0] or LENGTH not in head:
                self._fail(bytes(self._received[:600]).decode(errors="replace"))
                return
            self._body = end + 4
            self._whole = self._body + int(head.partition(LENGTH)[2].partition(b"\r\n")[0])
        if len(self._received) >= self._whole and self._answer is not None and not self._answer.done():
            self._answer.set_result(bytes(self._received[self._body : self._whole]))

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._fail("the connection was closed")

    def _fail(self, said: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(RuntimeError(said))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Callers:
    """Connections to one server: new ones for each round, as it may close those that rest between two."""

    def __init__(self, url: str, path: str) -> None:
        self._path = path
        self._url = url
        self._callers: list[Caller] = []

    async def ask(self, bodies: Sequence[bytes], at_once: int) -> Load:
        """All of `bodies`, each by the caller that is free first."""
        left = iter(bodies)
        load = Load(0.0)
        callers = await self._connected(at_once)
        began = time.perf_counter()
        await asyncio.gather(*(self._each(caller, left, load) for caller in callers))
        load.took = time.perf_counter() - began
        return load

    async def keep_asking(self, bodies: Iterable[bytes], at_once: int, until: asyncio.Event) -> Load:
        """Until somebody says that it is enough."""
        load = Load(0.0)
        bodies = iter(bodies)

        def more() -> Iterator[bytes]:
            while not until.is_set():
                yield next(bodies)

        callers = await self._connected(at_once)
        began, left = time.perf_counter(), more()
        await asyncio.gather(*(self._each(caller, left, load) for caller in callers))
        load.took = time.perf_counter() - began
        return load

    async def once(self, body: bytes) -> bytes:
        (caller,) = await self._connected(1)
        return await caller.post(self._path, body)

    async def _connected(self, count: int) -> list[Caller]:
        self.close()
        self._callers = [Caller(self._url) for _ in range(count)]
        await asyncio.gather(*(caller.connect() for caller in self._callers))
        return self._callers

    async def _each(self, caller: Caller, left: Iterator[bytes], load: Load) -> None:
        for body in left:
            began = time.perf_counter()
            await caller.post(self._path, body)
            load.latencies.append(time.perf_counter() - began)

    def close(self) -> None:
        for caller in self._callers:
            caller.close()
