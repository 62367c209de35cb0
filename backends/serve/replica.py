"""The only Serve deployment class: a Ray shell around `Host`."""

import logging
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import ray
from ray import serve

from backends.contract.state import Origin, VariantState
from backends.contract.tasks import StreamTask, Task
from backends.fleet import NODE_LABEL
from backends.host import Host
from backends.hosting import Live, Spec, host, reconfigure
from backends.serve.hatch import Hatch
from backends.serve.lane import Sending, Ticket

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


@serve.deployment
class Replica:
    """Loads before Serve counts it as running, so that an update replaces a variant without a gap. What
    may change while it serves (`Live`) is its `user_config`: Serve hands it over after construction, and
    again whenever it changes.

    No `__call__`: with direct ingress every application opens an HTTP port, and a call method
    would answer on it past the door's checks.
    """

    async def __init__(self, spec: Spec) -> None:  # type: ignore[misc]  # Serve awaits it
        _log_to_stderr()
        labels = ray.get_runtime_context().get_node_labels()
        self._node = str(labels.get(NODE_LABEL, "unlabelled"))
        self._spec = spec

    async def reconfigure(self, live: Live) -> None:
        """Serve's hook. What it raises makes Serve replace the replica, or say that it cannot start."""
        if hasattr(self, "_host"):
            await reconfigure(self._host, self._spec, live)
            return
        self._host: Host = host(self._spec, live)
        await self._host.load()
        self._origin = self._host.origin(self._node, os.getpid())
        self._hatch = Hatch(self.call)
        self._path = await self._hatch.start()

    async def call(self, task: Task[Any]) -> tuple[Origin, Any]:
        return self._origin, await self._host.call(task)

    async def stream(
        self, task: StreamTask[Any], ticket: Ticket
    ) -> AsyncGenerator[tuple[str, list[Any], bool], None]:
        """Batches of (the node's name, items, whether the later ones go by the door's lane)."""
        sending = await Sending.towards(ticket)
        batches = self._host.stream(task)
        try:
            yield self._node, await anext(batches, []), sending is not None
            async for batch in batches:
                if sending is None:
                    yield self._node, batch, False
                else:
                    await sending.send(batch)
            if sending is not None:
                sending.end()
        except ConnectionError:
            return  # nobody is there; an engine's own would have come as EngineFailed
        finally:
            if sending is not None:
                sending.close()
            await batches.aclose()

    async def state(self) -> VariantState:
        """This replica alone."""
        state = self._host.state(self._node, os.getpid())
        return replace(state, replicas=(replace(state.replicas[0], hatch=self._path),))

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


def _log_to_stderr() -> None:
    """Into this process's file in the cluster's log folder; Ray shows it in the dashboard. Past Serve's
    stand-in for stderr, which walks the whole stack for each line and keeps a thousand back."""
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(logging.Formatter(LOG_FORMAT, defaults={"request_id": "-"}))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
