"""An upstream over an upstream: what a replica had in hand when it ended is asked once more, elsewhere."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from app.catalogue import Catalogue, Target
from app.upstream import Layer, Upstream, begun, continued
from backends.contract.errors import NotReady
from backends.contract.tasks import AnyTask, StreamTask, Task

log = logging.getLogger(__name__)

R = TypeVar("R")
C = TypeVar("C")
T = TypeVar("T", bound=AnyTask)


class Retries(Layer):
    """Once, by another replica of the variant or by another variant with a weight, and only as long as
    nothing of the answer has gone out. No verb changes anything where it is answered, so that asking
    again does no harm.

    The only reason is that nobody works on the request any more: its process ended (ModelDown), or
    there is none. What an engine refuses or fails at is not asked again, nor is what takes long: no
    request is ever worked on twice at once. `target.retried` then says why.
    """

    def __init__(self, upstream: Upstream, catalogue: Catalogue) -> None:
        super().__init__(upstream)
        self._catalogue = catalogue

    async def call(self, target: Target, task: Task[R]) -> R:
        return await self._ask(target, task, self._upstream.call)

    def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        # Without an elsewhere it goes straight through: each step costs every item a little.
        if self._another(target) is None:
            return self._upstream.stream(target, task)
        return continued(lambda: self._ask(target, task, partial(begun, self._upstream)))

    async def _ask(self, target: Target, task: T, attempt: Callable[[Target, T], Awaitable[R]]) -> R:
        try:
            return await attempt(target, task)
        except NotReady as error:
            another = self._another(target)
            if another is None:
                raise
            said = {"request_id": task.request_id, "code": error.code}
            log.warning("asked once more: %s, then %s", target.app, another.app, extra=said)
            target.move(another, error.code)
            return await attempt(target, task)

    def _another(self, target: Target) -> Target | None:
        """The variant's other replicas, as far as it may have any, else another variant that is ready."""
        states = self._upstream.states()
        state = states.get(target.app)
        if not target.single and state is not None and state.ready and state.circuit == "closed":
            return target
        return self._catalogue.another(target, states)
