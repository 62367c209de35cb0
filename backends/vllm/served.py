"""`vllm serve` as a child of ours: started, watched, restarted, spoken to over its Unix socket."""

import asyncio
import logging
import os
import re
import shutil
import signal
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from backends import startlock
from backends.child import Group
from backends.contract.engine import Progress, Vendor
from backends.contract.errors import ModelDown
from backends.vllm import progress as log_lines

log = logging.getLogger(__name__)

TAIL = 40  # lines that a death is reported with
LONGEST_LINE = 65_536
SETTLED_S = 60.0  # one that served this long had not failed to start
# Its server closes an idle connection after 5 s; a request sent at that moment would be lost.
KEEPALIVE_S = 3.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """`command(uds)` is what to run so that it listens on that socket. `pause`: seconds before the
    first restart, doubled by each that fails; after `patience` of those in a row it is given up.
    `grace`: seconds it has to clean up when it is told to stop."""

    command: Callable[[Path], list[str]]
    environment: Mapping[str, str]
    vendor: Vendor
    start_s: float = 1800.0
    pause: float = 1.0
    patience: int = 5
    grace: float = 8.0
    locks: Path | None = None


class Served:
    """Speaks HTTP with the child; what is said is the caller's matter. `uds`: the socket it listens
    on, another one after each start."""

    def __init__(self, name: str, recipe: Recipe) -> None:
        self._name, self._recipe = name, recipe
        self._folder = Path(tempfile.mkdtemp(prefix="motley-vllm-"))  # ours alone, and a short path
        self._starts = 0
        self._failures = 0  # starts in a row that did not succeed
        self._seconds = 10.0  # that the last start took
        self._tail: deque[str] = deque(maxlen=TAIL)
        self.uds: Path | None = None
        self._group: Group | None = None
        self._ended: asyncio.Task[int] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self.up = False

    @property
    def pid(self) -> int:
        """The child's, and its group's; 0 before the first start."""
        return self._group.pid if self._group else 0

    @property
    def lost(self) -> bool:
        """Restarts have failed for so long that another process should try."""
        return self._failures >= self._recipe.patience

    async def start(self, progress: Progress) -> None:
        """Until it answers. Raises RuntimeError; why is in the log."""
        try:
            await self._start(progress)
        except BaseException:
            await self.close()
            raise
        self.keep()

    def keep(self) -> None:
        """Start it anew whenever it ends."""
        self._keeping = asyncio.create_task(self._keep())

    async def rest(self) -> None:
        """If it ends now, leave it so: another would take what this one has given back."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
            self._keeping = None

    async def close(self) -> None:
        await self.rest()
        await self._end(gently=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def post(self, path: str, data: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """The answer's head has arrived, its body has not. Raises ModelDown; the caller closes it."""
        if not self.up or self._session is None:
            raise self.down()
        try:
            return await self._session.post(path, data=data, headers=headers)
        except aiohttp.ClientError:
            raise self.down() from None

    async def get(self, path: str) -> bytes:
        """The body of an answer of 200. Raises aiohttp.ClientError."""
        assert self._session is not None
        async with self._session.get(path, raise_for_status=True) as response:
            return await response.read()

    def down(self) -> ModelDown:
        return ModelDown(
            "the model's process ended; it is being restarted",
            retry_after=min(60, max(2, round(self._seconds))),
        )

    async def check(self) -> None:
        """After an answer that was an error of its own: raises ModelDown if the engine behind its
        HTTP server is dead, and ends what is left, so that it is restarted."""
        try:
            async with asyncio.timeout(5):
                await self.get("/health")
        except (TimeoutError, aiohttp.ClientError):
            self.up = False
            if self._group is not None:
                await asyncio.shield(self._group.kill())
            raise self.down() from None

    async def _start(self, progress: Progress) -> None:
        devices = startlock.devices(self._recipe.vendor, self._recipe.environment)
        progress("waiting for other starts on this GPU" if devices else "starting", None)
        async with startlock.held(self._recipe.vendor, devices, folder=self._recipe.locks):
            progress("starting", None)
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._recipe.start_s):
                    await self._spawn(progress)
                    await self._answering()
            except (TimeoutError, OSError, RuntimeError) as error:
                await self._end()
                lines = "\n".join(self._tail)
                log.exception("vLLM for %s did not start; its last lines:\n%s", self._name, lines)
                raise RuntimeError("vLLM did not start; its last lines are in the log") from error
            except BaseException:
                await self._end()
                raise
            self._seconds = time.monotonic() - began
        self.up = True

    async def _spawn(self, progress: Progress) -> None:
        self._starts += 1
        self._tail.clear()
        self.uds = uds = self._folder / f"{self._starts}.sock"
        # Its log comes on both outputs; standard error joins the other on the way into the child.
        command = ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *self._recipe.command(uds)]
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            self._reading = asyncio.create_task(self._read(reader, writer, progress))
            self._group = await Group.start(command, env=self._recipe.environment, stdio=theirs)
        self._ended = asyncio.create_task(self._group.wait())
        self._session = aiohttp.ClientSession(
            "http://vllm",
            connector=aiohttp.UnixConnector(str(uds), limit=0, keepalive_timeout=KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(total=None),  # how long an answer may take is the host's matter
            auto_decompress=False,
        )

    async def _answering(self) -> None:
        """Raises RuntimeError when it ends before it answers."""
        assert self._ended is not None
        while True:
            with suppress(aiohttp.ClientError):
                await self.get("/health")
                return
            await asyncio.wait({self._ended}, timeout=0.1)
            if self._ended.done():
                raise RuntimeError(f"vLLM ended with status {self._ended.result()}")

    async def _keep(self) -> None:
        """Wait for its end, then start another; ever more slowly while that does not last."""
        hurried = 0
        while True:
            if self.up:
                hurried = 0 if await self._served_long() else hurried + 1
            await asyncio.sleep(min(60.0, self._recipe.pause * 2 ** max(hurried - 1, 0)))
            try:
                await self._start(lambda *_: None)
                self._failures = 0
                log.warning("vLLM for %s serves again", self._name)
            except Exception:
                hurried += 1
                self._failures += 1
                log.exception("vLLM for %s could not be restarted", self._name)

    async def _served_long(self) -> bool:
        """Return when it has ended, and all of its group with it."""
        assert self._ended is not None
        began = time.monotonic()
        await asyncio.wait({self._ended})
        self.up = False
        await self._end()
        log.error(
            "vLLM for %s ended with status %s and is restarted; its last lines:\n%s",
            self._name,
            self._ended.result(),
            "\n".join(self._tail),
        )
        return time.monotonic() - began >= SETTLED_S

    async def _end(self, *, gently: bool = False) -> None:
        self.up = False
        if self._session is not None:
            await self._session.close()
        if self._group is not None and self._ended is not None:
            if gently and self._group.pid and not self._ended.done():
                # Killed at once it would leave its shared memory behind.
                with suppress(ProcessLookupError):
                    os.kill(self._group.pid, signal.SIGTERM)
                await asyncio.wait({self._ended}, timeout=self._recipe.grace)
            await self._group.kill()
            await asyncio.wait({self._ended})
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=1)
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, progress: Progress
    ) -> None:
        rest = b""
        try:
            while data := await reader.read(65_536):
                *lines, rest = re.split(rb"[\r\n]+", rest + data)
                for line in lines:
                    self._note(line.decode(errors="replace"), progress)
                rest = rest[-LONGEST_LINE:]
            self._note(rest.decode(errors="replace"), progress)
        except ConnectionError:
            return
        finally:
            writer.close()

    def _note(self, line: str, progress: Progress) -> None:
        if not line.strip():
            return
        self._tail.append(line)
        log.log(logging.getLevelNamesMapping()[log_lines.level(line).upper()], "%s: %s", self._name, line)
        if not self.up and (found := log_lines.read(line)):
            progress(*found)
