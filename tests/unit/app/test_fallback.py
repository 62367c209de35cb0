"""Who is asked after whom, by an upstream that does as it is told."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.catalogue import Catalogue, Target
from app.upstream.fallback import Fallbacks
from backends.contract.errors import EngineFailed, InvalidRequest, ModelDown, Overloaded
from backends.contract.state import VariantState
from backends.contract.tasks import ChatTask, EmbedTask, StreamTask, Task, TranscribeTask
from backends.fleet.traffic import Public

from .conftest import fleet

READY = VariantState("ready")


@dataclass
class Told:
    """Per model: items to yield, errors to raise, seconds to wait. Notes whom it asked, and whose
    streams were closed."""

    does: dict[str, list[Any]]
    down: tuple[str, ...] = ()
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def states(self) -> Mapping[str, VariantState]:
        return {f"{name}--main": VariantState("down") if name in self.down else READY for name in self.does}

    async def inspect(self) -> Mapping[str, VariantState]:
        return self.states()

    async def call(self, target: Target, task: Task[Any]) -> Any:
        return [item async for item in self._do(target, None)]

    async def stream(self, target: Target, task: StreamTask[Any]) -> AsyncGenerator[Any, None]:
        try:
            async for item in self._do(target, task.body["model"] if isinstance(task, ChatTask) else None):
                yield item
        finally:
            self.closed.append(target.model)

    async def _do(self, target: Target, name: str | None) -> AsyncGenerator[Any, None]:
        self.asked.append((target.model, name))
        target.node = f"node of {target.model}"
        for item in self.does[target.model]:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, float):
                await asyncio.sleep(item)
            else:
                yield item


def catalogue(**models: dict[str, Any]) -> Catalogue:
    return Catalogue(fleet(**models))


THREE = {"a": {"aliases": ["llm"], "fallback": ["b", "c"]}, "b": {}, "c": {}}


def chat(stream: bool = True) -> ChatTask:
    return ChatTask("r", {"model": "llm", "stream": stream})


async def ask(told: Told, task: Any, known: Catalogue | None = None) -> tuple[Target, list[Any]]:
    known = known or catalogue(**{name: {"task": task.verb, **more} for name, more in THREE.items()})
    upstream = Fallbacks(told, known)
    target = known.target("llm", task.verb, None, upstream.states())
    if isinstance(task, StreamTask):
        return target, [item async for item in upstream.stream(target, task)]
    return target, await upstream.call(target, task)


@pytest.mark.parametrize(
    "task", [chat(), chat(stream=False), EmbedTask("r", ("x",)), TranscribeTask("r", b"x")]
)
async def test_one_after_the_other(task: Any) -> None:
    told = Told({"a": [EngineFailed("a")], "b": [Overloaded("b")], "c": ["1", "2"]})
    target, items = await ask(told, task)
    assert items == ["1", "2"]
    assert [model for model, _ in told.asked] == ["a", "b", "c"]
    assert (target.model, target.app, target.node) == ("c", "c--main", "node of c")
    assert target.passed == (("a", "engine_failed"), ("b", "overloaded"))


async def test_a_chat_body_names_who_is_asked() -> None:
    told = Told({"a": [EngineFailed("a")], "b": ["1"], "c": []})
    task = chat()
    await ask(told, task)
    assert told.asked == [("a", "llm"), ("b", "b")]
    assert task.body["model"] == "llm"


async def test_one_that_is_known_to_be_down_is_not_asked() -> None:
    told = Told({"a": ["1"], "b": ["1"], "c": ["1"]}, down=("a", "b"))
    target, _ = await ask(told, chat())
    assert told.asked == [("c", "c")]
    assert target.passed == (("a", "model_down"), ("b", "model_down"))


@pytest.mark.parametrize("whole", [True, False])
async def test_only_what_has_gone_out_binds(whole: bool) -> None:
    """What is answered as one document may begin anew as long as it is not finished."""
    told = Told({"a": ["1", EngineFailed("a")], "b": ["2"], "c": []})
    if whole:
        for task in (TranscribeTask("r", b"x"), chat(stream=False)):
            assert (await ask(told, task))[1] == ["2"]
    else:
        with pytest.raises(EngineFailed):
            await ask(told, chat())
        assert [model for model, _ in told.asked] == ["a"]


async def test_if_nobody_can_the_first_one_speaks() -> None:
    told = Told({"a": [Overloaded("a", retry_after=9)], "b": [InvalidRequest("b")], "c": [EngineFailed("c")]})
    with pytest.raises(Overloaded) as caught:
        await ask(told, chat())
    assert (caught.value.message, caught.value.retry_after) == ("a", 9)
    assert len(told.asked) == 3


async def test_the_callers_mistake_asks_nobody_else() -> None:
    told = Told({"a": [InvalidRequest("a")], "b": ["1"], "c": ["1"]})
    with pytest.raises(InvalidRequest):
        await ask(told, chat())
    assert [model for model, _ in told.asked] == ["a"]


async def test_who_fails_is_closed_before_the_next_is_asked() -> None:
    told = Told({"a": [EngineFailed("a")], "b": [30.0, "1"], "c": ["1", "2"]})
    known = catalogue(a={"aliases": ["llm"], "fallback": ["b", "c"]}, b={"timeout_s": 0.02}, c={})
    target, items = await ask(told, chat(), known)
    assert items == ["1", "2"]
    assert told.closed == ["a", "b", "c"]
    assert target.passed[1] == ("b", "upstream_timeout")


async def test_leaving_asks_nobody_else() -> None:
    told = Told({"a": [30.0], "b": ["1"], "c": []})
    asking = asyncio.create_task(ask(told, chat()))
    while not told.asked:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
    assert (told.asked, told.closed) == ([("a", "llm")], ["a"])


async def test_leaving_a_begun_stream_closes_it() -> None:
    told = Told({"a": [EngineFailed("a")], "b": ["1", "2", "3"], "c": []})
    known = catalogue(**THREE)
    upstream = Fallbacks(told, known)
    stream = upstream.stream(known.target("llm", "chat"), chat())
    assert await anext(stream) == "1"
    await stream.aclose()
    assert told.closed == ["a", "b"]


async def test_time_for_each_and_for_all() -> None:
    known = catalogue(
        a={"timeout_s": 10, "fallback": ["b"]}, b={"timeout_s": 5, "fallback": ["c"]}, c={"timeout_s": 2}
    )
    target = known.target("a", "chat")
    assert (target.timeout_s, target.alone_s, target.fallbacks) == (17, 10, ("b", "c"))
    told = Told({"a": ["1"], "b": [], "c": []})
    _ = [item async for item in Fallbacks(told, known).stream(target, chat())]
    assert target.timeout_s == pytest.approx(10, abs=1)
    assert known.target("c", "chat").timeout_s == 2


async def test_another_fleet_meanwhile() -> None:
    told = Told({"a": [EngineFailed("a")], "c": ["1"]})
    known = catalogue(**THREE)
    target = known.target("llm", "chat")
    known.update(Public(fleet=fleet(c={})))
    assert [item async for item in Fallbacks(told, known).stream(target, chat())] == ["1"]


def test_without_fallback_a_model_that_is_down_is_refused_at_once() -> None:
    with pytest.raises(ModelDown):
        catalogue(**THREE).target("b", "chat", None, {"b--main": VariantState("down")})
