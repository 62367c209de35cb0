"""A process that hosts engines: where it stands, what it has, and how it is felt."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import ray
from ray import serve

from backends import footprint, heap
from backends.contract.engine import Vendor
from backends.contract.state import ReplicaState
from backends.contract.tasks import StreamTask
from backends.fleet import NODE_LABEL
from backends.serve.inward import inward
from backends.serve.lane import Sending, Ticket, fetch
from backends.serve.pulse import Pulse

# An upload of so many bytes leaves that much of the heap free when Ray has let go of it, a moment later.
LARGE, TIDY_S = 4 << 20, 0.5
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"

# The node's name, items, and whether the later ones go by the door's lane.
Batch = tuple[str, list[Any], bool]
Answer = Callable[[StreamTask[Any]], AsyncGenerator[list[Any], None]]


class Standing:
    """`vendor`: of the card of which it has a share, else `cpu`."""

    def __init__(self, vendor: Vendor) -> None:
        _log_to_stderr()
        inward()
        context = ray.get_runtime_context()
        self.node = str(context.get_node_labels().get(NODE_LABEL, "unlabelled"))
        self._machine = str(context.get_node_id())
        # Where a driver names its cards by something else than a number, Ray does so, too.
        given = context.get_accelerator_ids().get("GPU", ())
        self._gpus = tuple(int(gpu) for gpu in given if str(gpu).isdecimal())
        self._vendor = vendor
        self._tidying: asyncio.TimerHandle | None = None
        self._pulse: Pulse | None = None
        self.id = serve.get_replica_context().replica_tag
        self._felt = ""

    async def begin(self) -> None:
        """Let itself be felt: what it hosts is loaded."""
        self._pulse = Pulse(self.id, int(os.environ["RAY_RAYLET_PID"]))
        address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        self._felt = await self._pulse.start(address)

    async def end(self) -> None:
        if self._pulse is not None:
            await self._pulse.close()

    async def complete(self, own: ReplicaState, hatch: str = "") -> ReplicaState:
        """What a host says of itself, with what it cannot know."""
        vram, ram = await asyncio.to_thread(self._measured)
        return replace(
            own,
            hatch=hatch,
            pulse=self._felt,
            id=self.id,
            machine=self._machine,
            gpus=self._gpus,
            footprint=replace(own.footprint, vram=vram, ram=ram),
        )

    async def sent(
        self, answer: Answer, task: StreamTask[Any], ticket: Ticket
    ) -> AsyncGenerator[Batch, None]:
        """The batches of a host's answer, by Ray and, where the door is on this machine, by its lane. Raises
        FileNeeded where it is not, and the task has a file there."""
        sending: Sending | None = None
        try:
            if task.spooled:
                await fetch(task.spooled, ticket)
            sending = await Sending.towards(ticket)
            async with aclosing(answer(task)) as batches:
                yield self.node, await anext(batches, []), sending is not None
                async for batch in batches:
                    if sending is None:
                        yield self.node, batch, False
                    else:
                        await sending.send(batch)
            if sending is not None:
                sending.end()
        except ConnectionError:
            return  # nobody is there; an engine's own would have come as EngineFailed
        finally:
            if sending is not None:
                sending.close()
            if task.spooled:
                task.spooled.close()
            if task.heft() > LARGE and self._tidying is None:
                self._tidying = asyncio.get_running_loop().call_later(TIDY_S, self._tidy)

    def _tidy(self) -> None:
        self._tidying = None
        heap.trim()

    def _measured(self) -> tuple[int | None, int | None]:
        pids = footprint.family(os.getpid())
        return footprint.vram(pids, self._vendor), footprint.ram(pids)


def _log_to_stderr() -> None:
    """Into this process's file in the cluster's log folder; Ray shows it in the dashboard. Past Serve's
    stand-in for stderr, which walks the whole stack for each line and keeps a thousand back."""
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(logging.Formatter(LOG_FORMAT, defaults={"request_id": "-"}))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
