"""Runs one engine: loading, dispatch, error boundary, admission, coalescing. Knows no Ray, no HTTP."""

import asyncio
import itertools
import logging
import math
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar, cast

from backends import startlock
from backends.contract.engine import Ability, Engine, GpuShare, Memory, Progress, Reconfigures
from backends.contract.errors import (
    EngineFailed,
    GatewayError,
    InvalidRequest,
    ModelDown,
    NotReady,
    TaskUnsupported,
)
from backends.contract.results import ChatChunk
from backends.contract.space import fingerprint
from backends.contract.state import Footprint, Origin, Readiness, ReplicaState, VariantState
from backends.contract.tally import Tally
from backends.contract.tasks import AnyTask, ChatTask, SpeakTask, StreamTask, Task
from backends.gate import Gate
from backends.sources.unfetched import Unfetched
from backends.tracing import Tracing

log = logging.getLogger(__name__)

R = TypeVar("R")
T = TypeVar("T", bound=AnyTask)
C = TypeVar("C")

_NO_CARD = GpuShare()

# How often an engine is looked at that works on for callers who left.
LOOK_S = 0.05

# A chat begins with a chunk that only names the role: the first token is in the second.
AT_ONCE = 2


class Host:
    """One engine and its gate. One that is `Unfetched` brings its model's files first.

    `max_ongoing` tasks run at once, `max_queued` wait in turns; one more is `Overloaded`. `window`
    (seconds) and `most` (items) say how stream items are gathered before they cross to the door.

    `share` is what the engine has of a card, and `estimate` what it will take, as far as that is known:
    more than the share grants is refused. Loads on one card happen one after the other.
    """

    def __init__(
        self,
        engine: Engine | Unfetched,
        *,
        share: GpuShare = _NO_CARD,
        estimate: Callable[[], Memory | None] = lambda: None,
        max_ongoing: int = 16,
        max_queued: int = 64,
        window: float = 0.04,
        most: int = 64,
        tracing: Tracing | None = None,
    ) -> None:
        self._unfetched = engine if isinstance(engine, Unfetched) else None
        self.engine = cast(Engine, engine)  # until `load` it is asked nothing that only engines have
        self._window, self._most = window, most
        self._share, self._estimate = share, estimate
        self._footprint = Footprint(share.granted)
        self._gate = Gate(max_ongoing, max_queued)
        self.tally, self.tracing = Tally(share.share), tracing
        self._after: asyncio.Task[None] | None = None
        self._readiness: Readiness = "loading"
        self._stage, self._message = "", ""
        self._progress: float | None = None
        self._fingerprint: str | None = None
        self._started, self._seconds = time.monotonic(), 0.0
        self._last, self._released = self._started, False

    async def load(self, progress: Progress | None = None) -> None:
        """Load the engine; raises what the engine raised, after recording it."""

        def note(stage: str, fraction: float | None) -> None:
            self._stage, self._progress = stage, fraction
            if progress is not None:
                progress(stage, fraction)

        self._started = time.monotonic()
        try:
            if self._unfetched is not None:
                self.engine = await self._unfetched.fetched(note)
            self._weigh()
            async with self._alone(note):
                await self.engine.load(note)
            self._fingerprint = fingerprint(self.engine.facts())
        except Exception as error:
            self._readiness = "down"
            self._message = error.message if isinstance(error, GatewayError) else "the engine failed to load"
            raise
        finally:
            self._seconds = time.monotonic() - self._started
        self._readiness = "ready"
        self._last = time.monotonic()

    def _weigh(self) -> None:
        """Raises EngineFailed, with figures, for a model that its share cannot hold."""
        memory = self._estimate()
        self._footprint = Footprint(self._share.granted, memory.total if memory else None)
        if refusal := self._share.refusal(memory):
            raise EngineFailed(refusal)

    @asynccontextmanager
    async def _alone(self, note: Progress) -> AsyncIterator[None]:
        """While nobody else loads on the card. An engine that starts anew by itself sees to that itself."""
        vendor = self._share.vendor if self._share.share else "cpu"
        cards = startlock.devices(vendor, os.environ)
        if not cards or getattr(self.engine, "locks", False):
            yield
            return
        note("waiting for other starts on this GPU", None)
        async with startlock.held(vendor, cards):
            note("loading", None)
            yield

    async def reconfigure(self, options: Any, *, max_ongoing: int, max_queued: int) -> None:
        """Take other limits, and options of which only the engine's `live` ones differ, while it serves.

        Raises what the engine raises; nothing has changed then. What runs above a lower limit ends first.
        """
        if isinstance(self.engine, Reconfigures):
            self.engine.reconfigure(options)
        self._gate.change(max_ongoing, max_queued)

    async def close(self) -> None:
        self._readiness = "down"
        if self._after is not None:
            self._after.cancel()
        await self.engine.close()
        if self._unfetched is not None:
            await self._unfetched.close()

    def idle_s(self) -> float:
        """Seconds since there was anything to do; infinite for a host that is released."""
        if self._gate.running or self._gate.waiting:
            return 0.0
        return math.inf if self._released else time.monotonic() - self._last

    def keep(self) -> None:
        """Somebody wants it loaded: that is a use of it."""
        self._last, self._released = time.monotonic(), False

    def release(self) -> None:
        """Nobody wants it loaded any longer: it may go as soon as nothing runs."""
        self._released = True

    def replica(self, node: str, pid: int) -> ReplicaState:
        return ReplicaState(
            node, pid, self._gate.running, self._gate.waiting, self.engine.busy, footprint=self._footprint,
            tally=self.tally,
        )  # fmt: skip

    def origin(self, node: str, pid: int) -> Origin:
        """Of what this host answers, once it is loaded."""
        return Origin(node, pid, self._fingerprint)

    def state(self, node: str, pid: int) -> VariantState:
        loading = self._readiness == "loading"
        return VariantState(
            readiness=self._readiness,
            stage=self._stage if loading else "",
            progress=self._progress if loading else None,
            seconds=time.monotonic() - self._started if loading else self._seconds,
            message=self._message,
            replicas=(self.replica(node, pid),),
            facts=dict(self.engine.facts()) if self._readiness == "ready" else {},
        )

    async def call(self, task: Task[R]) -> R:
        """Answer a task that has one answer."""
        with self._traced("host", task) as traced:
            async with self._admitted(task) as method, self._boundary(task):
                with self._traced("engine", traced) as inside:
                    try:
                        answer: R = await method(inside)
                    except asyncio.CancelledError:
                        self._look_after()
                        raise
                    return answer

    async def stream(self, task: StreamTask[C]) -> AsyncGenerator[list[C], None]:
        """Answer a task with batches: the first item alone and at once, then what gathers."""
        with self._traced("host", task) as traced:
            async with self._admitted(task) as method, self._boundary(task):
                with self._traced("engine", traced) as inside:
                    batches, left = coalesce(self._begun(method, inside), self._window, self._most), None
                    try:
                        async for batch in batches:
                            yield _packed(batch)
                    except (GeneratorExit, asyncio.CancelledError):
                        left = time.monotonic()
                        raise
                    finally:
                        await batches.aclose()
                        self._ended(left)

    def _traced(self, what: str, task: T) -> AbstractContextManager[T]:
        """A span of the task's trace, if it has one; the task as what is in it has it."""
        if self.tracing is None or not task.trace:
            return nullcontext(task)
        return self.tracing.around(f"{what} {task.verb}", task)

    def _ended(self, left: float | None) -> None:
        """An engine's stream is closed; `left`: when its reader left, None of one that read to the end."""
        if left is not None:
            self.tally.wasted_s += time.monotonic() - left
            self._look_after()

    def _look_after(self) -> None:
        """Somebody left: whatever the engine still does for them is wasted."""
        if self._after is None or self._after.done():
            self._after = asyncio.create_task(self._wasting(time.monotonic()))

    async def _wasting(self, since: float) -> None:
        while (beyond := self.engine.busy - self._gate.running) > 0:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            self.tally.wasted_s += beyond * (now - since)  # up to one look too much
            since = now

    def _begun(self, method: Any, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        """The engine's stream; speech at the pace that was asked for, where it has but its own."""
        source: Any
        if isinstance(task, SpeakTask) and task.speed != 1 and "speed" not in self._abilities:
            from backends.pace import paced

            source = paced(method(replace(task, speed=1.0)), task.speed)
        else:
            source = method(task)
        return source  # type: ignore[no-any-return]

    @property
    def _abilities(self) -> Collection[Ability]:
        return cast(Collection[Ability], getattr(self.engine, "abilities", ()))

    def _check(self, task: AnyTask) -> None:
        """Raises where the engine would have to ignore something of the task."""
        if isinstance(task, ChatTask) and task.surface not in getattr(self.engine, "surfaces", ("chat",)):
            raise TaskUnsupported(f"this model does not answer {task.surface}", param="model")
        if not isinstance(task, SpeakTask):
            return
        if task.instructions and "instructions" not in self._abilities:
            raise InvalidRequest("this model takes no 'instructions' on how to speak", param="instructions")
        if task.sample is not None and "sample" not in self._abilities:
            raise InvalidRequest("this model cannot speak in a voice made from a sample", param="voice")

    @asynccontextmanager
    async def _admitted(self, task: AnyTask) -> AsyncIterator[Any]:
        if self._readiness == "loading":
            raise NotReady("the model is loading")
        if self._readiness == "down":
            raise ModelDown("the model is down")
        method = getattr(self.engine, task.verb, None)
        if method is None:
            raise TaskUnsupported(f"this model does not {task.verb}", param="model")
        self._check(task)
        came = time.monotonic()
        async with self._gate.entered(task.asker):
            begun = time.monotonic()
            self.tally.waited(begun - came)
            try:
                yield method
            finally:
                self._last = time.monotonic()
                self.tally.engine_s += self._last - begun

    @asynccontextmanager
    async def _boundary(self, task: AnyTask) -> AsyncIterator[None]:
        try:
            yield
        except GatewayError:
            raise
        except Exception:
            log.exception("the engine failed", extra={"request_id": task.request_id, "verb": task.verb})
            raise EngineFailed("the engine failed on this request") from None


def _packed(batch: list[Any]) -> list[Any]:
    return [ChatChunk.joined(batch)] if isinstance(batch[0], ChatChunk) else batch


async def coalesce(
    source: AsyncGenerator[C, None], window: float, most: int
) -> AsyncGenerator[list[C], None]:
    """Gather the items of `source`: the first `AT_ONCE` batches as they come, the later ones at least
    `window` seconds apart, or when `most` items wait.

    A pump reads ahead by at most `most` items, so a slow reader slows the engine. An item never
    waits for its successor: the window is a timer, not a count of arrivals.
    """
    pending: list[C] = []
    arrived, full, room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def pump() -> None:
        try:
            async for item in source:
                pending.append(item)
                arrived.set()
                while len(pending) >= most:
                    full.set()
                    room.clear()
                    await room.wait()
        finally:
            arrived.set()
            full.set()

    pumping = asyncio.create_task(pump())
    loop, due = asyncio.get_running_loop(), 0.0
    try:
        for number in itertools.count(1):
            await arrived.wait()
            if number > AT_ONCE and loop.time() < due:
                timer = loop.call_at(due, full.set)
                await full.wait()
                timer.cancel()
            arrived.clear()
            full.clear()
            batch, pending[:] = pending[:], []
            room.set()
            due = loop.time() + window
            if batch:
                yield batch
            if pumping.done() and not pending:
                pumping.result()
                return
    finally:
        pumping.cancel()
        await asyncio.wait({pumping})
        await source.aclose()
