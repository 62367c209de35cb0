"""The only module of the request path that knows Ray.

Serve's errors are mapped here and nowhere else. What arrives from a replica is a class that
derives from `RayTaskError` *and* from ours, and its text is the remote traceback: only its
`cause` goes on.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RequestCancelledError
from ray.serve.handle import DeploymentHandle

from app.catalogue import Target
from app.upstream.watch import POLL_S, REPORT_S, Watch
from backends.contract.errors import EngineFailed, FileNeeded, GatewayError, ModelDown, Overloaded
from backends.contract.state import Origin, VariantState
from backends.contract.tasks import AnyTask, StreamTask, Task
from backends.fleet.live import Node
from backends.serve import telling
from backends.serve.details import node
from backends.serve.hatch import Hatches, Shut
from backends.serve.lane import Lane

R = TypeVar("R")
C = TypeVar("C")

# Serve's gRPC transport refuses messages over 4 MiB: what may come near that goes through the
# object store. Below, gRPC is quicker.
BY_REFERENCE_ABOVE = 1 << 20
AGAIN_S = 0.1

log = logging.getLogger(__name__)


class RayUpstream:
    """Carries tasks to replicas by deployment handles, and watches how the variants are."""

    def __init__(self) -> None:
        self._handles: dict[tuple[str, str, bool], Any] = {}
        self._loaders: dict[str, Any] = {}
        self._watch = Watch(self._report, telling.details, _nodes)
        self._lane = Lane()
        self._hatches = Hatches()

    async def start(self) -> None:
        await self._lane.start()
        self._watch.start()

    async def close(self) -> None:
        await self._watch.close()
        self._hatches.close()
        await self._lane.close()

    def states(self) -> Mapping[str, VariantState]:
        return self._watch.states

    async def inspect(self) -> Mapping[str, VariantState]:
        """`states` with the live figures of the replicas, which are asked now."""
        ready = [app for app, state in self._watch.processes.items() if state.ready]
        await self._watch.ask(ready)
        return self._watch.states

    def nodes(self) -> Sequence[Node]:
        return self._watch.nodes

    async def _report(self, app: str) -> list[VariantState]:
        """Of each replica that answers, its own. (A request would wait for one, and Serve bring one up.)"""
        handle = self._handle(app, "state", False)
        while True:
            try:
                asked = handle.broadcast("state")
                told = await asked.results_async(timeout_s=REPORT_S, return_exceptions=True)
            except DeploymentUnavailableError:  # the handle does not know of it yet
                await asyncio.sleep(AGAIN_S)
            else:
                return [report for report in told if isinstance(report, VariantState)]

    async def call(self, target: Target, task: Task[R]) -> R:
        hatch = self._watch.hatch(target.app) if target.single and not _heavy(task) else None
        try:
            origin, answer = await (self._hatches.call(hatch, task) if hatch else self._by_ray(target, task))
        except Shut:
            origin, answer = await self._by_ray(target, task)
        target.answered(origin)
        return answer

    async def _by_ray(self, target: Target, task: Task[R]) -> tuple[Origin, R]:
        process, *whose = self._where(target.app)
        response = self._handle(process, "call", _heavy(task)).remote(task, *whose)
        try:
            answer: tuple[Origin, R] = await self._watch.while_up(process, response)
        except BaseException as error:
            raise _ended(response, error) from None
        return answer

    async def each(self, app: str, task: Task[R]) -> list[tuple[Origin, R]]:
        process, *whose = self._where(app)
        handle = self._handle(process, "call", _heavy(task))
        try:
            return await handle.broadcast("call", task, *whose).results_async()  # type: ignore[no-any-return]
        except Exception as error:
            raise _mapped(error) from None

    async def load(self, app: str) -> None:
        """By a request that asks for nothing: Serve brings a replica up for it, whoever leaves; a slot brings
        the variant in."""
        process, *whose = self._where(app)
        loader = self._handle(process, "keep", False) if whose else await self._loader(app)
        response = loader.remote(*whose)
        kept = asyncio.ensure_future(response)
        try:
            while not kept.done():
                await asyncio.wait({kept}, timeout=POLL_S)
                if not kept.done():
                    self._watch.must_be_coming(process)
            await self._watch.take(process, kept.result())
        except BaseException as error:
            kept.cancel()
            raise _ended(response, error) from None

    async def _loader(self, app: str) -> Any:
        """A new handle tells Serve at once that somebody waits; one that was there before tells what it has
        counted, now and then."""
        if (before := self._loaders.pop(app, None)) is not None:
            await before.shutdown_async()
        loader: DeploymentHandle[Any] = DeploymentHandle("Replica", app)
        self._loaders[app] = loader = loader.options(method_name="keep")
        return loader

    async def unload(self, app: str) -> None:
        process, *whose = self._where(app)
        with suppress(DeploymentUnavailableError, RayActorError):  # nobody to tell
            await self._handle(process, "state", False).broadcast("release", *whose).results_async()

    def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        return self._where_it_lies(target, task) if task.spooled else self._stream(target, task)

    async def _where_it_lies(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        """An upload in a file, which stays there if the replica that Ray chooses can reach it."""
        with suppress(FileNeeded):
            async with aclosing(self._stream(target, task)) as items:
                async for item in items:
                    yield item
            return
        async with aclosing(self._stream(target, await asyncio.to_thread(task.held))) as items:
            async for item in items:
                yield item

    async def _stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        ticket = self._lane.ticket(task.spooled)
        process, *whose = self._where(target.app)
        response = self._handle(process, "stream", _heavy(task)).remote(task, ticket, *whose)

        def drop() -> None:
            # A machine that vanished closes nothing: what waits for it would wait on.
            self._lane.done(ticket)
            with suppress(Exception):  # as in `_ended`
                response.cancel()

        try:
            target.node, items, beside = await self._watch.while_up(process, anext(response))
            with self._watch.when_down(process, drop):
                for item in items:
                    yield item
                if beside:
                    async with aclosing(self._lane.items(ticket)) as later:
                        async for items in later:
                            for item in items:
                                yield item
                async for _, items, _ in response:  # or what it failed of
                    for item in items:
                        yield item
        except StopAsyncIteration:
            return
        except BaseException as error:
            raise _ended(response, error) from None
        finally:
            self._lane.done(ticket)

    def _where(self, app: str) -> tuple[str, ...]:
        """The application that hosts a variant and, where that is a slot, whose turn is meant."""
        process = self._watch.process(app)
        return (app,) if process == app else (process, app)

    def _handle(self, app: str, method: str, by_reference: bool) -> Any:
        """A configured handle, cached: every `options()` makes one with pushers of its own."""
        key = (app, method, by_reference)
        if key not in self._handles:
            # `_by_reference` is Serve's private name; Ray is pinned for its sake.
            options: dict[str, Any] = {"_by_reference": True} if by_reference else {}
            handle: DeploymentHandle[Any] = DeploymentHandle("Replica", app)
            self._handles[key] = handle.options(method_name=method, stream=method == "stream", **options)
        return self._handles[key]


def _heavy(task: AnyTask) -> bool:
    return task.heft() > BY_REFERENCE_ABOVE


def _ended(response: Any, error: BaseException) -> BaseException:
    """Stop what still runs for a failed or abandoned response; the error for the caller."""
    # Serve's `cancel` raises the response's own error anew.
    with suppress(Exception):
        response.cancel()
    return _mapped(error) if isinstance(error, Exception) else error


def _mapped(error: Exception) -> Exception:
    if isinstance(error, GatewayError) and not isinstance(error, RayTaskError):
        return error
    if isinstance(error, RayTaskError) and isinstance(error.cause, GatewayError):
        return error.cause
    if isinstance(error, BackPressureError):
        return Overloaded("the model is at capacity; try again shortly")
    # The last: what we cancelled ourselves, because the model is down, and nobody left.
    if isinstance(error, (RayActorError, DeploymentUnavailableError, RequestCancelledError)):
        return ModelDown("the model's process ended during the request; it is being restarted")
    log.error("a call to a replica failed", exc_info=error)
    return EngineFailed("the engine failed on this request")


async def _nodes() -> tuple[dict[str, str], tuple[Node, ...]]:
    """(Ray's node id → the fleet's name for that kind of node, of dead ones too; those that live)."""
    found = await asyncio.to_thread(ray.nodes)
    told = {one["NodeID"]: node(one["NodeID"], one["Labels"], one["Resources"]) for one in found}
    kinds = {name: one.kind or "unlabelled" for name, one in told.items()}
    return kinds, tuple(told[one["NodeID"]] for one in found if one["Alive"])
