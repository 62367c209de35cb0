"""A shortcut for tasks with one answer where the door and the only replica share a machine: a Unix socket.

Serve's handle, gRPC and what it counts cost about a millisecond of CPU per call, a quarter of what a
short text takes to embed; this costs a tenth of that. Only for a variant of one replica: there is
nothing to choose and nothing to scale. Whenever the hatch is shut, the task goes by Ray.

    door → replica: a length of 4 bytes, pickled (number, task); (number, None) cancels
    replica → door: likewise (number, answer, None) or (number, None, error); (-1, None, None) is goodbye
"""

import asyncio
import itertools
import logging
import os
import pickle
import shutil
import struct
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from backends.contract.errors import EngineFailed, GatewayError, ModelDown
from backends.contract.tasks import Task
from backends.serve.janitor import MARK

_LENGTH = struct.Struct("!I")
_GOODBYE = -1
_LEAVE_S = 2.0  # how long a door may take to see that a replica stops

log = logging.getLogger(__name__)


class Shut(ConnectionError):
    """Nobody has begun on the task. Never on the wire: it then goes by Ray."""


class _Frames(asyncio.Protocol):
    """One end of a connection: whole frames out and in."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Of the kind, though uvloop's does not say so.
        self.transport = cast(asyncio.Transport, transport)

    def send(self, *frame: Any) -> None:
        if self.transport is not None:
            data = pickle.dumps(frame, pickle.HIGHEST_PROTOCOL)
            self.transport.write(_LENGTH.pack(len(data)) + data)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            self.received(*pickle.loads(frame))  # noqa: S301 - the folder is this user's alone

    def received(self, *frame: Any) -> None:
        raise NotImplementedError

    def connection_lost(self, _: Exception | None) -> None:
        self.transport = None


class Hatch:
    """The replica's end. `call`: what answers a task."""

    def __init__(self, call: Callable[[Task[Any]], Awaitable[Any]]) -> None:
        self._call = call
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None
        self._visitors: set[_Visitor] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.running: set[asyncio.Task[None]] = set()
        self.open = False

    async def start(self) -> str:
        """The path of the socket, which only this user can reach."""
        self._folder = Path(tempfile.mkdtemp(prefix="hatch-", dir=os.environ.get(MARK)))
        path = str(self._folder / "s")
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Visitor(self), path)
        self.open = True
        return path

    async def close(self) -> None:
        """Take nothing more on, and finish what was begun."""
        self.open = False
        if self._server is not None:
            self._server.close()
        if self.running:
            await asyncio.wait(self.running)
        for visitor in self._visitors:
            visitor.dismiss()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await self._empty.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def answer(self, task: Task[Any]) -> tuple[Any, Exception | None]:
        try:
            return await self._call(task), None
        except GatewayError as error:
            return None, error
        except Exception:
            log.exception("a call through the hatch failed", extra={"request_id": task.request_id})
            return None, EngineFailed("the engine failed on this request")

    def came(self, visitor: "_Visitor") -> None:
        self._visitors.add(visitor)
        self._empty.clear()

    def left(self, visitor: "_Visitor") -> None:
        self._visitors.discard(visitor)
        if not self._visitors:
            self._empty.set()


class _Visitor(_Frames):
    """A door, seen from the replica."""

    def __init__(self, hatch: Hatch) -> None:
        super().__init__()
        self._hatch = hatch
        self._asked: dict[int, asyncio.Task[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._hatch.came(self)

    def received(self, *frame: Any) -> None:
        number, task = frame
        if task is None:
            if asked := self._asked.get(number):
                asked.cancel()
        elif not self._hatch.open:
            self.send(number, None, Shut("the replica is stopping"))
        else:
            asked = self._asked[number] = asyncio.create_task(self._answer(number, task))
            self._hatch.running.add(asked)
            asked.add_done_callback(self._hatch.running.discard)
            asked.add_done_callback(lambda _: self._asked.pop(number, None))

    def dismiss(self) -> None:
        """What was begun has been answered; the rest of what was asked will not be."""
        self.send(_GOODBYE, None, None)

    async def _answer(self, number: int, task: Task[Any]) -> None:
        self.send(number, *await self._hatch.answer(task))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._hatch.left(self)
        for asked in list(self._asked.values()):
            asked.cancel()


class Hatches:
    """The door's end: a connection to each replica that has been asked."""

    def __init__(self) -> None:
        self._known: dict[str, _Caller] = {}

    async def call(self, path: str, task: Task[Any]) -> Any:
        """The answer, or the error that it was. Raises Shut where there is nobody to take the task, and
        ModelDown when the replica ends on the way."""
        caller = self._known.get(path)
        if caller is None or caller.transport is None:
            caller = _Caller()
            try:
                await asyncio.get_running_loop().create_unix_connection(lambda: caller, path)
            except OSError:
                raise Shut("there is no replica behind the hatch") from None
            self._known = {known: one for known, one in self._known.items() if one.transport is not None}
            self._known[path] = caller
        return await caller.ask(task)

    def close(self) -> None:
        for caller in self._known.values():
            if caller.transport is not None:
                caller.transport.close()


class _Caller(_Frames):
    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def ask(self, task: Task[Any]) -> Any:
        if self.transport is None:
            raise Shut("the replica has gone")
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self.send(number, task)
        try:
            return await answer
        finally:
            if self._waiting.pop(number, None) is not None:  # whoever asked has left
                self.send(number, None)

    def received(self, *frame: Any) -> None:
        number, answer, error = frame
        if number == _GOODBYE:
            self._end(Shut("the replica has stopped"))
            return
        waiting = self._waiting.pop(number, None)
        if waiting is None or waiting.done():
            return
        if error is None:
            waiting.set_result(answer)
        else:
            waiting.set_exception(error)

    def _end(self, why: Exception) -> None:
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(why)
        if self.transport is not None:
            self.transport.close()
            self.transport = None

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._end(ModelDown("the model's process ended during the request"))
