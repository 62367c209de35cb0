"""The Serve deployment of a slot: a Ray shell around `Slot`, as `replica.py` is around one host."""

import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from ray import serve

from backends.contract.errors import GatewayError
from backends.contract.state import Footprint, Origin, ReplicaState, VariantState
from backends.contract.tasks import StreamTask, Task
from backends.hosting import Live, SlotSpec, reconfigure, slot
from backends.serve.details import marked
from backends.serve.lane import Ticket
from backends.serve.standing import Batch, Standing
from backends.slots.slot import Slot

# Every door asks twice a second who is in it; what all of it takes is worth a look less often.
MEASURED_S = 2.0


@serve.deployment(name="Replica")
class SlotReplica:
    """One process for all that take turns in it; `app` says whose turn is meant. What is pinned loads before
    Serve counts it as running. By a handle it is like any other replica, but that it has no hatch."""

    async def __init__(self, spec: SlotSpec) -> None:  # type: ignore[misc]  # Serve awaits it
        one = next(iter(spec["members"].values()))
        self._standing = Standing(one["vendor"] if one["share"] else "cpu")
        self._spec = spec
        self._lives: dict[str, Live] = {}
        self._measured: tuple[float, ReplicaState] | None = None

    async def reconfigure(self, lives: dict[str, Live]) -> None:
        """Serve's hook, as `Replica.reconfigure`."""
        self._lives.update(lives)
        if hasattr(self, "_slot"):
            for app, host in self._slot.hosts().items():
                await reconfigure(host, self._spec["members"][app], lives[app])
            return
        try:
            self._slot: Slot = slot(self._spec, self._lives)
            await self._slot.start()
        except GatewayError as error:
            raise RuntimeError(marked(error.message)) from None
        await self._standing.begin()

    async def call(self, task: Task[Any], app: str) -> tuple[Origin, Any]:
        origin = self._slot.host(app).origin(self._standing.node, os.getpid())
        return origin, await self._slot.call(app, task)

    async def stream(self, task: StreamTask[Any], ticket: Ticket, app: str) -> AsyncGenerator[Batch, None]:
        answer = partial(self._slot.stream, app)
        async with aclosing(self._standing.sent(answer, task, ticket)) as batches:
            async for batch in batches:
                yield batch

    async def state(self) -> VariantState:
        """Of this process, with those of its `members`: each shows the memory of all of it."""
        members = self._slot.states(self._standing.node, os.getpid())
        if self._measured is None or time.monotonic() - self._measured[0] > MEASURED_S:
            own = await self._standing.complete(ReplicaState(self._standing.node, os.getpid()))
            self._measured = time.monotonic(), own
        own = self._measured[1]
        inside = [replica for member in members.values() for replica in member.replicas]
        whole = replace(own, footprint=_sum(own.footprint, inside))
        return VariantState(
            "ready",
            replicas=(whole,),
            members={
                app: replace(member, replicas=tuple(_told(one, whole) for one in member.replicas))
                for app, member in members.items()
            },
        )

    async def keep(self, app: str) -> VariantState:
        """A use of one, and so a way to have it loaded. Raises ModelDown."""
        await self._slot.load(app)
        return await self.state()

    async def release(self, app: str) -> None:
        """It may go as soon as nothing runs on it."""
        self._slot.unload(app)

    async def check_health(self) -> None:
        """Serve's hook. What is not healthy leaves the slot; the others stay."""
        await self._slot.heal()

    async def __del__(self) -> None:
        # As in `Replica`.
        if found := getattr(self, "_slot", None):
            await found.close()
        await self._standing.end()


def _sum(own: Footprint, inside: list[ReplicaState]) -> Footprint:
    """`granted` once, `estimated` of all that are in it."""
    estimates = [one.footprint.estimated for one in inside]
    known = [size for size in estimates if size is not None]
    granted = max((one.footprint.granted for one in inside), default=0)
    return replace(own, granted=granted, estimated=sum(known) if len(known) == len(estimates) else None)


def _told(one: ReplicaState, whole: ReplicaState) -> ReplicaState:
    """A model in the slot, as a replica: the process it is in, and what it does there itself."""
    return replace(whole, ongoing=one.ongoing, queued=one.queued, busy=one.busy, tally=one.tally)
