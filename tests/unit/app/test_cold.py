"""Who waits for a load, by an upstream that loads when it is told to."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from app.catalogue import Catalogue, Target
from app.upstream.cold import Cold
from app.upstream.fallback import Fallbacks
from backends.contract.errors import EngineFailed, GatewayError, ModelDown, NotReady
from backends.contract.state import VariantState
from backends.contract.tasks import ChatTask, EmbedTask, StreamTask, Task

from .conftest import fleet

APP = "m--main"
CHAT, EMBED = ChatTask("r", {"model": "m", "stream": True}), EmbedTask("r", ("text",))


class Lazy:
    """Every model is cold until `loaded` is set; `fails`: what its loads end with. Counts the loads."""

    def __init__(self, *apps: str) -> None:
        self.known: dict[str, VariantState] = {app: VariantState("cold") for app in apps or (APP,)}
        self.loaded = asyncio.Event()
        self.fails: Exception | None = None
        self.loads = 0
        self.unloaded: list[str] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def states(self) -> Mapping[str, VariantState]:
        return dict(self.known)

    async def inspect(self) -> Mapping[str, VariantState]:
        return self.states()

    async def each(self, app: str, task: Task[Any]) -> list[Any]:
        return []

    async def load(self, app: str) -> None:
        self.loads += 1
        await self.loaded.wait()
        if self.fails is not None:
            raise self.fails
        self.known[app] = VariantState("ready")

    async def unload(self, app: str) -> None:
        self.unloaded.append(app)

    async def call(self, target: Target, task: Task[Any]) -> Any:
        self._must_be_up(target)
        return "answered"

    async def stream(self, target: Target, task: StreamTask[Any]) -> AsyncGenerator[Any, None]:
        self._must_be_up(target)
        yield "one"
        yield "two"

    def _must_be_up(self, target: Target) -> None:
        if not self.known[target.app].ready:
            raise NotReady("the model is loading")


def known(**more: Any) -> Catalogue:
    model = {"scale": {"replicas": [0, 1]}, **more}
    return Catalogue(fleet(m=model, spare={}))


def target(lazy: Lazy, catalogue: Catalogue) -> Target:
    return catalogue.target("m", "chat", None, Cold(lazy).states())


async def streamed(cold: Cold | Fallbacks, to: Target) -> list[Any]:
    return [item async for item in cold.stream(to, CHAT)]


async def steps() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_wait_for_one_load() -> None:
    lazy, catalogue = Lazy(), known()
    cold = Cold(lazy)
    waiting = [asyncio.create_task(streamed(cold, target(lazy, catalogue))) for _ in range(25)]
    waiting += [asyncio.create_task(cold.call(target(lazy, catalogue), EMBED)) for _ in range(25)]  # type: ignore[arg-type]
    await steps()
    assert not any(one.done() for one in waiting)
    assert cold.states()[APP].readiness == "loading"
    lazy.loaded.set()
    answers = await asyncio.gather(*waiting)
    assert answers == [["one", "two"]] * 25 + ["answered"] * 25
    assert lazy.loads == 1


async def test_the_load_survives_who_asked() -> None:
    lazy, catalogue = Lazy(), known()
    cold = Cold(lazy)
    asking = asyncio.create_task(streamed(cold, target(lazy, catalogue)))
    await steps()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    lazy.loaded.set()
    await steps()
    assert lazy.known[APP].ready
    assert lazy.loads == 1


async def test_the_bound() -> None:
    lazy, catalogue = Lazy(), known(wait_s=0.01)
    cold, asked = Cold(lazy), target(lazy, catalogue)
    with pytest.raises(NotReady) as caught:
        await streamed(cold, asked)
    assert (caught.value.code, "`m` is loading since" in caught.value.message) == ("model_loading", True)
    assert not asked.held.is_set()
    lazy.loaded.set()
    await steps()
    assert await streamed(cold, target(lazy, catalogue)) == ["one", "two"]
    assert lazy.loads == 1


async def test_it_is_told_that_somebody_waits() -> None:
    lazy, catalogue = Lazy(), known()
    cold, asked = Cold(lazy), target(lazy, catalogue)
    asking = asyncio.create_task(streamed(cold, asked))
    await steps()
    assert asked.held.is_set()
    lazy.loaded.set()
    await asking
    assert not asked.held.is_set()


async def test_no_patience_at_all_still_loads() -> None:
    lazy, catalogue = Lazy(), known(wait_s=0)
    cold = Cold(lazy)
    with pytest.raises(NotReady):
        await streamed(cold, target(lazy, catalogue))
    await steps()
    assert lazy.loads == 1


async def test_a_load_that_fails_is_told_to_all_and_tried_anew() -> None:
    lazy, catalogue = Lazy(), known()
    cold = Cold(lazy)
    lazy.fails = ModelDown("it is down")
    lazy.loaded.set()
    for _ in range(2):
        with pytest.raises(ModelDown):
            await streamed(cold, target(lazy, catalogue))
    assert lazy.loads == 2


async def test_one_that_went_meanwhile_is_loaded_again() -> None:
    """The states of the door are a moment old: Serve may have let it go in that moment."""
    lazy, catalogue = Lazy(), known()
    cold = Cold(lazy)
    lazy.loaded.set()
    asked = catalogue.target("m", "chat", None, {APP: VariantState("ready")})
    assert await streamed(cold, asked) == ["one", "two"]
    assert await cold.call(asked, EMBED) == "answered"
    assert lazy.loads == 1


@pytest.mark.parametrize("error", [ModelDown("down"), EngineFailed("broke")])
async def test_other_failures_pass(error: GatewayError) -> None:
    class Broken(Lazy):
        def _must_be_up(self, target: Target) -> None:
            raise error

    lazy = Broken()
    lazy.known[APP] = VariantState("ready")
    with pytest.raises(type(error)):
        await streamed(Cold(lazy), target(lazy, known()))
    assert lazy.loads == 0


async def test_a_fallback_answers_while_it_loads() -> None:
    lazy, catalogue = Lazy(), known(fallback=["spare"])
    lazy.known["spare--main"] = VariantState("ready")
    chain = Fallbacks(Cold(lazy), catalogue)
    asked = catalogue.target("m", "chat", None, chain.states())
    assert await streamed(chain, asked) == ["one", "two"]
    assert asked.passed == (("m", "model_loading"),)
    lazy.loaded.set()
    await steps()
    assert lazy.known[APP].ready


async def test_a_fallback_waits_its_turn_where_that_is_wanted() -> None:
    lazy, catalogue = Lazy(), known(fallback=["spare"], wait_s=60)
    chain = Fallbacks(Cold(lazy), catalogue)
    asked = catalogue.target("m", "chat", None, chain.states())
    asking = asyncio.create_task(streamed(chain, asked))
    await steps()
    assert asked.held.is_set()
    lazy.loaded.set()
    assert await asking == ["one", "two"]
    assert asked.passed == ()


async def test_a_cold_variant_wakes_while_another_answers() -> None:
    variant = {"engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}
    split = {
        "task": "chat",
        "traffic": {"stable": 1, "canary": 99},
        "variants": {"stable": variant, "canary": {**variant, "scale": {"replicas": [0, 1]}}},
    }
    catalogue, lazy = Catalogue(fleet(m=split)), Lazy("m--canary")
    lazy.known["m--stable"] = VariantState("ready")
    cold = Cold(lazy)
    for _ in range(50):
        asked = catalogue.target("m", "chat", None, cold.states())
        assert asked.variant == "stable"
        assert await streamed(cold, asked) == ["one", "two"]
    await steps()
    assert lazy.loads == 1
    lazy.loaded.set()
    await steps()
    assert catalogue.target("m", "chat", "ann", cold.states()).trouble is None


async def test_a_use_of_a_loaded_one_is_no_load() -> None:
    lazy = Lazy()
    cold = Cold(lazy)
    lazy.loaded.set()
    await cold.load(APP)
    usual = cold._loads.usual(APP)
    await cold.load(APP)
    assert lazy.loads == 2
    assert cold._loads.usual(APP) == usual
    await cold.unload(APP)
    assert lazy.unloaded == [APP]
