"""An upstream over an upstream: a request waits, up to its bound, for a model that is not loaded."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from contextvars import Context
from typing import TypeVar

from app.catalogue import Target, not_ready
from app.loads import Loads
from app.upstream import Layer, Upstream
from backends.contract.errors import ModelDown, NotReady
from backends.contract.state import VariantState
from backends.contract.tasks import StreamTask, Task

log = logging.getLogger(__name__)

R = TypeVar("R")
C = TypeVar("C")


class Cold(Layer):
    """One load per variant, however many wait for it, and whoever leaves. Who waits longer than `wait_s`
    of its target hears when to come back: by the loads before, or by the engine's own progress.
    """

    def __init__(self, upstream: Upstream, loads: Loads | None = None) -> None:
        super().__init__(upstream)
        self._loads = loads or Loads()
        self._running: dict[str, asyncio.Task[None]] = {}

    async def call(self, target: Target, task: Task[R]) -> R:
        if _plain(target):
            return await self._upstream.call(target, task)
        wait = _Wait(target.wait_s)
        await self._ready(target, wait)
        while True:
            try:
                return await self._upstream.call(target, task)
            except NotReady as error:
                await self._again(target, wait, error)

    def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        return self._upstream.stream(target, task) if _plain(target) else self._stream(target, task)

    async def _stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        wait = _Wait(target.wait_s)
        await self._ready(target, wait)
        while True:
            begun = False
            try:
                async with aclosing(self._upstream.stream(target, task)) as items:
                    async for item in items:
                        begun = True
                        yield item
            except NotReady as error:
                if begun:
                    raise
                await self._again(target, wait, error)
            else:
                return

    async def load(self, app: str) -> None:
        """As the upstream does, but whoever else wants it shares the load."""
        await asyncio.shield(self._load(app))

    async def close(self) -> None:
        for running in self._running.values():
            running.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        await super().close()

    def states(self) -> Mapping[str, VariantState]:
        return self._told(self._upstream.states())

    async def inspect(self) -> Mapping[str, VariantState]:
        return self._told(await self._upstream.inspect())

    def _told(self, states: Mapping[str, VariantState]) -> Mapping[str, VariantState]:
        told = {app: self._loads.told(app, state) for app, state in states.items() if not state.ready}
        return {**states, **told} if told else states

    async def _ready(self, target: Target, wait: "_Wait") -> None:
        """Returns when the target may be asked. Raises its trouble, or that it took too long."""
        if target.wakes is not None:
            self._load(target.wakes)
        if target.trouble is not None:
            if not target.patient:
                raise target.trouble
            await self._wait(target, wait)

    async def _again(self, target: Target, wait: "_Wait", error: NotReady) -> None:
        """The model went idle and away while the request was on its way: nobody has begun it. Raises
        `error` where it is something else."""
        if isinstance(error, ModelDown) or not target.wait_s:
            raise error
        await self._wait(target, wait)

    async def _wait(self, target: Target, wait: "_Wait") -> None:
        loading = self._load(target.app)
        target.held.set()
        began = time.monotonic()
        try:
            await asyncio.wait({loading}, timeout=wait.left())
        finally:
            target.held.clear()
            target.cold_s += time.monotonic() - began
        if not loading.done():
            state = self.states().get(target.app, VariantState())
            raise NotReady("the model is loading") if state.ready else not_ready(target.asked, state)
        loading.result()

    def _load(self, app: str) -> asyncio.Task[None]:
        running = self._running.get(app)
        if running is None:
            # In a context of its own: Serve ends what was asked for in a request's when its caller leaves.
            running = asyncio.create_task(self._run(app), context=Context())
            self._running[app] = running
            running.add_done_callback(_seen)
        return running

    async def _run(self, app: str) -> None:
        state = self._upstream.states().get(app, VariantState())
        if not state.ready:
            self._loads.begin(app, state.seconds if state.readiness == "loading" else 0.0)
        loaded = False
        try:
            await self._upstream.load(app)
            loaded = True
        finally:
            self._loads.end(app, loaded)
            del self._running[app]


def _plain(target: Target) -> bool:
    """Nothing loads, nor will."""
    return target.trouble is None and target.wakes is None and not target.wait_s


class _Wait:
    """How long one request may still wait, in all."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        return max(0.0, self._until - time.monotonic())


def _seen(load: asyncio.Task[None]) -> None:
    """Nobody may be there any longer to hear of it."""
    if not load.cancelled() and load.exception() is not None:
        log.warning("a model did not load", exc_info=load.exception())
