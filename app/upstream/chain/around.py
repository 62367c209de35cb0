"""A function before a model is asked, and one after it has answered, typed as the contract is."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from app.upstream.chain.hooks import Hooks
from app.upstream.chain.run import Run
from backends.contract.errors import EngineFailed
from backends.contract.tasks import StreamTask, Task
from backends.fleet.steps import Around

R = TypeVar("R")
C = TypeVar("C")
T = TypeVar("T")


async def call(run: Run, steps: Around, hooks: Hooks, task: Task[R]) -> R:
    step = run.step("model")
    task = await _before(run, steps, hooks, task)
    return await _after(run, steps, hooks, task, await step.call(task))


async def stream(run: Run, steps: Around, hooks: Hooks, task: StreamTask[C]) -> AsyncGenerator[C, None]:
    """`after` is given every item for itself; of a chat that does not stream, the one document."""
    step = run.step("model")
    task = await _before(run, steps, hooks, task)
    async with aclosing(step.stream(task)) as items:
        async for item in items:
            yield await _after(run, steps, hooks, task, item)


async def _before(run: Run, steps: Around, hooks: Hooks, task: T) -> T:
    if steps.before is None:
        return task
    with run.noted("before"):
        return _same(await hooks.run(steps.before, steps.within_s, task), task)


async def _after(run: Run, steps: Around, hooks: Hooks, task: object, result: T) -> T:
    if steps.after is None:
        return result
    with run.noted("after"):
        return _same(await hooks.run(steps.after, steps.within_s, task, result), result)


def _same(made: object, given: T) -> T:
    """Raises EngineFailed for what is not of the kind that was given."""
    if not isinstance(made, type(given)):
        raise EngineFailed(f"it returned a {type(made).__name__}, and not a {type(given).__name__}")
    return made
