"""How a door knows by itself that a replica is gone: a connection to it on which nothing is said.

The kernel of the replica's machine closes it when the process ends, however it ends, and answers
the door's keepalives while the machine lives, however busy its processes are. So a full CPU, or a
step that holds the interpreter for long, cannot look like a death, and nobody has to beat.

    replica → door: its id and a line break, at once; `bye` and a line break when it stops in good order
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

BYE = "bye"
# Until the door's kernel gives a silent machine up: idle, then this many times as far apart.
IDLE_S, EVERY_S, TIMES = 1, 1, 2
CONNECT_S = 1.0
AT_ONCE_S, RETRY_S = 0.02, 0.25
# A connection that broke is tried again for this long before its replica counts as gone.
PATIENCE_S = 0.75

# new: never reached, so nothing is known of it · suspect: the connection broke, a new one is tried ·
# gone: cannot be reached any more · dead: its process has ended · left: it stopped in good order
Condition = Literal["new", "alive", "suspect", "gone", "dead", "left"]


@dataclass(slots=True)
class Vital:
    """What a door has found out of one replica. Pure: it is told what happened, and when (`now`, in
    monotonic seconds). `replica`: its id, which no other ever has: who is dead stays dead.

    Only who was once alive can fall: where a network lets no such connection through, Serve's word
    alone counts.
    """

    replica: str
    condition: Condition = "new"
    since: float = 0.0

    @property
    def fallen(self) -> bool:
        return self.condition in ("gone", "dead")

    @property
    def over(self) -> bool:
        """Nothing more is to be found out."""
        return self.condition in ("dead", "left")

    def heard(self, line: str, now: float) -> None:
        """A line came: its id, another's (whose process has the port now), or its goodbye."""
        if line == self.replica:
            self._become("alive", now)
        elif line == BYE:
            self._become("left", now)
        elif self.condition != "new":
            self._become("dead", now)

    def broke(self, now: float) -> None:
        """The connection ended, or its keepalives were not answered."""
        if self.condition == "alive":
            self._become("suspect", now)
        else:  # taken, and closed without a word: by somebody in between
            self.failed(now)

    def refused(self, now: float) -> None:
        """Its machine says that nobody listens there."""
        if self.condition != "new":
            self._become("dead", now)

    def failed(self, now: float) -> None:
        """No connection, and nobody says why."""
        if self.condition == "suspect" and now - self.since >= PATIENCE_S:
            self._become("gone", now)

    def pause(self, now: float) -> float:
        """Seconds until it is tried again."""
        hurried = self.condition == "suspect" and now - self.since < RETRY_S
        return AT_ONCE_S if hurried else RETRY_S

    def _become(self, condition: Condition, now: float) -> None:
        if condition != self.condition and not self.over:
            self.condition, self.since = condition, now


class Pulse:
    """The replica's end. `keeper`: the process that it cannot outlive, its node's raylet. Ray looks every
    second whether that still is, and ends the replica then; doors are told by the kernel, at once.
    """

    def __init__(self, replica: str, keeper: int | None = None) -> None:
        self._line = f"{replica}\n".encode()
        self._keeper = keeper
        self._server: asyncio.Server | None = None
        self._doors: set[asyncio.StreamWriter] = set()

    async def start(self, host: str) -> str:
        """Where doors find it: `host:port`."""
        self._server = await asyncio.start_server(self._came, host, 0)
        if self._keeper is not None and hasattr(os, "pidfd_open"):
            kept = os.pidfd_open(self._keeper)  # open as long as this process is
            asyncio.get_running_loop().add_reader(kept, self._forsaken, kept)
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _keep_alive(writer)
        self._doors.add(writer)
        with suppress(OSError):
            writer.write(self._line)
            await reader.read(1)  # a door has nothing to say: this is its leaving
        self._doors.discard(writer)
        writer.close()

    def _forsaken(self, kept: int) -> None:
        asyncio.get_running_loop().remove_reader(kept)
        self._end()

    async def close(self) -> None:
        for door in list(self._doors):
            door.write(f"{BYE}\n".encode())
        self._end()

    def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for door in list(self._doors):
            door.close()


class Pulses:
    """The door's end. `changed` is called when a replica fell, or stands again."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._vitals: dict[str, Vital] = {}
        self._feeling: dict[str, asyncio.Task[None]] = {}
        self._fallen: frozenset[str] = frozenset()

    def feel(self, replicas: Mapping[str, str]) -> None:
        """Where each replica of now is to be felt, by id; nothing is kept of the others."""
        for one in self._vitals.keys() - replicas.keys():
            self._feeling.pop(one).cancel()
            del self._vitals[one]
        for one, where in replicas.items():
            if where and one not in self._vitals:
                vital = self._vitals[one] = Vital(one)
                self._feeling[one] = asyncio.create_task(self._feel(vital, where))
        self._fallen = self.fallen()

    def fallen(self) -> frozenset[str]:
        return frozenset(one for one, vital in self._vitals.items() if vital.fallen)

    def conditions(self) -> dict[str, Condition]:
        """Of every replica that is felt, by id."""
        return {one: vital.condition for one, vital in self._vitals.items()}

    async def close(self) -> None:
        feeling = list(self._feeling.values())
        for one in feeling:
            one.cancel()
        await asyncio.gather(*feeling, return_exceptions=True)

    async def _feel(self, vital: Vital, where: str) -> None:
        host, _, port = where.rpartition(":")
        while not vital.over:
            try:
                async with asyncio.timeout(CONNECT_S):
                    reader, writer = await asyncio.open_connection(host, int(port))
            except ConnectionRefusedError:
                vital.refused(time.monotonic())
            except OSError:
                vital.failed(time.monotonic())
            else:
                await self._listen(vital, reader, writer)
            self._tell()
            await asyncio.sleep(vital.pause(time.monotonic()))

    async def _listen(self, vital: Vital, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the connection ends."""
        _keep_alive(writer)
        try:
            async for line in reader:
                vital.heard(line.decode(errors="replace").strip(), time.monotonic())
                self._tell()
        except (OSError, ValueError):  # a line without end is of no replica
            pass
        finally:
            writer.close()
        vital.broke(time.monotonic())

    def _tell(self) -> None:
        if (fallen := self.fallen()) != self._fallen:
            self._fallen = fallen
            self._changed()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    one: Any = writer.get_extra_info("socket")
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", IDLE_S), ("TCP_KEEPINTVL", EVERY_S), ("TCP_KEEPCNT", TIMES)):
        if hasattr(socket, name):  # else the system's two hours
            one.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
