"""The Serve deployment of a variant: a Ray shell around `Host`. (That of a slot is `slot.py`.)"""

import logging
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ray import serve

from backends.contract.errors import GatewayError
from backends.contract.state import Origin, VariantState
from backends.contract.tasks import StreamTask, Task
from backends.fleet.schema import app_name
from backends.host import Host
from backends.hosting import Live, Spec, host, reconfigure
from backends.serve.details import marked
from backends.serve.hatch import Hatch
from backends.serve.lane import Ticket
from backends.serve.scaling import IDLE_S
from backends.serve.standing import Batch, Standing
from backends.serve.telling import telling

log = logging.getLogger(__name__)


@serve.deployment
class Replica:
    """Loads before Serve counts it as running, so that an update replaces a variant without a gap. What
    may change while it serves (`Live`) is its `user_config`: Serve hands it over after construction, and
    again whenever it changes.

    No `__call__`: with direct ingress every application opens an HTTP port, and a call method
    would answer on it past the door's checks.
    """

    async def __init__(self, spec: Spec) -> None:  # type: ignore[misc]  # Serve awaits it
        self._standing = Standing(spec["vendor"] if spec["share"] else "cpu")
        self._spec = spec

    async def reconfigure(self, live: Live) -> None:
        """Serve's hook. What it raises makes Serve replace the replica, or say that it cannot start."""
        if hasattr(self, "_host"):
            await reconfigure(self._host, self._spec, live)
            return
        try:
            self._host: Host = host(self._spec, live)
            log.info("loading %s", app_name(self._spec["model"], self._spec["variant"]))
            async with telling(self._standing.id, lambda: self._host.state(self._standing.node, os.getpid())):
                await self._host.load()
            log.info("loaded")
        except GatewayError as error:
            # Serve tells it on as a text, to the door, too.
            raise RuntimeError(marked(error.message)) from None
        self._origin = self._host.origin(self._standing.node, os.getpid())
        self._hatch = Hatch(self.call)
        self._path = await self._hatch.start()
        await self._standing.begin()

    async def call(self, task: Task[Any]) -> tuple[Origin, Any]:
        return self._origin, await self._host.call(task)

    async def stream(self, task: StreamTask[Any], ticket: Ticket) -> AsyncGenerator[Batch, None]:
        async with aclosing(self._standing.sent(self._host.stream, task, ticket)) as batches:
            async for batch in batches:
                yield batch

    async def state(self) -> VariantState:
        """This replica alone."""
        state = self._host.state(self._standing.node, os.getpid())
        (own,) = state.replicas
        return replace(state, replicas=(await self._standing.complete(own, self._path),))

    async def keep(self) -> VariantState:
        """A use of the model that asks nothing of it, and so a way to have it loaded."""
        self._host.keep()
        return await self.state()

    async def release(self) -> None:
        """It may stop as soon as nothing runs, where the fleet needs no replica."""
        self._host.release()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Serve's hook: what `backends.serve.scaling` decides by, told each `metrics_interval_s`."""
        return {IDLE_S: self._host.idle_s()}

    async def check_health(self) -> None:
        """Serve's hook. Raises when the engine cannot answer, and Serve replaces the replica."""
        if not await self._host.engine.healthy():
            raise RuntimeError("the engine is not healthy")

    async def __del__(self) -> None:
        # Serve awaits this on a graceful stop; without it children would wait for their pipe's end.
        if hatch := getattr(self, "_hatch", None):
            await hatch.close()
        if host := getattr(self, "_host", None):
            await host.close()
        await self._standing.end()
