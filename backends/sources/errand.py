"""To bring one model to this node's store, by a process of its own, and hold it there."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from backends.child import Group, Interpreter
from backends.contract.errors import SourceFailed
from backends.sources import pickles
from backends.sources.address import Address
from backends.sources.store import Hold, Store

MODULE = "backends.sources.fetching"
LOOK_S = 0.5

# Bytes that are here; bytes in all, None while nobody says.
Told = Callable[[int, int | None], None]


class Errand:
    """However many there are on a node for one model, one download runs. It ends when `run` is cancelled,
    `close` is called, or this process ends in whatever manner; the next one goes on from there."""

    def __init__(self, address: Address, allow_pickle: bool) -> None:
        self._address, self._allow_pickle = address, allow_pickle
        self._key = address.key(allow_pickle)
        self.group: Group | None = None

    async def run(self, told: Told) -> Hold:
        """The model, whole. `told` is called now and then meanwhile. Raises SourceFailed."""
        store = Store.of(os.environ)
        while (hold := store.hold(self._key)) is None:
            telling = asyncio.create_task(self._tell(store, told))
            try:
                await self._fetch()
            finally:
                telling.cancel()
        try:
            if not self._allow_pickle:
                await asyncio.to_thread(pickles.refuse, hold.path)
        except BaseException:
            hold.close()
            raise
        return hold

    async def close(self) -> None:
        if self.group is not None:
            await self.group.kill()

    async def _fetch(self) -> None:
        answer = await self._answer()
        with suppress(ValueError):
            said: dict[str, Any] = json.loads(answer)
            if said["why"] is not None:
                raise SourceFailed.because(said["why"], said["message"])
            return
        raise SourceFailed.because(
            "failed", "the model's files could not be fetched; the operator's log says why"
        )

    async def _answer(self) -> bytes:
        """What the child said, when it has ended."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        flags = ("--allow-pickle",) if self._allow_pickle else ()
        command = (sys.executable, "-m", MODULE, self._address.text, *flags)
        with ours:
            with theirs:
                self.group = await Group.start(command, env=Interpreter.ours().env, stdio=theirs)
            try:
                said = b""
                while piece := await asyncio.get_running_loop().sock_recv(ours, 1 << 16):
                    said += piece
                return said
            finally:
                await self.group.kill()

    async def _tell(self, store: Store, told: Told) -> None:
        """By what lies on the disk, whoever of the node brings it."""
        while True:
            have, record = await asyncio.to_thread(
                lambda: (store.brought(self._key), store.record(self._key))
            )
            size = record.size if record else None
            told(have if size is None else min(have, size), size)
            await asyncio.sleep(LOOK_S)
