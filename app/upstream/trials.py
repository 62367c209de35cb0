"""An upstream over an upstream: variants are compared while they serve, and a worse one loses its traffic."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Protocol, TypeVar

from app.catalogue import Catalogue, Target
from app.upstream import Layer, Upstream
from backends.contract.errors import GatewayError
from backends.contract.tasks import StreamTask, Task
from backends.fleet.schema import Model, Rollback
from backends.fleet.traffic import complete
from backends.fleet.verdict import Outcome, Verdict, Window, judged

log = logging.getLogger(__name__)

R = TypeVar("R")
C = TypeVar("C")

LOOK_S = 1.0  # between two looks at a model's windows
AGAIN_S = 10.0  # until a rollback that did not come about is tried again
LATE_S = 0.05  # how much before its time's end an ended request counts as too slow


class Shift(Protocol):
    """Declares another traffic for a model, to all doors, if `judged` is still what is in force. Returns
    whether it was."""

    async def __call__(
        self, model: str, judged: Mapping[str, int], weights: Mapping[str, int], why: str
    ) -> bool: ...


class Trials(Layer):
    """Counts how the variants of each model with a `rollback` do, and judges them by it.

    Each door judges what it saw itself, under the weights that are in force (decision 0017).
    `counted`: told the model, the variant and the reason of each rollback that this door declared.
    """

    def __init__(
        self,
        upstream: Upstream,
        catalogue: Catalogue,
        shift: Shift,
        counted: Callable[[str, str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(upstream)
        self._catalogue, self._shift, self._counted, self._clock = catalogue, shift, counted, clock
        self._trials: dict[str, _Trial] = {}
        self._declaring: set[asyncio.Task[None]] = set()

    async def call(self, target: Target, task: Task[R]) -> R:
        trial = self._trial(target)
        if trial is None:
            return await self._upstream.call(target, task)
        with self._noted(target, trial):
            return await self._upstream.call(target, task)

    def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        trial = self._trial(target)
        source = self._upstream.stream(target, task)
        return source if trial is None else self._stream(target, trial, source)

    async def _stream(
        self, target: Target, trial: "_Trial", source: AsyncGenerator[C, None]
    ) -> AsyncGenerator[C, None]:
        with self._noted(target, trial) as first:
            async with aclosing(source):
                async for item in source:
                    first()
                    yield item

    async def close(self) -> None:
        for declaring in self._declaring:
            declaring.cancel()
        await super().close()

    def _trial(self, target: Target) -> "_Trial | None":
        """The one that is under way for a model; begun anew when anything of the model changed."""
        models = self._catalogue.fleet.models
        model = models.get(target.model)
        if model is None or model.rollback is None:
            return None
        trial = self._trials.get(target.model)
        if trial is not None and trial.model is not model and trial.model == model:
            trial.model = model  # a new fleet, in which this one is as it was
        if trial is None or trial.model is not model:
            self._trials = {name: one for name, one in self._trials.items() if name in models}
            trial = self._trials[target.model] = _Trial(target.model, model, model.rollback)
        return trial

    @contextmanager
    def _noted(self, target: Target, trial: "_Trial") -> Iterator[Callable[[], None]]:
        """Counts what becomes of one request. Yields what is called with each item."""
        began, seconds = self._clock(), list[float]()

        def first() -> None:
            if not seconds:
                seconds.append(self._clock() - began)

        def note(took: float | None) -> None:
            self._note(target, trial, Outcome(self._clock(), took))

        try:
            yield first
        except GatewayError as error:
            if error.status >= 500:
                note(None)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            # By who asked, which says nothing; or because its time was up.
            if self._clock() - began >= target.alone_s - LATE_S:
                note(None)
            raise
        except Exception:
            note(None)
            raise
        first()
        note(seconds[0])

    def _note(self, target: Target, trial: "_Trial", outcome: Outcome) -> None:
        if self._trials.get(target.model) is not trial:
            return  # it began under other weights
        trial.windows[target.variant].add(outcome)
        found = trial.look(outcome.at)
        if found is not None:
            declaring = asyncio.create_task(self._declare(trial, *found))
            self._declaring.add(declaring)
            declaring.add_done_callback(self._declaring.discard)

    async def _declare(self, trial: "_Trial", variant: str, verdict: Verdict) -> None:
        home, weights = trial.model.home, complete(trial.model)
        after = {**weights, home: weights[home] + weights[variant], variant: 0}
        why = f"{variant} did worse than {home}: {verdict.why}"
        try:
            declared = await self._shift(trial.name, weights, after, why)
        except Exception:
            log.exception("%s: %s, but its traffic could not be taken away", trial.name, why)
            return
        if declared:
            log.warning("%s goes back to %s: %s", trial.name, home, why)
            self._counted(trial.name, variant, verdict.reason)


class _Trial:
    """One model under one set of weights."""

    def __init__(self, name: str, model: Model, policy: Rollback) -> None:
        self.name, self.model, self._policy = name, model, policy
        self.windows = {variant: Window(policy.window_s) for variant in model.variants}
        self._looked = self._declared = -AGAIN_S

    def look(self, now: float) -> tuple[str, Verdict] | None:
        """A variant that has to go, and why."""
        if now - self._looked < LOOK_S or now - self._declared < AGAIN_S:
            return None
        self._looked = now
        home = self.windows[self.model.home].since(now)
        for variant, weight in self.model.weights.items():
            if variant != self.model.home and weight:
                verdict = judged(self._policy, home, self.windows[variant].since(now))
                if verdict is not None:
                    self._declared = now
                    return variant, verdict
        return None
