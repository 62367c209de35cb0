"""One request's way through the steps of a chain."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, contextmanager
from typing import Protocol, TypeVar

from app.catalogue import Catalogue, Target
from app.upstream import Upstream
from backends.contract.errors import GatewayError, InvalidRequest, UpstreamTimeout
from backends.contract.tasks import StreamTask, Task

log = logging.getLogger(__name__)

R = TypeVar("R")
C = TypeVar("C")

OK, LEFT = "ok", "left"


class Told(Protocol):
    """Hears of each step that is over: of which chain, what it is called, who was asked, how it ended (`ok`,
    `left`, or an error's code) and how many seconds it took."""

    def __call__(self, chain: str, step: str, model: str, code: str, seconds: float) -> None: ...


class Run:
    """`upstream` takes the steps, and may be asked for other chains too. `target`: of the chain; is told who
    answered on its way."""

    def __init__(
        self, upstream: Upstream, catalogue: Catalogue, target: Target, request_id: str, told: Told
    ) -> None:
        self.upstream, self.target, self.request_id = upstream, target, request_id
        self._catalogue, self._told = catalogue, told
        self._parts = {part.label: part for part in catalogue.parts(target.model)}

    def step(self, label: str, params: Mapping[str, str | None] | None = None) -> "Step":
        """Who is to be asked. `params`: what the step's fields are called in the request. Raises, naming the
        step, why it cannot be."""
        part = self._parts[label]
        with self.named(label, part.model, params):
            states = self.upstream.states()
            target = self._catalogue.target(part.model, part.task, self.target.sticky, states)
        target.held, target.bill = self.target.held, self.target.bill
        return Step(self, label, target, params)

    @contextmanager
    def named(
        self, label: str, model: str = "", params: Mapping[str, str | None] | None = None
    ) -> Iterator[None]:
        """What fails says in which step it did."""
        try:
            yield
        except GatewayError as error:
            who = f"step `{label}` ({model})" if model else f"step `{label}`"
            error.message = f"{who}: {error.message}"
            if isinstance(error, InvalidRequest) and params is not None:
                error.param = params.get(error.param or "", error.param)
            raise

    @contextmanager
    def noted(
        self, label: str, model: str = "", params: Mapping[str, str | None] | None = None
    ) -> Iterator[None]:
        """`named`, and told of when it is over."""
        began, code = time.perf_counter(), OK
        try:
            with self.named(label, model, params):
                yield
        except GatewayError as error:
            code = error.code
            raise
        except BaseException:
            code = LEFT
            raise
        finally:
            seconds = time.perf_counter() - began
            self._told(self.target.model, label, model, code, seconds)
            said = {"request_id": self.request_id, "code": code}
            log.debug("%s: step %s by %s, %.3f s", self.target.model, label, model, seconds, extra=said)


class Step:
    """A model that is asked as one step. Whatever fails says so."""

    def __init__(self, run: Run, label: str, target: Target, params: Mapping[str, str | None] | None) -> None:
        self._run, self._label, self._params = run, label, params
        self.target, self.model = target, target.model

    async def call(self, task: Task[R]) -> R:
        with self._noted():
            with _in_time(self.target):
                async with asyncio.timeout(self.target.timeout_s):
                    answer = await self._run.upstream.call(self.target, task)
            self._answered()
            return answer

    async def all(self, task: StreamTask[C]) -> list[C]:
        """Every item, for the next step."""
        with self._noted():
            with _in_time(self.target):
                async with (
                    asyncio.timeout(self.target.timeout_s),
                    aclosing(self._run.upstream.stream(self.target, task)) as items,
                ):
                    found = [item async for item in items]
            self._answered()
            return found

    async def stream(self, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        with self._noted():
            async with aclosing(self._run.upstream.stream(self.target, task)) as items:
                begun = False
                async for item in items:
                    if not begun:
                        begun = True
                        self._answered()
                    yield item

    def _noted(self) -> AbstractContextManager[None]:
        return self._run.noted(self._label, self.model, self._params)

    def _answered(self) -> None:
        mine, whole = self.target, self._run.target
        whole.node, whole.fingerprint = mine.node, mine.fingerprint
        who = f"{self._label}={mine.model}" + ("" if mine.chain else f"/{mine.variant}")
        if who not in whole.steps:
            whole.steps.append(who)
        self.model = mine.model


@contextmanager
def _in_time(target: Target) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise UpstreamTimeout(f"the model did not answer within {target.timeout_s:g} s") from None
