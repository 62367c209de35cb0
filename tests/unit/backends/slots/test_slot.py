"""A slot with fakes in it: what waits, what is cut, what is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backends.contract.engine import GpuShare, ModelRef, Progress
from backends.contract.errors import ModelDown, NotReady
from backends.contract.tasks import ChatTask
from backends.engines.fake import Fake
from backends.host import Host
from backends.slots.slot import Slot
from backends.slots.turns import Room, Turns


class Watched(Fake):
    """Counts what is loaded, and fails as it is told. `LOADED`: how many of them there are."""

    loaded = 0
    most = 0
    broken = False
    ill = False

    async def load(self, progress: Progress) -> None:
        Watched.loaded += 1
        Watched.most = max(Watched.most, Watched.loaded)
        await super().load(progress)
        if self.broken:
            raise RuntimeError("a disk has gone")

    async def healthy(self) -> bool:
        return not self.ill

    async def close(self) -> None:
        Watched.loaded -= 1


@asynccontextmanager
async def slot(names: str = "abc", pinned: str = "", most: int = 1) -> AsyncIterator[Slot]:
    Watched.loaded, Watched.most, Watched.broken = 0, 0, False

    def made(name: str) -> Callable[[], Host]:
        return lambda: Host(
            Watched(ModelRef(name, "chat", "builtin://fake"), Fake.Options(load_s=0.02), GpuShare())
        )

    turns = Turns(Room(most=most), dict.fromkeys(names, 0), pinned)
    one = Slot({name: made(name) for name in names}, turns, tuple(pinned))
    await one.start()
    yield one
    await one.close()
    assert Watched.loaded == 0


def asking(script: str = "!words 1") -> ChatTask:
    return ChatTask("r", {"model": "m", "messages": [{"role": "user", "content": script}], "stream": True})


async def ask(one: Slot, name: str, script: str = "!words 1") -> int:
    """How many events it answers."""
    return sum(
        [item.events.count(b"data:") async for got in one.stream(name, asking(script)) for item in got]
    )


async def answered(one: Slot, name: str) -> int:
    """As a door does it: again, whenever the model was away when the request came."""
    while True:
        try:
            return await ask(one, name)
        except NotReady:
            await one.load(name)


def told(one: Slot) -> dict[str, str]:
    return {name: state.readiness for name, state in one.states("here", 7).items()}


async def test_one_goes_and_another_comes() -> None:
    async with slot() as one:
        assert told(one) == {"a": "cold", "b": "cold", "c": "cold"}
        with pytest.raises(NotReady):
            await ask(one, "a")
        await one.load("a")
        assert await ask(one, "a")
        loading = asyncio.create_task(one.load("b"))
        await asyncio.sleep(0)
        assert told(one)["b"] == "waiting"
        await loading
        assert told(one) == {"a": "cold", "b": "ready", "c": "cold"}
        assert Watched.most == 1
        ((source, (count, seconds)),) = one.states("here", 7)["b"].swaps.items()
        assert (source, count) == ("a", 1)
        assert seconds >= 0.02
        assert list(one.states("here", 7)["a"].swaps) == ["none"]


async def test_what_runs_is_not_cut() -> None:
    async with slot() as one:
        await one.load("a")
        running = asyncio.create_task(ask(one, "a", "!words 20 !slow 0.02"))
        await asyncio.sleep(0.1)
        loading = asyncio.create_task(one.load("b"))
        await asyncio.sleep(0.05)
        assert told(one)["a"] == "ready"
        with pytest.raises(NotReady):  # and nothing more begins
            await ask(one, "a")
        await loading
        assert running.done()
        assert running.result() >= 20


async def test_requests_for_all_are_all_answered() -> None:
    async with slot(most=2) as one:
        got = await asyncio.gather(*(answered(one, "abc"[number % 3]) for number in range(60)))
        assert all(got)
        assert Watched.most == 2


async def test_a_load_that_fails_is_told_and_tried_anew() -> None:
    async with slot() as one:
        await one.load("a")
        Watched.broken = True
        with pytest.raises(ModelDown):
            await one.load("b")
        state = one.states("here", 7)["b"]
        assert (state.readiness, state.message) == ("down", "the engine failed to load")
        assert state.retry_s > 1
        Watched.broken = False
        await one.load("b")
        assert told(one)["b"] == "ready"


async def test_what_is_pinned_is_there_and_stays() -> None:
    async with slot(pinned="a", most=2) as one:
        assert told(one)["a"] == "ready"
        one.unload("a")
        for name in "bcb":
            assert await answered(one, name)
        assert told(one) == {"a": "ready", "b": "ready", "c": "cold"}


async def test_what_has_no_room_beside_the_pinned_is_down() -> None:
    async with slot(pinned="a", most=1) as one:
        with pytest.raises(ModelDown, match="does not fit"):
            await one.load("b")


async def test_unloaded_it_is_cold_when_nothing_runs() -> None:
    async with slot() as one:
        await one.load("a")
        running = asyncio.create_task(ask(one, "a", "!words 5 !slow 0.02"))
        await asyncio.sleep(0.03)
        one.unload("a")
        assert told(one)["a"] == "ready"
        await running
        await until(lambda: told(one)["a"] == "cold")


async def test_an_ill_one_leaves_alone() -> None:
    async with slot(pinned="b", most=2) as one:
        await one.load("a")
        engine: Any = one.hosts()["a"].engine
        engine.ill = True
        await one.heal()
        await until(lambda: told(one) == {"a": "cold", "b": "ready", "c": "cold"})
        pinned: Any = one.hosts()["b"].engine
        pinned.ill = True
        await one.heal()
        await until(lambda: told(one)["b"] == "ready" and one.hosts()["b"].engine is not pinned)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)
