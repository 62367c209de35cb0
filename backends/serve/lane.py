"""A shortcut for what belongs to a stream where the door and the replica share a machine: a Unix socket.

Ray still chooses the replica, admits, carries the first items, errors and the cancelling; only the
later items go beside it. Each message of Serve's gRPC wakes threads on both sides, 0.5 ms of CPU
where the cores are busy; one of these costs a tenth of that.

    replica → door: 16 bytes of the ticket, then frames: a length of 4 bytes, a pickled list.
    A length of 0 is the end; a connection that ends without it broke.

What a task has in a file is not sent at all: the replica fetches the file itself, open as it is at the
door (decision 0039).

    replica → door: 16 bytes of the ticket; door → replica: one byte, and the descriptor
"""

import asyncio
import os
import pickle
import secrets
import shutil
import socket
import struct
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from backends.contract.audio import Spooled
from backends.contract.errors import FileNeeded
from backends.serve.janitor import MARK

_LENGTH = struct.Struct("!I")
NUMBER = 16  # bytes
AHEAD = 4  # frames that may wait before the replica is slowed
ARRIVES_S = 5.0  # how long a connection that was made may take to be seen


class Ticket(NamedTuple):
    """Where a door listens for the items of one stream. A path of that name is on its machine only.
    `file`: the number for the file of its task, if that has one."""

    path: str
    number: bytes
    file: bytes = b""


class Lane:
    """The door's end."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._waiting: dict[bytes, asyncio.Future[_Arrival]] = {}
        self._arrivals: dict[bytes, _Arrival] = {}
        self._files: dict[bytes, Spooled] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        # Ours alone, with a short path; the cluster's folder goes when the cluster goes.
        self._folder = Path(tempfile.mkdtemp(prefix="lane-", dir=os.environ.get(MARK)))
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Arrival(self._arrived), self._folder / "s")

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for arrival in self._arrivals.values():
            arrival.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def ticket(self, spooled: Spooled | None = None) -> Ticket:
        """`spooled`: what can be fetched with it."""
        number, file = secrets.token_bytes(NUMBER), b""
        self._waiting[number] = asyncio.get_running_loop().create_future()
        if spooled is not None:
            file = secrets.token_bytes(NUMBER)
            self._files[file] = spooled
        return Ticket(f"{self._folder}/s", number, file)

    async def items(self, ticket: Ticket) -> AsyncGenerator[list[Any], None]:
        """Until the stream's end, or the connection's: the replica's answer tells which it was."""
        async with asyncio.timeout(ARRIVES_S):
            arrival = await self._waiting[ticket.number]
        while (frame := await arrival.frame()) is not None:
            yield pickle.loads(frame)  # noqa: S301  (from a process of this user that knew the number)

    def done(self, ticket: Ticket) -> None:
        """Nobody waits for it any more. The replica learns of it at its next item, if not by Ray."""
        self._waiting.pop(ticket.number, None)
        self._files.pop(ticket.file, None)
        if arrival := self._arrivals.pop(ticket.number, None):
            arrival.close()

    def _arrived(self, number: bytes, arrival: "_Arrival") -> bool:
        """Whether somebody waits for it."""
        if (file := self._files.get(number)) is not None:
            arrival.hand(file)
            return False
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():
            return False
        self._arrivals[number] = arrival
        waiting.set_result(arrival)
        return True


class _Arrival(asyncio.Protocol):
    """One replica's connection. A protocol and no reader: a frame costs a third of what `readexactly`
    twice does, and there is one for nearly every token."""

    def __init__(self, arrived: "Callable[[bytes, _Arrival], bool]") -> None:
        self._arrived, self._known = arrived, False
        self._rest, self._frames = bytearray(), deque[bytes]()
        self._over = self._paused = False
        self._wanted: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if not self._known:
            if len(self._rest) < NUMBER:
                return
            self._known = self._arrived(bytes(self._rest[:NUMBER]), self)
            if not self._known:
                self._transport.close()
                return
            del self._rest[:NUMBER]
        while len(self._rest) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest)
            end = _LENGTH.size + length
            if len(self._rest) < end:
                break
            if length:
                self._frames.append(bytes(self._rest[_LENGTH.size : end]))
            else:
                self._over = True
            del self._rest[:end]
        if len(self._frames) > AHEAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, _: Exception | None) -> None:
        self._over = True
        self._wake()

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    async def frame(self) -> bytes | None:
        """The next one; None at the end, the stream's or the connection's."""
        while not self._frames:
            if self._over:
                return None
            self._wanted = asyncio.get_running_loop().create_future()
            await self._wanted
        if self._paused and len(self._frames) <= AHEAD:
            self._paused = False
            self._transport.resume_reading()
        return self._frames.popleft()

    def hand(self, file: Spooled) -> None:
        """The descriptor itself. asyncio has no words for that, so it is done beside it."""
        here = self._transport.get_extra_info("socket").fileno()
        with suppress(OSError, ValueError), socket.socket(fileno=os.dup(here)) as beside:
            socket.send_fds(beside, [b"f"], [file.fileno()])

    def close(self) -> None:
        self._transport.close()


async def fetch(spooled: Spooled, ticket: Ticket) -> None:
    """Bring the file of a task here. Raises FileNeeded where the door is on another machine, or gone."""
    spooled.bring(await asyncio.to_thread(_fetched, ticket))


def _fetched(ticket: Ticket) -> BinaryIO:
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(ARRIVES_S)
            door.connect(ticket.path)
            door.sendall(ticket.file)
            _, (descriptor,), _, _ = socket.recv_fds(door, 1, 1)
    except (OSError, ValueError):  # ValueError: the door sent nothing
        raise FileNeeded("the upload is on another machine") from None
    os.set_inheritable(descriptor, False)
    return open(descriptor, "rb", buffering=0)


class Sending:
    """The replica's end of one stream."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    @classmethod
    async def towards(cls, ticket: Ticket) -> "Sending | None":
        """None where the door is on another machine."""
        try:
            _, writer = await asyncio.open_unix_connection(ticket.path)
        except OSError:
            return None
        writer.write(ticket.number)
        return cls(writer)

    async def send(self, items: list[Any]) -> None:
        """Waits while the door is slow. Raises ConnectionError once nobody is there."""
        frame = pickle.dumps(items, pickle.HIGHEST_PROTOCOL)
        self._writer.write(_LENGTH.pack(len(frame)) + frame)
        await self._writer.drain()

    def end(self) -> None:
        self._writer.write(_LENGTH.pack(0))

    def close(self) -> None:
        self._writer.close()
