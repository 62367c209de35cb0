"""Share x seconds, of whoever was asked on a request's way."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any

import pytest

from app.catalogue import Catalogue
from app.upstream.billed import Billed
from app.upstream.fallback import Fallbacks
from backends.contract.errors import EngineFailed, InvalidRequest
from backends.contract.state import VariantState
from backends.contract.tasks import ChatTask, EmbedTask, StreamTask, Task
from backends.fleet.schema import Fleet

FAKE = {"engine": "fake", "source": "builtin://fake"}
FLEET = Fleet.model_validate({
    "version": 1,
    "nodes": {"gpu": {"vendor": "nvidia", "gpus": 2, "vram": "8Gi"}},
    "models": {
        "half": {"task": "embed", **FAKE, "place": {"node": "gpu", "share": 0.5}},
        "cpu": {"task": "embed", **FAKE, "place": {"node": "gpu"}},
        "two": {"task": "chat", **FAKE, "place": {"node": "gpu", "share": 2}},
        "first": {"task": "embed", **FAKE, "place": {"node": "gpu", "share": 1}, "fallback": ["half"]},
    },
})  # fmt: skip
EMBED, CHAT = EmbedTask("1", ("a",)), ChatTask("1", {"model": "two", "stream": True}, 2)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Takes:
    """An upstream whose every answer, and every item, takes so many seconds; or fails after them."""

    def __init__(self, clock: Clock, seconds: float, **fails: Exception) -> None:
        self.clock, self.seconds, self.fails = clock, seconds, fails

    def states(self) -> Mapping[str, VariantState]:
        return {f"{name}--main": VariantState("ready") for name in FLEET.models}

    async def call(self, target: Any, task: Task[Any]) -> Any:
        self.clock.now += self.seconds
        if target.model in self.fails:
            raise self.fails[target.model]

    async def stream(self, target: Any, task: StreamTask[Any]) -> AsyncGenerator[Any, None]:
        for number in range(3):
            self.clock.now += self.seconds
            yield number


async def called(name: str, **fails: Exception) -> float:
    catalogue, clock = Catalogue(FLEET), Clock()
    target = catalogue.target(name, "embed")
    upstream = Fallbacks(Billed(Takes(clock, 3.0, **fails), catalogue, clock), catalogue)  # type: ignore[arg-type]
    with suppress(EngineFailed, InvalidRequest):
        await upstream.call(target, EMBED)
    return target.bill.gpu_s


async def test_share_times_seconds() -> None:
    assert await called("half") == 1.5
    assert await called("cpu") == 0


async def test_what_fails_for_no_fault_of_the_callers_is_free() -> None:
    assert await called("half", half=EngineFailed("!")) == 0
    assert await called("half", half=InvalidRequest("!")) == 1.5
    assert await called("first", first=EngineFailed("!")) == 1.5  # of who answered in its place
    assert await called("first", first=InvalidRequest("!")) == 3


async def test_a_stream_until_its_end_or_until_its_caller_leaves() -> None:
    for items, seconds in ((3, 18), (1, 6)):
        catalogue, clock = Catalogue(FLEET), Clock()
        target = catalogue.target("two", "chat")
        billed = Billed(Takes(clock, 3.0), catalogue, clock)  # type: ignore[arg-type]
        async with aclosing(billed.stream(target, CHAT)) as stream:
            async for number in stream:
                if number == items - 1 < 2:
                    break
        assert target.bill.gpu_s == seconds


async def test_who_is_cancelled_pays_until_then() -> None:
    class Never(Takes):
        async def call(self, target: Any, task: Task[Any]) -> Any:
            self.clock.now += 4
            await asyncio.Event().wait()

    catalogue, clock = Catalogue(FLEET), Clock()
    target = catalogue.target("half", "embed")
    billed = Billed(Never(clock, 0), catalogue, clock)  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await billed.call(target, EMBED)
    assert target.bill.gpu_s == 2
