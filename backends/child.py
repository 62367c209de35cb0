"""Engines in processes of their own: groups that cannot outlive us, and workers that answer jobs.

`Group` runs any command; `Pool` runs Python workers (`backends.worker`) and talks with them.
Nothing here knows what the children do.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from backends.contract import errors
from backends.contract.audio import Audio, opened
from backends.worker import LENGTHS, Item, pack

log = logging.getLogger(__name__)

PIECE = 1 << 20
LIFELINE = str(Path(__file__).with_name("lifeline.py"))


class Group:
    """A command in a process group of its own, which ends with us in whatever manner we end.

    `pid` is the command's and the group's. The process in between costs 4 MB (see `lifeline`).
    """

    def __init__(self, process: asyncio.subprocess.Process, life: socket.socket, pid: int) -> None:
        self.process, self.pid = process, pid
        self._life = life
        self._watching = asyncio.create_task(self._watch())

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdio: socket.socket | None = None,
    ) -> "Group":
        """`env` replaces the environment. `stdio` becomes the command's standard input and output
        (else both are the null device); the caller closes its copy. Standard error is ours.

        Not asyncio's own pipes: it reports the end of a process only when they have been read
        to theirs, so a reader that pauses would hold up `wait`. Raises OSError.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        end = asyncio.subprocess.DEVNULL if stdio is None else stdio.fileno()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", LIFELINE, str(theirs.fileno()), *command),
                    stdin=end,
                    stdout=end,
                    env=env,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # the terminal's Ctrl-C is for us to act on
                )
            return cls(process, ours, int(await _line(ours) or 0))
        except BaseException:
            ours.close()  # whatever had started ends with it
            raise

    async def wait(self) -> int:
        """Until the command has ended; its exit status, 128 + N for death by signal N."""
        code = await self.process.wait()
        await asyncio.wait({self._watching})
        self._life.close()
        return code

    async def kill(self) -> None:
        """End the whole group now; returns when it is gone."""
        with suppress(OSError):  # it has ended already
            self._life.shutdown(socket.SHUT_WR)
        await self.wait()

    async def _watch(self) -> None:
        """The process in between says farewell when it has ended the group. Without one it was
        killed itself, and its duty falls to us."""
        with suppress(OSError):
            if await asyncio.get_running_loop().sock_recv(self._life, 1):
                return
        if self.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


async def _line(ours: socket.socket) -> bytes:
    """Up to its end, and not a byte of what may already follow."""
    line = b""
    while not line.endswith(b"\n") and (byte := await asyncio.get_running_loop().sock_recv(ours, 1)):
        line += byte
    return line


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What runs a worker: `command`, to which the name of its module is added, and its whole
    environment."""

    command: tuple[str, ...]
    env: Mapping[str, str]

    @classmethod
    def ours(cls) -> "Interpreter":
        """This one, with our import path: Ray and test runners extend `sys.path` without the
        environment."""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return cls((sys.executable, "-m", "backends.worker"), env)


class Worker:
    """One child that answers one job at a time. Restarts itself when the child ends.

    A job fails with RuntimeError when the child breaks or dies under it, with ModelDown while it
    is away, and with a contract error when the child refuses it.
    """

    def __init__(
        self,
        module: str,
        options: Mapping[str, Any],
        *,
        grace: float,
        start_s: float,
        interpreter: Interpreter | None = None,
    ) -> None:
        self._module, self._options, self._interpreter = module, dict(options), interpreter
        self._grace, self._start_s = grace, start_s
        self._group: Group | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._frames: asyncio.Queue[tuple[dict[str, Any], bytes] | None] = asyncio.Queue(8)
        self._job_frames = self._frames
        self._keeping: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # a start was tried, and either way is over
        self._jobs = 0
        self.alive = False
        self.failed = False  # the last start did not succeed
        self.running = False  # the child computes for a job at this instant

    @property
    def pid(self) -> int:
        return self._group.pid if self._group else 0

    async def start(self) -> None:
        """Start and load. Raises what the module's `start` refused, or RuntimeError."""
        await self._start()
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        await self._end()
        while not self._frames.empty():
            self._frames.get_nowait()
        self._frames.put_nowait(None)  # for a job that still listens

    async def stream(self, method: str, fields: Any, data: Audio = b"") -> AsyncGenerator[Item, None]:
        """The items of one job. The caller sees to it that there is one at a time, and awaits
        `rest` before the next."""
        if not self.failed:
            await self._settled.wait()
        if not self.alive:
            raise errors.ModelDown("the engine's process is down; it is being restarted")
        self._jobs += 1
        self.running = True
        self._job_frames = frames = self._frames  # a restart begins another queue
        await self._send({"job": self._jobs, "method": method, "fields": fields}, data)
        while True:
            frame = await frames.get()
            if frame is None:
                self.running = False
                raise RuntimeError("the child ended in the middle of a job")
            header, body = frame
            if "end" in header:
                self.running = False
                _raise_for(header)
                return
            yield header["fields"], body

    async def rest(self) -> None:
        """Return when no job runs: stop what is left of one, if need be by force."""
        if not self.running:
            return
        try:
            async with asyncio.timeout(self._grace):
                await self._send({"cancel": self._jobs})
                await self._until_end()
        except TimeoutError:
            log.warning("a child did not stop within %s s and is restarted", self._grace)
            await self._end()
            await self._until_end()
        self.running = False

    async def _until_end(self) -> None:
        while (frame := await self._job_frames.get()) is not None and "end" not in frame[0]:
            pass

    async def _send(self, header: dict[str, Any], data: Audio = b"") -> None:
        assert self._writer is not None
        with suppress(ConnectionError), opened(data) as rest:  # it has ended: reading will say so
            self._writer.write(pack(header, size=len(data)))
            # Piece by piece: a frame in one, and the socket's own copy of it, would be two more of an
            # upload.
            try:
                while piece := rest.read(PIECE):
                    self._writer.write(piece)
                    await self._writer.drain()
            except asyncio.CancelledError:
                self._writer.write(rest.read())  # half a frame would swallow the next
                raise
            await self._writer.drain()

    async def _start(self) -> None:
        self._settled.clear()
        self._frames = asyncio.Queue(8)
        try:
            async with asyncio.timeout(self._start_s):
                await self._spawn()
                await self._send(self._options)
                header, _ = await self._frame()
            _raise_for(header)
            self.alive, self.failed = True, False
        except (EOFError, TimeoutError, OSError) as error:
            self.failed = True
            await self._end()
            raise RuntimeError(f"the child for {self._module} did not start") from error
        except BaseException:
            self.failed = True
            await self._end()
            raise
        finally:
            self._settled.set()

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        interpreter = self._interpreter or Interpreter.ours()
        command = (*interpreter.command, self._module)
        with theirs:
            self._reader, self._writer = await asyncio.open_connection(sock=ours)
            self._group = await Group.start(command, env=interpreter.env, stdio=theirs)

    async def _frame(self) -> tuple[dict[str, Any], bytes]:
        """Raises EOFError (IncompleteReadError) when either end is closed."""
        assert self._reader is not None
        header, body = LENGTHS.unpack(await self._reader.readexactly(LENGTHS.size))
        text = await self._reader.readexactly(header)
        return orjson.loads(text), await self._reader.readexactly(body)

    async def _keep(self) -> None:
        """Read what the child says until it ends, then start another; ever more slowly while
        that fails."""
        failures = 0
        while True:
            if self.alive:
                await self._pump()
                log.warning("a child for %s ended and is restarted", self._module)
            try:
                await asyncio.sleep(min(30.0, 0.1 * 2**failures) if failures else 0)
                await self._start()
                failures = 0
            except Exception:
                failures += 1
                log.exception("a child for %s could not be restarted", self._module)

    async def _pump(self) -> None:
        frames = self._frames
        try:
            while True:
                await frames.put(await self._frame())
        except (EOFError, OSError):
            self._settled.clear()  # jobs wait for the restart
            await self._end()
        finally:  # also when cancelled: a job must not wait for what nobody reads
            if frames.full():
                frames.get_nowait()
            frames.put_nowait(None)

    async def _end(self) -> None:
        self.alive = self.running = False
        if self._writer is not None:
            self._writer.close()
        if self._group is not None:
            await self._group.kill()


class Pool:
    """Workers of one module with one queue of jobs.

    `grace`: seconds a child has to stop when its job is cancelled, before it is killed and
    replaced. `start_s`: seconds it has to load. `interpreter`: ours by default.
    """

    def __init__(
        self,
        module: str,
        options: Mapping[str, Any],
        *,
        size: int = 1,
        grace: float = 1.0,
        start_s: float = 60.0,
        interpreter: Interpreter | None = None,
    ) -> None:
        self._workers = [
            Worker(module, options, grace=grace, start_s=start_s, interpreter=interpreter)
            for _ in range(size)
        ]
        self._free = deque(self._workers)
        self._turn = asyncio.Semaphore(size)
        self._resting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start every worker. Raises what a worker's start raises; none is left then."""
        try:
            await asyncio.gather(*(worker.start() for worker in self._workers))
        except BaseException:
            await self.close()
            raise

    async def stream(self, method: str, fields: Any, data: Audio = b"") -> AsyncGenerator[Item, None]:
        """Queue for a worker, then yield its items `(fields, data)`. Closing ends the work in
        the child within its next step, or `grace`."""
        await self._turn.acquire()
        worker = self._free.popleft()
        try:
            async for item in worker.stream(method, fields, data):
                yield item
        finally:
            await asyncio.shield(self._kept(self._release(worker)))

    @property
    def busy(self) -> int:
        """Jobs that children are computing at this instant."""
        return sum(worker.running for worker in self._workers)

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(worker.pid for worker in self._workers)

    def healthy(self) -> bool:
        """Whether jobs can be answered. A child that is being restarted counts as healthy until
        that fails."""
        return not all(worker.failed for worker in self._workers)

    async def close(self) -> None:
        await asyncio.gather(*(worker.close() for worker in self._workers))

    async def _release(self, worker: Worker) -> None:
        try:
            await worker.rest()
        finally:
            self._free.append(worker)
            self._turn.release()

    def _kept(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._resting.add(task)
        task.add_done_callback(self._resting.discard)
        return task


def _raise_for(header: dict[str, Any]) -> None:
    if "refused" in header:
        error = getattr(errors, header["refused"])(header["message"])
        error.__dict__.update(header["state"])
        raise error
    if "broken" in header:
        log.error("a child failed:\n%s", header["broken"])
        raise RuntimeError("the child failed; its traceback is in the log")
