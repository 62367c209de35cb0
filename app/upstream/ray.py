"""The only module of the request path that knows Ray.

Serve's errors are mapped here and nowhere else. What arrives from a replica is a class that
derives from `RayTaskError` *and* from ours, and its text is the remote traceback: only its
`cause` goes on.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from app.catalogue import Target
from backends.contract.errors import EngineFailed, GatewayError, ModelDown, NotReady, Overloaded
from backends.contract.state import Origin, VariantState
from backends.contract.tasks import AnyTask, StreamTask, Task
from backends.fleet import NODE_LABEL
from backends.serve.details import lost, variant_states
from backends.serve.hatch import Hatches, Shut
from backends.serve.lane import Lane

R = TypeVar("R")
C = TypeVar("C")

# Serve's gRPC transport refuses messages over 4 MiB: what may come near that goes through the
# object store. Below, gRPC is quicker.
BY_REFERENCE_ABOVE = 1 << 20
POLL_S = 0.5
REPORT_S = 2.0
AGAIN_S = 0.1

log = logging.getLogger(__name__)


class RayUpstream:
    """Carries tasks to replicas by deployment handles, and watches how the variants are."""

    def __init__(self) -> None:
        self._handles: dict[tuple[str, str, bool], Any] = {}
        self._loaders: dict[str, Any] = {}
        self._watch = Watch(self._report)
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
        ready = [app for app, state in self._watch.states.items() if state.ready]
        await asyncio.gather(*(self._watch.ask(app) for app in ready))
        return self._watch.states

    async def _report(self, app: str) -> list[VariantState]:
        """Of every replica that is there. (A request would wait for one, and Serve would bring one up.)"""
        handle = self._handle(app, "state", False)
        while True:
            try:
                return await handle.broadcast("state").results_async()  # type: ignore[no-any-return]
            except DeploymentUnavailableError:  # the handle does not know of it yet
                await asyncio.sleep(AGAIN_S)

    async def call(self, target: Target, task: Task[R]) -> R:
        hatch = self._watch.hatch(target.app) if target.single and not _heavy(task) else None
        try:
            origin, answer = await (self._hatches.call(hatch, task) if hatch else self._by_ray(target, task))
        except Shut:
            origin, answer = await self._by_ray(target, task)
        target.answered(origin)
        return answer

    async def _by_ray(self, target: Target, task: Task[R]) -> tuple[Origin, R]:
        response = self._handle(target.app, "call", _heavy(task)).remote(task)
        try:
            answer: tuple[Origin, R] = await self._watch.while_up(target.app, response)
        except BaseException as error:
            raise _ended(response, error) from None
        return answer

    async def each(self, app: str, task: Task[R]) -> list[tuple[Origin, R]]:
        handle = self._handle(app, "call", _heavy(task))
        try:
            return await handle.broadcast("call", task).results_async()  # type: ignore[no-any-return]
        except Exception as error:
            raise _mapped(error) from None

    async def load(self, app: str) -> None:
        """By a request that asks for nothing: Serve brings a replica up for it, whoever leaves."""
        if (before := self._loaders.pop(app, None)) is not None:
            await before.shutdown_async()
        # A new handle tells Serve at once that somebody waits; one that was there before tells what it has
        # counted, now and then.
        loader: DeploymentHandle[Any] = DeploymentHandle("Replica", app)
        self._loaders[app] = loader = loader.options(method_name="keep")
        response = loader.remote()
        kept = asyncio.ensure_future(response)
        try:
            while not kept.done():
                await asyncio.wait({kept}, timeout=POLL_S)
                if not kept.done():
                    self._watch.must_be_coming(app)
            self._watch.take(app, kept.result())
        except BaseException as error:
            kept.cancel()
            raise _ended(response, error) from None

    async def unload(self, app: str) -> None:
        with suppress(DeploymentUnavailableError, RayActorError):  # nobody to tell
            await self._handle(app, "state", False).broadcast("release").results_async()

    async def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        ticket = self._lane.ticket()
        response = self._handle(target.app, "stream", _heavy(task)).remote(task, ticket)
        try:
            target.node, items, beside = await self._watch.while_up(target.app, anext(response))
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
    if isinstance(error, (RayActorError, DeploymentUnavailableError)):
        return ModelDown("the model's process ended during the request; it is being restarted")
    log.error("a call to a replica failed", exc_info=error)
    return EngineFailed("the engine failed on this request")


class Watch:
    """The last known state of every variant: what Serve's controller says, and what a replica
    reports of itself when it comes up.

    When the controller does not answer, the last word stands and requests go on.
    """

    def __init__(self, report: Callable[[str], Awaitable[list[VariantState]]]) -> None:
        self.states: dict[str, VariantState] = {}
        self._report = report
        self._down: dict[str, asyncio.Event] = {}
        self._nodes: dict[str, str] = {}
        self._hatches: dict[int, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def while_up(self, app: str, answer: Awaitable[R]) -> R:
        """Await an answer, but not past the death of the variant's last replica: Serve's router
        would hold the request until another comes up, however long that takes.

        Raises NotReady or ModelDown."""
        work = asyncio.ensure_future(answer)
        down = asyncio.ensure_future(self._down.setdefault(app, asyncio.Event()).wait())
        try:
            await asyncio.wait({work, down}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if app in self.states and self.states[app].readiness != "down":
                raise NotReady("the model is loading")
            raise ModelDown("the model is down; it is being restarted")
        finally:
            down.cancel()
            work.cancel()

    def hatch(self, app: str) -> str | None:
        """Where the only replica of a variant can be asked, if it is on this machine."""
        replicas = self.states[app].replicas if app in self.states else ()
        return self._hatches.get(replicas[0].pid) if len(replicas) == 1 else None

    def take(self, app: str, report: VariantState) -> None:
        """A replica that has come up says so itself, sooner than the controller does."""
        known = self.states.get(app, VariantState())
        self.states[app] = known if known.ready else replace(known, readiness="ready", replicas=())
        self._note(app, report)
        self._down.setdefault(app, asyncio.Event()).clear()

    def must_be_coming(self, app: str) -> None:
        """Raises ModelDown for a variant that will not come up, NotReady for one that there is no more."""
        if app not in self.states and self.states:
            raise NotReady("the model is not placed yet")
        if app in self.states and self.states[app].readiness == "down":
            raise ModelDown("the model is down; the operator's log says why")

    async def ask(self, app: str) -> None:
        """Take in what the replicas of a variant report. Silent ones change nothing."""
        try:
            reports = await asyncio.wait_for(self._report(app), REPORT_S)
        except Exception:
            log.warning("a replica did not report", extra={"app": app})
            return
        for report in reports:
            self._note(app, report)

    def _note(self, app: str, report: VariantState) -> None:
        known, (reporter,) = self.states[app], report.replicas
        self._hatches[reporter.pid] = reporter.hatch
        others = tuple(replica for replica in known.replicas if replica.pid != reporter.pid)
        self.states[app] = replace(
            known, replicas=(reporter, *others), facts=report.facts, seconds=report.seconds
        )

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except Exception:
                log.exception("the Serve controller does not answer; its last word stands")
            await asyncio.sleep(POLL_S)

    async def _look(self) -> None:
        details = await _details()
        before = {app: _serving(state) for app, state in self.states.items()}
        states = variant_states(details, self._nodes, self.states)
        if any(replica.node not in self._nodes.values() for s in states.values() for replica in s.replicas):
            self._nodes = await _nodes()
            states = variant_states(details, self._nodes, self.states)
        self.states = states
        gone = lost(details)
        for app in states:
            down = self._down.setdefault(app, asyncio.Event())
            if app in gone:
                down.set()
            else:
                down.clear()
        # Other processes may know other facts: an update brings them while the variant stays ready.
        for app in [app for app, state in states.items() if _serving(state) - before.get(app, set())]:
            await self.ask(app)


def _serving(state: VariantState) -> set[int]:
    """The processes of a variant that is ready."""
    return {replica.pid for replica in state.replicas} if state.ready else set()


async def _nodes() -> dict[str, str]:
    """Ray's node id → the fleet's name for that kind of node."""
    found = await asyncio.to_thread(ray.nodes)
    return {node["NodeID"]: node["Labels"].get(NODE_LABEL, "unlabelled") for node in found}


async def _details() -> dict[str, Any]:
    """What Serve's REST API shows, from where it gets it (`ServeInstanceDetails` as a dict)."""
    controller = ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
    details: dict[str, Any] = await controller.get_serve_instance_details.remote()
    return details
