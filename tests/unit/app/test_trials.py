"""Variants that are compared while they serve, at a clock of the test's own."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from app.catalogue import Catalogue, Target
from app.upstream import Layer
from app.upstream.local import LocalUpstream
from app.upstream.trials import AGAIN_S, Trials
from backends.contract.errors import EngineFailed, GatewayError, InvalidRequest, RateLimited
from backends.contract.tasks import ChatTask, EmbedTask
from backends.fleet.traffic import complete, shifted

from .conftest import fleet

VARIANT = {"engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}
MODEL: dict[str, Any] = {
    "task": "embed",
    "traffic": {"stable": 50, "canary": 50},
    "rollback": {"requests": 20, "window_s": 60},
    "variants": {"stable": VARIANT, "canary": VARIANT},
}
TASK = EmbedTask("req_1", ("a",))
CHAT = ChatTask("req_2", {"model": "m", "messages": []}, 0, "chat")


class Scripted(Layer):
    """Answers after `seconds` of a clock that it moves itself; fails where `fails` says so."""

    def __init__(self) -> None:
        super().__init__(LocalUpstream({}))
        self.now = 0.0
        self.seconds: Mapping[str, float] = {}
        self.fails: Mapping[str, BaseException] = {}

    async def call(self, target: Target, task: Any) -> Any:
        self.now += self.seconds.get(target.variant, 0.1)
        if error := self.fails.get(target.variant):
            raise error
        return None

    async def stream(self, target: Target, task: Any) -> AsyncGenerator[Any, None]:
        self.now += self.seconds.get(target.variant, 0.1)
        yield "first"
        self.now += 30
        if error := self.fails.get(target.variant):
            raise error
        yield "last"


class World:
    def __init__(self, **model: Any) -> None:
        self.catalogue, self.beneath = Catalogue(fleet(m={**MODEL, **model})), Scripted()
        self.told: list[tuple[str, str, str]] = []
        self.trials = Trials(
            self.beneath, self.catalogue, self.catalogue.shift, self.count, lambda: self.beneath.now
        )

    def count(self, *rollback: str) -> None:
        self.told.append(rollback)  # type: ignore[arg-type]

    @property
    def weights(self) -> dict[str, int]:
        return complete(self.catalogue.fleet.models["m"])

    async def ask(self, times: int = 60) -> None:
        """As often of each; whatever comes of it."""
        for number in range(times):
            target = self.target("stable" if number % 2 else "canary")
            with suppress(GatewayError, asyncio.CancelledError, RuntimeError):
                await self.trials.call(target, TASK)
            await asyncio.sleep(0)

    async def read(self, times: int = 60) -> None:
        for number in range(times):
            try:
                async for _ in self.trials.stream(self.target("stable" if number % 2 else "canary"), CHAT):
                    pass
            except GatewayError:
                pass
            await asyncio.sleep(0)

    def target(self, variant: str) -> Target:
        target = self.catalogue.at("m", "m", None, None)
        target.variant = variant
        return target


async def test_a_failing_one_loses_its_traffic(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.beneath.fails = {"canary": EngineFailed("broken")}
    await world.ask()
    assert world.weights == {"stable": 100, "canary": 0}
    assert world.told == [("m", "canary", "errors")]
    change = world.catalogue.public.traffic["m"]
    assert change.before == {"stable": 50, "canary": 50}
    assert change.why.startswith("canary did worse than stable: ")
    assert "requests failed" in change.why
    assert "m goes back to stable" in caplog.text


async def test_a_slow_one_loses_its_traffic() -> None:
    world = World()
    world.beneath.seconds = {"canary": 0.5}
    await world.ask()
    assert (world.weights["canary"], world.told) == (0, [("m", "canary", "latency")])


async def test_what_the_caller_did_wrong_does_not_count() -> None:
    for error in (InvalidRequest("no"), RateLimited("no"), asyncio.CancelledError()):
        world = World()
        world.beneath.fails = {"canary": error}
        await world.ask(200)
        assert (world.weights["canary"], world.told) == (50, [])


async def test_one_that_took_all_its_time_counts_as_failed() -> None:
    """Who ends a request at its time's end cancels it, as one who leaves does."""
    world = World(timeout_s=5, rollback={"window_s": 600})
    world.beneath.fails = {"canary": asyncio.CancelledError()}
    world.beneath.seconds = {"canary": 5}
    await world.ask()
    assert world.told == [("m", "canary", "errors")]


async def test_an_error_nobody_foresaw_counts() -> None:
    world = World()
    world.beneath.fails = {"canary": RuntimeError("?")}
    await world.ask()
    assert world.told == [("m", "canary", "errors")]


async def test_streams_count_by_their_first_item_and_their_end() -> None:
    world = World(rollback={"window_s": 6000})
    await world.read()
    assert world.told == []
    world.beneath.fails = {"canary": EngineFailed("broke")}
    await world.read()
    assert world.told == [("m", "canary", "errors")]
    world = World(rollback={"window_s": 6000})
    world.beneath.seconds = {"canary": 0.5}
    await world.read()
    assert world.told == [("m", "canary", "latency")]


async def test_a_stream_that_is_left_says_nothing() -> None:
    world = World(rollback={"window_s": 6000})
    for _ in range(60):
        stream = world.trials.stream(world.target("canary"), CHAT)
        assert await anext(stream) == "first"
        await stream.aclose()
    world.beneath.fails = {"stable": EngineFailed("broke")}
    assert world.told == []
    assert len(world.trials._trials["m"].windows["canary"].since(world.beneath.now)) == 0


async def test_without_a_policy_nothing_is_counted() -> None:
    world = World(rollback=None)
    world.beneath.fails = {"canary": EngineFailed("broken")}
    await world.ask()
    assert (world.weights["canary"], world.told) == (50, [])


async def test_other_weights_begin_another_trial() -> None:
    """What a variant did before somebody gave it traffic again is not held against it."""
    world = World()
    world.beneath.fails = {"canary": EngineFailed("broken")}
    await world.ask(38)  # 19 of each: one too few
    public = world.catalogue.public
    world.catalogue.update(shifted(public, "m", {"stable": 80, "canary": 20}, at=1))
    world.beneath.fails = {}
    await world.ask(38)
    assert world.told == []
    # The same fleet once more is no change.
    world.beneath.fails = {"canary": EngineFailed("broken")}
    world.catalogue.update(world.catalogue.public.model_copy(deep=True))
    await world.ask(40)
    assert world.weights == {"stable": 100, "canary": 0}


async def test_a_request_under_way_counts_for_the_weights_it_began_under() -> None:
    world = World()
    slow = world.trials.stream(world.target("canary"), CHAT)
    await anext(slow)
    world.catalogue.update(shifted(world.catalogue.public, "m", {"stable": 80, "canary": 20}, at=1))
    await world.ask(2)
    async for _ in slow:
        pass
    assert len(world.trials._trials["m"].windows["canary"].since(world.beneath.now - 30)) == 1


async def test_a_rollback_that_cannot_be_declared_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    world, tries = World(), list[str]()

    async def refuses(model: str, *_: object) -> bool:
        tries.append(model)
        raise ConnectionError("the controller is away")

    world.trials = Trials(world.beneath, world.catalogue, refuses, world.count, lambda: world.beneath.now)  # type: ignore[arg-type]
    world.beneath.fails = {"canary": EngineFailed("broken")}
    world.beneath.seconds = {"canary": AGAIN_S / 40, "stable": AGAIN_S / 40}
    await world.ask(200)
    assert len(tries) > 1
    assert world.told == []
    assert "could not be taken away" in caplog.text
