"""The only Serve deployment class: a Ray shell around `Host`."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import ray
from ray import serve

from backends import footprint, heap
from backends.contract.engine import Vendor
from backends.contract.errors import GatewayError
from backends.contract.state import Origin, VariantState
from backends.contract.tasks import StreamTask, Task
from backends.fleet import NODE_LABEL
from backends.fleet.schema import app_name
from backends.host import Host
from backends.hosting import Live, Spec, host, reconfigure
from backends.serve.details import marked
from backends.serve.hatch import Hatch
from backends.serve.lane import Sending, Ticket
from backends.serve.pulse import Pulse
from backends.serve.scaling import IDLE_S
from backends.serve.telling import telling

log = logging.getLogger(__name__)

# An upload of so many bytes leaves that much of the heap free when Ray has let go of it, a moment later.
LARGE, TIDY_S = 4 << 20, 0.5
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
        context = ray.get_runtime_context()
        self._node = str(context.get_node_labels().get(NODE_LABEL, "unlabelled"))
        self._machine = str(context.get_node_id())
        # Where a driver names its cards by something else than a number, Ray does so, too.
        given = context.get_accelerator_ids().get("GPU", ())
        self._gpus = tuple(int(gpu) for gpu in given if str(gpu).isdecimal())
        self._vendor: Vendor = spec["vendor"] if spec["share"] else "cpu"
        self._spec = spec
        self._tidying: asyncio.TimerHandle | None = None

    async def reconfigure(self, live: Live) -> None:
        """Serve's hook. What it raises makes Serve replace the replica, or say that it cannot start."""
        if hasattr(self, "_host"):
            await reconfigure(self._host, self._spec, live)
            return
        own = serve.get_replica_context().replica_tag
        try:
            self._host: Host = host(self._spec, live)
            log.info("loading %s", app_name(self._spec["model"], self._spec["variant"]))
            async with telling(own, lambda: self._host.state(self._node, os.getpid())):
                await self._host.load()
            log.info("loaded")
        except GatewayError as error:
            # Serve tells it on as a text, to the door, too.
            raise RuntimeError(marked(error.message)) from None
        self._origin = self._host.origin(self._node, os.getpid())
        self._hatch = Hatch(self.call)
        self._path = await self._hatch.start()
        self._id = own
        self._pulse = Pulse(self._id, int(os.environ["RAY_RAYLET_PID"]))
        address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        self._felt = await self._pulse.start(address)

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
            if task.heft() > LARGE and self._tidying is None:
                self._tidying = asyncio.get_running_loop().call_later(TIDY_S, self._tidy)

    def _tidy(self) -> None:
        self._tidying = None
        heap.trim()

    async def state(self) -> VariantState:
        """This replica alone."""
        state = self._host.state(self._node, os.getpid())
        (own,) = state.replicas
        vram, ram = await asyncio.to_thread(self._measured)
        own = replace(
            own,
            hatch=self._path,
            pulse=self._felt,
            id=self._id,
            machine=self._machine,
            gpus=self._gpus,
            footprint=replace(own.footprint, vram=vram, ram=ram),
        )
        return replace(state, replicas=(own,))

    def _measured(self) -> tuple[int | None, int | None]:
        pids = footprint.family(os.getpid())
        return footprint.vram(pids, self._vendor), footprint.ram(pids)

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
        if pulse := getattr(self, "_pulse", None):
            await pulse.close()


def _log_to_stderr() -> None:
    """Into this process's file in the cluster's log folder; Ray shows it in the dashboard. Past Serve's
    stand-in for stderr, which walks the whole stack for each line and keeps a thousand back."""
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(logging.Formatter(LOG_FORMAT, defaults={"request_id": "-"}))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
