"""When a variant is left alone, and when it is tried again: the circuit by a virtual clock, then the
upstream over one that does as it is told."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.catalogue import Target
from app.upstream.circuit import LEAST, LONGEST_S, ONE_END_S, OPEN_S, WITHIN_S, Circuit, Circuits
from backends.contract.errors import (
    EngineFailed,
    GatewayError,
    InvalidRequest,
    ModelDown,
    NotReady,
    Overloaded,
    UpstreamTimeout,
)
from backends.contract.state import VariantState
from backends.contract.tasks import ChatTask, EmbedTask

from .conftest import Enter, fleet


def answered(circuit: Circuit, now: float, good: bool, *, ended: bool = False) -> None:
    era = circuit.enter(now)
    assert era is not None
    if good:
        circuit.good(era, now)
    else:
        circuit.bad(era, now, ended=ended)
    circuit.unknown(era)


def after(*answers: bool, every: float = 0.1) -> tuple[Circuit, float]:
    circuit, now = Circuit(), 0.0
    for good in answers:
        answered(circuit, now, good)
        now += every
    return circuit, now


BAD, GOOD = False, True


@pytest.mark.parametrize(
    ("answers", "condition"),
    [
        ([BAD] * (LEAST - 1), "closed"),
        ([BAD] * LEAST, "open"),
        # Half of the last twenty: not two in five, however long it goes on.
        ([GOOD, GOOD, GOOD, BAD, BAD] * 20, "closed"),
        ([GOOD] * 100 + [BAD] * 9, "closed"),
        ([GOOD] * 100 + [BAD] * 10, "open"),
        ([GOOD, BAD] * LEAST, "open"),
    ],
)
def test_when_it_opens(answers: list[bool], condition: str) -> None:
    circuit, now = after(*answers)
    assert circuit.condition(now) == condition


def test_failures_that_are_far_apart_do_not_add_up() -> None:
    circuit, now = after(*[BAD] * 50, every=WITHIN_S / (LEAST - 1) + 1)
    assert circuit.condition(now) == "closed"


def test_all_that_a_process_had_in_hand_is_one_failure() -> None:
    circuit = Circuit()
    for number in range(50):
        answered(circuit, number / 100, BAD, ended=True)
    assert circuit.condition(1.0) == "closed"
    # One that ends again and again is another matter.
    for number in range(1, LEAST):
        answered(circuit, number * (ONE_END_S + 0.5), BAD, ended=True)
    assert circuit.condition(LEAST * (ONE_END_S + 0.5) - 1) == "open"


def opened() -> tuple[Circuit, float]:
    circuit, _ = after(*[BAD] * LEAST, every=0.0)
    return circuit, OPEN_S


def test_while_it_is_open_nobody_is_let_through() -> None:
    circuit, due = opened()
    assert circuit.enter(due - 0.1) is None
    assert circuit.left(due - 0.1) == pytest.approx(0.1)


def test_then_one_alone() -> None:
    circuit, due = opened()
    assert circuit.condition(due) == "half-open"
    era = circuit.enter(due)
    assert era is not None
    assert circuit.enter(due) is None
    circuit.good(era, due + 1)
    assert circuit.condition(due + 1) == "closed"
    assert circuit.enter(due + 1) is not None
    # What was before is forgotten.
    answered(circuit, due + 1, BAD)
    assert circuit.condition(due + 1) == "closed"


def test_each_trial_that_fails_doubles_the_wait() -> None:
    circuit, due = opened()
    waits = []
    for _ in range(8):
        answered(circuit, due, BAD)
        waits.append(circuit.left(due))
        due += waits[-1]
    assert waits == [10, 20, 40, 60, 60, 60, 60, LONGEST_S]
    answered(circuit, due, GOOD)
    for _ in range(LEAST):
        answered(circuit, due, BAD)
    assert circuit.left(due) == OPEN_S


def test_a_trial_that_tells_nothing_leaves_it_to_the_next() -> None:
    circuit, due = opened()
    era = circuit.enter(due)
    assert era is not None
    circuit.unknown(era)
    assert circuit.condition(due) == "half-open"
    assert circuit.enter(due) is not None


def test_what_was_let_through_before_it_opened_says_nothing() -> None:
    circuit = Circuit()
    early = circuit.enter(0.0)
    assert early is not None
    for _ in range(LEAST):
        answered(circuit, 0.0, BAD)
    circuit.good(early, 1.0)
    circuit.bad(early, 1.0)
    assert circuit.left(0.0) == OPEN_S
    trial = circuit.enter(OPEN_S)
    assert trial is not None
    circuit.unknown(early)
    assert circuit.enter(OPEN_S) is None


@dataclass
class Told:
    """Does one thing, whatever it is asked."""

    does: Any = None
    asked: int = 0
    breaks: bool = False
    ready: Mapping[str, VariantState] = field(default_factory=lambda: {"a--main": VariantState("ready")})

    def states(self) -> Mapping[str, VariantState]:
        return self.ready

    async def inspect(self) -> Mapping[str, VariantState]:
        return self.ready

    async def call(self, target: Target, task: Any) -> Any:
        return [item async for item in self.stream(target, task)]

    async def stream(self, target: Target, task: Any) -> AsyncGenerator[Any, None]:
        self.asked += 1
        if isinstance(self.does, Exception):
            raise self.does
        if isinstance(self.does, float):
            await asyncio.sleep(self.does)
        yield "answer"
        if self.breaks:
            raise EngineFailed("x")


class Hands:
    """A circuit's upstream, whose clock stands until it is moved."""

    def __init__(self, does: Any = None) -> None:
        self.now = 0.0
        self.told = Told(does)
        self.upstream = Circuits(self.told, lambda: self.now)  # type: ignore[arg-type]

    async def ask(self, streamed: bool = False) -> str:
        target = Target("a--main", "a", "main", "fake", "chat", 10.0, alone_s=10.0)
        try:
            if streamed:
                _ = [item async for item in self.upstream.stream(target, ChatTask("r", {"stream": True}))]
            else:
                await self.upstream.call(target, EmbedTask("r", ("x",)))
        except GatewayError as error:
            return error.code
        return "ok"

    @property
    def state(self) -> VariantState:
        return self.upstream.states()["a--main"]


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("error", [EngineFailed("x"), UpstreamTimeout("x")])
async def test_failures_open_it(error: GatewayError, streamed: bool) -> None:
    hands = Hands(error)
    for _ in range(LEAST):
        assert await hands.ask(streamed) == error.code
    assert (hands.state.readiness, hands.state.circuit, hands.state.retry_s) == ("down", "open", OPEN_S)
    assert (await hands.upstream.inspect())["a--main"] == hands.state
    # Who asks all the same is refused, and the engine is left alone.
    assert await hands.ask(streamed) == "model_down"
    assert hands.told.asked == LEAST
    hands.now, hands.told.does = OPEN_S, None
    assert (hands.state.readiness, hands.state.circuit) == ("ready", "half-open")
    assert await hands.ask(streamed) == "ok"
    assert (hands.state.readiness, hands.state.circuit) == ("ready", "closed")


@pytest.mark.parametrize("error", [InvalidRequest("x"), Overloaded("x"), NotReady("x")])
async def test_what_is_no_failure(error: GatewayError) -> None:
    hands = Hands(error)
    for _ in range(10 * LEAST):
        assert await hands.ask() == error.code
    assert hands.state.circuit == "closed"


async def test_the_end_of_a_process_is_one_failure() -> None:
    hands = Hands(ModelDown("x"))
    for _ in range(10 * LEAST):
        await hands.ask()
    assert hands.state.circuit == "closed"
    for _ in range(LEAST):
        hands.now += ONE_END_S + 1
        await hands.ask()
    assert hands.state.circuit == "open"


@pytest.mark.parametrize(("waited", "condition"), [(1.0, "closed"), (9.9, "open")])
async def test_one_who_leaves_tells_nothing_but_time_that_is_up_does(waited: float, condition: str) -> None:
    hands = Hands(60.0)
    for number in range(LEAST):
        asking = asyncio.create_task(hands.ask())
        while hands.told.asked == number:
            await asyncio.sleep(0)
        hands.now += waited
        asking.cancel()
        await asyncio.wait({asking})
    assert hands.state.circuit == condition


async def test_a_stream_that_breaks_is_a_failure_and_no_answer_besides() -> None:
    hands = Hands()
    hands.told.breaks = True
    for _ in range(LEAST):
        assert await hands.ask(streamed=True) == "engine_failed"
    assert hands.state.circuit == "open"


async def test_a_half_open_one_lets_one_of_many_through() -> None:
    hands = Hands(EngineFailed("x"))
    for _ in range(LEAST):
        await hands.ask()
    hands.now, hands.told.does = OPEN_S, 0.01
    answers = await asyncio.gather(*(hands.ask() for _ in range(20)))
    assert sorted(answers) == ["model_down"] * 19 + ["ok"]


async def test_through_the_door(enter: Enter) -> None:
    client = await enter(fleet(a={}, b={}))

    async def ask(model: str, script: str) -> tuple[int, str, str]:
        body = {"model": model, "messages": [{"role": "user", "content": script}]}
        answer = await client.post("/v1/chat/completions", json=body)
        return answer.status_code, answer.headers.get("retry-after", ""), answer.json().get("model", "")

    for _ in range(LEAST):
        assert (await ask("a", "!bug"))[0] == 502
    status, retry_after, _ = await ask("a", "hello")
    assert (status, int(retry_after)) == (503, OPEN_S)
    told = (await client.get("/v1/fleet")).json()["models"]["a"]["variants"]["main"]
    assert (told["state"], told["circuit"]) == ("down", "open")
    gauges = (await client.get("/metrics")).text
    assert 'motley_variant_circuit{app="a--main"} 1.0' in gauges
    assert 'motley_variant_circuit{app="b--main"} 0.0' in gauges
    assert await ask("b", "hello") == (200, "", "b")
