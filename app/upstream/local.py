"""The same hosts, in this process: no Ray. For tests, and for trying an engine."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TypeVar

from app.catalogue import Target
from backends.contract.errors import NotReady
from backends.contract.state import Origin, VariantState
from backends.contract.tasks import StreamTask, Task
from backends.fleet.schema import Fleet, app_name
from backends.host import Host
from backends.hosting import host
from backends.render.serve import live, spec

log = logging.getLogger(__name__)

R = TypeVar("R")
C = TypeVar("C")

NODE = "local"


class LocalUpstream:
    """`hosts`: one per variant, by application name."""

    def __init__(self, hosts: Mapping[str, Host]) -> None:
        self.hosts = dict(hosts)
        self._loading: list[asyncio.Task[None]] = []

    @classmethod
    def from_fleet(cls, fleet: Fleet) -> "LocalUpstream":
        """A host per variant of the fleet, nothing loaded yet. Raises as `hosting.host` does."""
        return cls(
            {
                app_name(name, variant): host(spec(fleet, name, variant), live(fleet, name, variant))
                for name, model in fleet.models.items()
                for variant in model.variants
            }
        )

    async def call(self, target: Target, task: Task[R]) -> R:
        host = self._host(target.app, target.model)
        target.answered(host.origin(NODE, os.getpid()))
        return await host.call(task)

    async def each(self, app: str, task: Task[R]) -> list[tuple[Origin, R]]:
        host = self._host(app, app)
        return [(host.origin(NODE, os.getpid()), await host.call(task))]

    async def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        target.node = NODE
        async with aclosing(self._host(target.app, target.model).stream(task)) as batches:
            async for batch in batches:
                for item in batch:
                    yield item

    async def start(self) -> None:
        self._loading = [asyncio.create_task(_load(app, host)) for app, host in self.hosts.items()]

    async def close(self) -> None:
        for task in self._loading:
            task.cancel()
        await asyncio.gather(*self._loading, return_exceptions=True)
        await asyncio.gather(*(host.close() for host in self.hosts.values()))

    def states(self) -> Mapping[str, VariantState]:
        return {app: host.state(NODE, os.getpid()) for app, host in self.hosts.items()}

    async def inspect(self) -> Mapping[str, VariantState]:
        return self.states()

    def _host(self, app: str, name: str) -> Host:
        found = self.hosts.get(app)
        if found is None:
            raise NotReady(f"The model `{name}` is not placed yet")
        return found


async def _load(app: str, loading: Host) -> None:
    try:
        await loading.load()
    except Exception:
        # The host holds the state that callers see; the reason is for the operator.
        log.exception("%s failed to load", app)
