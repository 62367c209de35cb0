"""The same hosts, in this process: no Ray. For tests, and for trying an engine."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from app.catalogue import Target
from backends.contract.errors import ModelDown, NotReady
from backends.contract.state import Origin, VariantState
from backends.contract.tasks import StreamTask, Task
from backends.fleet.live import Node
from backends.fleet.schema import Fleet, app_name
from backends.host import Host
from backends.hosting import host, slot
from backends.render.serve import live, slot_lives, slot_spec, spec
from backends.slots.slot import Slot

log = logging.getLogger(__name__)

R = TypeVar("R")
C = TypeVar("C")

NODE = "local"
LOOK_S = 0.05
COLD = VariantState("cold")


@dataclass(slots=True)
class Spare:
    """What makes a host anew that may go after `idle_s` seconds; `state`: while there is none loaded."""

    make: Callable[[], Host]
    idle_s: float
    state: VariantState | None = COLD


class LocalUpstream:
    """`hosts`: one per variant, by application name; `cold`: those that load when they are asked for;
    `slots`: of variants that take turns, each by their applications."""

    def __init__(
        self,
        hosts: Mapping[str, Host],
        cold: Mapping[str, Spare] | None = None,
        slots: Mapping[str, Slot] | None = None,
    ) -> None:
        self.hosts = dict(hosts)
        self._cold = dict(cold or {})
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._sweeping: asyncio.Task[None] | None = None
        self._slots = dict(slots or {})
        self._starting: list[asyncio.Task[None]] = []

    @classmethod
    def from_fleet(cls, fleet: Fleet) -> "LocalUpstream":
        """A host per variant of the fleet, nothing loaded yet. Raises as `hosting.host` does."""
        variants = [
            (
                app_name(name, variant),
                partial(host, spec(fleet, name, variant), live(fleet, name, variant)),
                one.scale,
            )
            for name, model in fleet.models.items()
            for variant, one in model.variants.items()
            if one.slot is None
        ]
        slots = [(slot_spec(fleet, name), slot_lives(fleet, name)) for name in fleet.slots]
        return cls(
            {app: make() for app, make, _ in variants},
            {app: Spare(make, scale.idle_s) for app, make, scale in variants if scale.may_be_cold},
            {app: made for spec, lives in slots for made in [slot(spec, lives)] for app in lives},
        )

    async def call(self, target: Target, task: Task[R]) -> R:
        host = self._host(target.app, target.model)
        target.answered(host.origin(NODE, os.getpid()))
        return await self._called(target.app, host, task)

    async def each(self, app: str, task: Task[R]) -> list[tuple[Origin, R]]:
        host = self._host(app, app)
        return [(host.origin(NODE, os.getpid()), await self._called(app, host, task))]

    async def _called(self, app: str, host: Host, task: Task[R]) -> R:
        slotted = self._slots.get(app)
        return await (slotted.call(app, task) if slotted else host.call(task))

    async def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        target.node = NODE
        host, slotted = self._host(target.app, target.model), self._slots.get(target.app)
        async with aclosing(slotted.stream(target.app, task) if slotted else host.stream(task)) as batches:
            async for batch in batches:
                for item in batch:
                    yield item

    async def start(self) -> None:
        self._starting = [asyncio.create_task(_started(one)) for one in set(self._slots.values())]
        for app in self.hosts.keys() - self._cold.keys():
            self._begin(app)
        if self._cold:
            self._sweeping = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        tasks = [*self._loading.values(), *self._starting, *([self._sweeping] if self._sweeping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(self.hosts[app].close() for app in self._loading))
        await asyncio.gather(*(one.close() for one in set(self._slots.values())))

    async def load(self, app: str) -> None:
        if slotted := self._slots.get(app):
            await slotted.load(app)
            return
        host = self._host(app, app)
        if app not in self._loading:
            self._begin(app)
        await asyncio.wait({self._loading[app]})
        state = host.state(NODE, os.getpid())
        if not state.ready:
            raise ModelDown(f"the model is down: {state.message}")
        host.keep()

    async def unload(self, app: str) -> None:
        if slotted := self._slots.get(app):
            slotted.unload(app)
        else:
            self._host(app, app).release()

    def states(self) -> Mapping[str, VariantState]:
        slotted = [one.states(NODE, os.getpid()) for one in set(self._slots.values())]
        own = {app: self._state(app, host) for app, host in self.hosts.items()}
        return {app: state for states in (own, *slotted) for app, state in states.items()}

    async def inspect(self) -> Mapping[str, VariantState]:
        return self.states()

    def nodes(self) -> Sequence[Node]:
        return ()

    def _state(self, app: str, host: Host) -> VariantState:
        cold = self._cold.get(app)
        return (cold and cold.state) or host.state(NODE, os.getpid())

    def _host(self, app: str, name: str) -> Host:
        if slotted := self._slots.get(app):
            return slotted.host(app)
        found = self.hosts.get(app)
        if found is None:
            raise NotReady(f"The model `{name}` is not placed yet")
        return found

    def _begin(self, app: str) -> None:
        if app in self._cold:
            self._cold[app].state = None
        self._loading[app] = asyncio.create_task(_load(app, self.hosts[app]))

    async def _sweep(self) -> None:
        """Put a new host in the place of one that has been idle for long enough."""
        while True:
            await asyncio.sleep(LOOK_S)
            for app, cold in self._cold.items():
                idle = self.hosts[app]
                state = idle.state(NODE, os.getpid())
                if state.ready and idle.idle_s() >= cold.idle_s:
                    del self._loading[app]
                    cold.state = replace(state, readiness="cold", replicas=())
                    self.hosts[app] = cold.make()
                    await idle.close()


async def _started(slotted: Slot) -> None:
    with suppress(ModelDown):  # which is told of whom it concerns
        await slotted.start()


async def _load(app: str, loading: Host) -> None:
    try:
        await loading.load()
    except Exception:
        # The host holds the state that callers see; the reason is for the operator.
        log.exception("%s failed to load", app)
