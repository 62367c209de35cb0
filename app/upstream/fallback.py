"""An upstream over an upstream: another model answers where the one that was asked cannot."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeVar

from app.catalogue import Catalogue, Target
from app.upstream import Layer, Upstream, begun, continued
from backends.contract.errors import GatewayError, UpstreamTimeout
from backends.contract.tasks import AnyTask, ChatTask, StreamTask, Task

log = logging.getLogger(__name__)

R = TypeVar("R")
C = TypeVar("C")
T = TypeVar("T", bound=AnyTask)
Attempt = Callable[[Target, T], Awaitable[R]]


class Fallbacks(Layer):
    """Until the first item of an answer exists (the last, where it goes out as one document), a
    model that is down, loading, overloaded, too slow or broken is passed over for its fallbacks, one
    after the other. The caller's own mistakes are not: another model would only repeat them.

    `target` then says who answered (`Target.take`). If nobody can, the caller hears what the model
    that was asked said. Targets without fallbacks pass straight through.
    """

    def __init__(self, upstream: Upstream, catalogue: Catalogue) -> None:
        super().__init__(upstream)
        self._catalogue = catalogue

    async def call(self, target: Target, task: Task[R]) -> R:
        if not target.fallbacks:
            return await self._upstream.call(target, task)
        return await self._ask(target, task, self._upstream.call)

    def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        if not target.fallbacks:
            return self._upstream.stream(target, task)
        return continued(lambda: self._ask(target, task, partial(begun, self._upstream)))

    async def _ask(self, target: Target, task: T, attempt: Attempt[T, R]) -> R:
        began = time.perf_counter()
        first: GatewayError | None = None
        passed: list[tuple[str, str]] = []
        for one in self._candidates(target):
            spent = time.perf_counter() - began
            try:
                answer = await _within(one, attempt, _addressed(task, target, one))
            except GatewayError as error:
                if first is None and error.status < 500:
                    raise
                first = first or error
                passed.append((one.model, error.code))
                said = {"request_id": task.request_id, "code": error.code}
                log.warning("the model %s does not answer", one.model, extra=said)
            else:
                target.take(one, spent, passed)
                return answer
        assert first is not None
        raise first

    def _candidates(self, target: Target) -> Iterator[Target]:
        """The target, then a target of each fallback, by the states of the moment it is needed."""
        yield target
        for name in target.fallbacks:
            if name not in self._catalogue.fleet.models:  # a new fleet has come meanwhile
                continue
            one = self._catalogue.at(name, name, target.sticky, self._upstream.states())
            one.held, one.bill = target.held, target.bill
            yield one


async def _within(target: Target, attempt: Attempt[T, R], task: T) -> R:
    """Raises UpstreamTimeout when the target's own time is up, whatever is wrong with it if that is
    known, or what the attempt raises."""
    if target.trouble is not None and not target.patient:
        raise target.trouble
    try:
        async with asyncio.timeout(target.alone_s):
            return await attempt(target, task)
    except TimeoutError:
        raise UpstreamTimeout(f"the model did not answer within {target.alone_s:g} s") from None


def _addressed(task: T, asked: Target, one: Target) -> T:
    """A chat body names its model: a fallback goes by its own name, which answers then echo."""
    if one is asked or not isinstance(task, ChatTask):
        return task
    return replace(task, body={**task.body, "model": one.model})
