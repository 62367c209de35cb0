"""Tasks and answers over a Unix socket, between a door and a replica of this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from backends.contract.errors import EngineFailed, InvalidRequest, ModelDown
from backends.contract.results import Vectors
from backends.contract.tasks import EmbedTask, Task
from backends.serve.hatch import Hatch, Hatches, Shut

Open = Callable[[Callable[[Any], Awaitable[Any]]], Awaitable[tuple[Hatch, str]]]


def task(*texts: str) -> EmbedTask:
    return EmbedTask("r", texts)


async def echo(asked: EmbedTask) -> tuple[str, ...]:
    await asyncio.sleep(0.02 if asked.texts[0] == "slow" else 0)
    return asked.texts


@pytest.fixture
async def hatches() -> AsyncIterator[Hatches]:
    made = Hatches()
    yield made
    made.close()
    await asyncio.sleep(0)


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    hatches: list[Hatch] = []

    async def make(call: Callable[[Task[Any]], Awaitable[Any]]) -> tuple[Hatch, str]:
        hatch = Hatch(call)
        hatches.append(hatch)
        return hatch, await hatch.start()

    yield make
    for hatch in hatches:
        await hatch.close()


async def test_each_gets_its_own_answer(opened: Open, hatches: Hatches) -> None:
    """However many are under way on the one connection, and in whatever order they are done."""
    _, path = await opened(echo)
    texts = ["slow" if number % 3 == 0 else str(number) for number in range(30)]
    answers = await asyncio.gather(
        *(hatches.call(path, task(text, str(number))) for number, text in enumerate(texts))
    )
    assert answers == [(text, str(number)) for number, text in enumerate(texts)]


async def test_large_ones(opened: Open, hatches: Hatches) -> None:
    async def embed(asked: EmbedTask) -> Vectors:
        return Vectors(b"\x01" * 9_000_000, len(asked.texts), 1, 0)

    _, path = await opened(embed)
    answer = await hatches.call(path, task(*["x" * 1000] * 2048))
    assert (len(answer.data), answer.count) == (9_000_000, 2048)


async def test_errors_cross_whole(opened: Open, hatches: Hatches) -> None:
    async def refuse(asked: EmbedTask) -> None:
        if asked.texts == ("bug",):
            raise ZeroDivisionError("a secret")
        raise InvalidRequest("too long", param="input", code="context_length_exceeded")

    _, path = await opened(refuse)
    with pytest.raises(InvalidRequest) as refused:
        await hatches.call(path, task("x"))
    assert (refused.value.param, refused.value.code) == ("input", "context_length_exceeded")
    with pytest.raises(EngineFailed) as failed:
        await hatches.call(path, task("bug"))
    assert "secret" not in failed.value.message


class Slow:
    """Works until it is told to end; says whether it was cancelled."""

    def __init__(self) -> None:
        self.begun, self.done, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, asked: EmbedTask) -> str:
        self.begun.set()
        try:
            await self.done.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return asked.texts[0]


async def test_who_leaves_is_not_worked_for(opened: Open, hatches: Hatches) -> None:
    slow = Slow()
    _, path = await opened(slow)
    asking = asyncio.create_task(hatches.call(path, task("x")))
    await slow.begun.wait()
    asking.cancel()
    async with asyncio.timeout(5):
        await slow.cancelled.wait()
    slow.done.set()
    assert await hatches.call(path, task("y")) == "y"  # the connection is still good


async def test_a_door_that_ends_is_not_worked_for(opened: Open) -> None:
    slow, door = Slow(), Hatches()
    _, path = await opened(slow)
    asking = asyncio.create_task(door.call(path, task("x")))
    await slow.begun.wait()
    door.close()
    async with asyncio.timeout(5):
        await slow.cancelled.wait()
        with pytest.raises(ModelDown):
            await asking


async def test_a_replica_that_stops_finishes_first(opened: Open, hatches: Hatches) -> None:
    slow = Slow()
    hatch, path = await opened(slow)
    asking = asyncio.create_task(hatches.call(path, task("begun")))
    await slow.begun.wait()
    closing = asyncio.create_task(hatch.close())
    await asyncio.sleep(0)
    with pytest.raises(Shut):
        await hatches.call(path, task("late"))
    slow.done.set()
    assert await asking == "begun"
    await closing
    with pytest.raises(Shut):
        await hatches.call(path, task("later"))


async def test_nobody_there(hatches: Hatches) -> None:
    with pytest.raises(Shut):
        await hatches.call("/nowhere/s", task("x"))


async def test_a_replica_that_dies(opened: Open, hatches: Hatches) -> None:
    slow = Slow()
    hatch, path = await opened(slow)
    asking = asyncio.create_task(hatches.call(path, task("begun")))
    await slow.begun.wait()
    for visitor in hatch._visitors:
        assert visitor.transport is not None
        visitor.transport.abort()
    with pytest.raises(ModelDown):
        await asking


def test_on_the_loop_that_serve_runs_it_on() -> None:
    async def both() -> Any:
        hatch, hatches = Hatch(echo), Hatches()
        path = await hatch.start()
        answer = await hatches.call(path, task("x"))
        hatches.close()
        await hatch.close()
        return answer

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(both()) == ("x",)
