"""The seam between HTTP and what answers. Two verbs, generic in the task.

Streams: an async generator of one type; failure is a `GatewayError`; completion is exhaustion;
cancellation is `aclose()` (or cancelling the awaiting task), and it reaches the engine.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol, TypeVar

from app.catalogue import Target
from backends.contract.state import Origin, VariantState
from backends.contract.tasks import StreamTask, Task
from backends.fleet.live import Node

R = TypeVar("R")
C = TypeVar("C")


class Upstream(Protocol):
    async def call(self, target: Target, task: Task[R]) -> R:
        """One answer. Fills `target.node` and `target.fingerprint` with where it came from."""
        ...

    def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        """Many items. Fills `target.node` with the first."""
        ...

    async def each(self, app: str, task: Task[R]) -> list[tuple[Origin, R]]:
        """The answer of every replica of one variant, past all choosing between them. Raises what one
        of them raised."""
        ...

    async def load(self, app: str) -> None:
        """Bring a variant up, if it is not, and count that as a use of it; returns once it can answer.
        Giving up on the wait does not end the load. Raises ModelDown."""
        ...

    async def unload(self, app: str) -> None:
        """Let a variant that needs no replica go as soon as nothing runs on it. Returns at once."""
        ...

    async def start(self) -> None:
        """Begin to watch (or to host) the variants. Returns at once; readiness is in `states`."""
        ...

    async def close(self) -> None: ...

    def states(self) -> Mapping[str, VariantState]:
        """The last known state per application name (`fleet.schema.app_name`)."""
        ...

    async def inspect(self) -> Mapping[str, VariantState]:
        """`states` with the live figures of the replicas, which are asked now."""
        ...

    def nodes(self) -> Sequence[Node]:
        """The living nodes, as they were when a replica last waited for a place; none where there is no
        cluster."""
        ...


async def begun(
    upstream: Upstream, target: Target, task: StreamTask[C]
) -> tuple[list[C], AsyncGenerator[C, None]]:
    """What must exist of a stream before the answer is bound to whoever gives it, and the rest: the first
    item, or all of them where it goes out as one document. One that fails is closed."""
    source, items = upstream.stream(target, task), list[C]()
    try:
        async for item in source:
            items.append(item)
            if not task.whole:
                break
    except BaseException:
        await source.aclose()
        raise
    return items, source


async def continued(
    begin: Callable[[], Awaitable[tuple[list[C], AsyncGenerator[C, None]]]],
) -> AsyncGenerator[C, None]:
    """The whole of a stream that somebody has begun, as `begun` does."""
    items, rest = await begin()
    async with aclosing(rest):
        for item in items:
            yield item
        async for item in rest:
            yield item


class Layer:
    """An upstream over an upstream: it carries tasks in a way of its own, and passes the rest on."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def each(self, app: str, task: Task[R]) -> list[tuple[Origin, R]]:
        return await self._upstream.each(app, task)

    async def load(self, app: str) -> None:
        await self._upstream.load(app)

    async def unload(self, app: str) -> None:
        await self._upstream.unload(app)

    async def start(self) -> None:
        await self._upstream.start()

    async def close(self) -> None:
        await self._upstream.close()

    def states(self) -> Mapping[str, VariantState]:
        return self._upstream.states()

    async def inspect(self) -> Mapping[str, VariantState]:
        return await self._upstream.inspect()

    def nodes(self) -> Sequence[Node]:
        return self._upstream.nodes()
