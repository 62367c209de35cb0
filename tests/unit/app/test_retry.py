"""Who is asked once more, where, and who is not; by an upstream whose replicas end as they are told."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from app.catalogue import Catalogue, Target
from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from app.upstream.retry import Retries
from backends.contract.errors import (
    EngineFailed,
    GatewayError,
    InvalidRequest,
    ModelDown,
    NotReady,
    Overloaded,
)
from backends.contract.state import ReplicaState, VariantState
from backends.contract.tasks import ChatTask, EmbedTask, RerankTask, SpeakTask, StreamTask, TranscribeTask

from .conftest import fleet

READY = VariantState("ready", replicas=(ReplicaState("here", 1),))
FAKE: dict[str, Any] = {"engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}


@dataclass
class Told:
    """Per attempt, in turn: items to yield, errors to raise."""

    does: list[list[Any]]
    states_of: dict[str, VariantState] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    under_way: int = 0

    def states(self) -> Mapping[str, VariantState]:
        return {"a--main": READY, "a--other": READY, **self.states_of}

    async def call(self, target: Target, task: Any) -> Any:
        return [item async for item in self.stream(target, task)]

    async def stream(self, target: Target, task: Any) -> AsyncGenerator[Any, None]:
        self.asked.append(target.app)
        assert not self.under_way
        self.under_way += 1
        try:
            for item in self.does[len(self.asked) - 1]:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.under_way -= 1


def known(*replicas: int, other: int = 0) -> Catalogue:
    """A model with a variant `main` of so many replicas, and one of another weight."""
    main = {**FAKE, "scale": {"replicas": list(replicas)}}
    variants = {"main": main, "other": FAKE} if other else {"main": main}
    traffic = {"main": 100 - other, "other": other} if other else {}
    return Catalogue(fleet(a={"task": "chat", "variants": variants, "traffic": traffic}))


TASKS = [
    ChatTask("r", {"stream": True}),
    ChatTask("r", {"stream": False}),
    TranscribeTask("r", b"x"),
    SpeakTask("r", "x", "v"),
    EmbedTask("r", ("x",)),
    RerankTask("r", "x", ("y",)),
]


async def ask(told: Told, catalogue: Catalogue, task: Any) -> tuple[Target, list[Any] | str]:
    upstream = Retries(told, catalogue)  # type: ignore[arg-type]
    target = Target("a--main", "a", "main", "fake", "chat", 10.0, alone_s=10.0)
    target.single = catalogue.fleet.models["a"].variants["main"].scale.replicas == (1, 1)
    try:
        if isinstance(task, StreamTask):
            return target, [item async for item in upstream.stream(target, task)]
        return target, await upstream.call(target, task)
    except GatewayError as error:
        return target, error.code


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
async def test_another_replica(task: Any) -> None:
    told = Told([[ModelDown("x")], ["1", "2"]])
    target, items = await ask(told, known(2, 2), task)
    assert items == ["1", "2"]
    assert told.asked == ["a--main"] * 2
    assert (target.retried, target.variant) == ("model_down", "main")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
async def test_another_variant(task: Any) -> None:
    told = Told([[ModelDown("x")], ["1", "2"]])
    target, items = await ask(told, known(1, 1, other=10), task)
    assert items == ["1", "2"]
    assert told.asked == ["a--main", "a--other"]
    assert (target.app, target.variant, target.retried) == ("a--other", "other", "model_down")


async def test_there_is_no_elsewhere() -> None:
    told = Told([[ModelDown("x")]])
    target, code = await ask(told, known(1, 1), TASKS[-1])
    assert (code, told.asked, target.retried) == ("model_down", ["a--main"], None)
    down = {"a--other": VariantState("down")}
    _, code = await ask(Told([[ModelDown("x")]], down), known(1, 1, other=10), TASKS[-1])
    assert code == "model_down"


async def test_none_without_weight() -> None:
    catalogue = Catalogue(
        fleet(
            a={
                "task": "chat",
                "variants": {"main": FAKE, "other": FAKE},
                "traffic": {"main": 100, "other": 0},
            }
        )
    )
    assert (await ask(Told([[ModelDown("x")]]), catalogue, TASKS[-1]))[1] == "model_down"


async def test_the_others_of_a_variant_that_is_left_alone_are_not_asked() -> None:
    told = Told([[ModelDown("x")], ["1"]], {"a--main": VariantState("ready", circuit="half-open")})
    await ask(told, known(2, 2, other=10), TASKS[-1])
    assert told.asked == ["a--main", "a--other"]


@pytest.mark.parametrize("error", [InvalidRequest("x"), Overloaded("x"), EngineFailed("x")])
async def test_what_an_engine_says_stands(error: GatewayError) -> None:
    told = Told([[error], ["1"]])
    target, code = await ask(told, known(2, 2, other=10), TASKS[-1])
    assert (code, target.retried, len(told.asked)) == (error.code, None, 1)


async def test_once() -> None:
    told = Told([[ModelDown("x")], [NotReady("y")], ["1"]])
    _, code = await ask(told, known(2, 2), TASKS[-1])
    assert (code, len(told.asked)) == ("model_loading", 2)


async def test_never_after_the_first_item() -> None:
    for task in (TASKS[0], TASKS[3]):
        told = Told([["1", ModelDown("x")], ["2"]])
        assert (await ask(told, known(2, 2), task))[1] == "model_down"
        assert len(told.asked) == 1


async def test_of_one_document_nothing_has_gone_out_before_its_end() -> None:
    for task in (TASKS[1], TASKS[2]):
        told = Told([["1", ModelDown("x")], ["1", "2"]])
        assert (await ask(told, known(2, 2), task))[1] == ["1", "2"]


async def test_a_stream_that_is_left_is_closed() -> None:
    told = Told([[ModelDown("x")], ["1", "2", "3"]])
    catalogue = known(2, 2)
    target = Target("a--main", "a", "main", "fake", "chat", 10.0)
    stream = Retries(told, catalogue).stream(target, TASKS[0])  # type: ignore[arg-type, type-var]
    assert await anext(stream) == "1"
    await stream.aclose()
    assert not told.under_way


class Dying(LocalUpstream):
    """The first that it is asked, its process does not live to answer."""

    died = False

    async def call(self, target: Target, task: Any) -> Any:
        if not self.died:
            self.died = True
            raise ModelDown("the process ended")
        return await super().call(target, task)


async def test_an_answer_says_that_it_is_the_second() -> None:
    two = fleet(a={"task": "embed", "scale": {"replicas": [1, 2]}})
    app = create_app(Settings(_env_file=None), two, Dying.from_fleet(two))
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://door") as client:
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0)
            body = {"model": "a", "input": "x"}
            second = await client.post("/v1/embeddings", json=body)
            assert (second.status_code, second.headers["x-motley-retry"]) == (200, "model_down")
            first = await client.post("/v1/embeddings", json=body)
            assert "x-motley-retry" not in first.headers
            told = (await client.get("/metrics")).text
    labels = 'model="a",reason="model_down",variant="main",verb="embed"'
    assert f"motley_retries_total{{{labels}}} 1.0" in told
