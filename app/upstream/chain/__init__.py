"""An upstream over an upstream: a model that is made of others is answered by asking these.

It lies outside of all other layers, so that each step has its fallbacks, its retries and its waiting
for a cold model. One file a shape; `run` is what they have in common.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from app.catalogue import CHAIN, Catalogue, Target
from app.upstream import Layer, Upstream
from app.upstream.chain import around, audio, retrieval, sequence, switch
from app.upstream.chain.audio import Ears
from app.upstream.chain.hooks import Hooks
from app.upstream.chain.run import Run, Told
from backends.contract.state import VariantState
from backends.contract.tasks import AnyTask, ChatTask, RerankTask, SpeakTask, StreamTask, Task, TranscribeTask
from backends.fleet.schema import app_name
from backends.fleet.steps import Around, AudioChat, Retrieval, Sequence, Switch

R = TypeVar("R")
C = TypeVar("C")


class Chains(Layer):
    """A target without a `chain` goes straight through. `told`: of each step that is over."""

    def __init__(
        self, upstream: Upstream, catalogue: Catalogue, hooks: Hooks, ears: Ears, told: Told
    ) -> None:
        super().__init__(upstream)
        self._catalogue, self._hooks, self._ears, self._told = catalogue, hooks, ears, told

    async def call(self, target: Target, task: Task[R]) -> R:
        if target.chain is None:
            return await self._upstream.call(target, task)
        run = self._run(target, task)
        match target.chain:
            case Retrieval() as steps if isinstance(task, RerankTask):
                found: Any = await retrieval.ranked(run, steps, task)
                return found  # type: ignore[no-any-return]
            case Around() as steps:
                return await around.call(run, steps, self._hooks, task)
            case Switch() as steps:
                return await run.step(await switch.chosen(run, steps, task)).call(task)
        raise AssertionError(f"no {task.verb} is made of these steps")

    def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        if target.chain is None:
            return self._upstream.stream(target, task)
        run = self._run(target, task)
        made: Any
        match target.chain, task:
            case AudioChat(), ChatTask():
                made = audio.chat(run, task, self._ears)
            case Sequence() as steps, ChatTask():
                made = sequence.chat(run, steps, task)
            case Sequence() as steps, TranscribeTask():
                made = sequence.transcribe(run, steps, task)
            case Sequence() as steps, SpeakTask():
                made = sequence.speak(run, steps, task)
            case Around() as steps, _:
                made = around.stream(run, steps, self._hooks, task)
            case Switch() as steps, _:
                made = _switched(run, steps, task)
            case _:
                raise AssertionError(f"no {task.verb} is made of these steps")
        return made  # type: ignore[no-any-return]

    def states(self) -> Mapping[str, VariantState]:
        return self._over(self._upstream.states())

    async def inspect(self) -> Mapping[str, VariantState]:
        return self._over(await self._upstream.inspect())

    def _over(self, states: Mapping[str, VariantState]) -> Mapping[str, VariantState]:
        """With a state, which the catalogue takes for its own, for each chain that lacks a function."""
        broken = {}
        for name, model in self._catalogue.fleet.models.items():
            if isinstance(model.steps, Around):
                wanted = filter(None, (model.steps.before, model.steps.after))
                if missing := next(filter(None, map(self._hooks.missing, wanted)), ""):
                    broken[app_name(name, CHAIN)] = VariantState("down", message=missing)
        return {**states, **broken} if broken else states

    def _run(self, target: Target, task: AnyTask) -> Run:
        return Run(self, self._catalogue, target, task.request_id, self._told)


async def _switched(run: Run, steps: Switch, task: StreamTask[C]) -> AsyncGenerator[C, None]:
    step = run.step(await switch.chosen(run, steps, task))
    async with aclosing(step.stream(task)) as items:
        async for item in items:
            yield item
