"""The batcher by a model that computes when the test says so: who is in which batch, and what becomes of
those who leave. And `to_the_end`, which waits for its thread."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from backends.contract.errors import InvalidRequest, ModelDown, Overloaded
from backends.microbatch import PADDING, SMALL, Batcher, to_the_end

MOST_TOKENS, MOST, MOST_WAITING = 100, 16, 2500
Item = list[str]


class Asked:
    """Texts of words; a row of an item is (how many words, the number in its first)."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def read(self, index: int, encoding: Any) -> Item | None:
        if encoding is None:
            raise InvalidRequest("not Unicode", param="input")
        if encoding == ["skip"]:
            return None
        if encoding == ["refuse"]:
            raise InvalidRequest("no", param="input")
        return list(encoding)

    def finish(self, rows: np.ndarray) -> list[list[float]]:
        found: list[list[float]] = rows.tolist()
        return found


class Computed:
    def __init__(self, model: "Model", items: list[Item]) -> None:
        self.model, self.items = model, items
        self.stopped, self.released = threading.Event(), threading.Event()
        model.batches.append(self)

    def result(self) -> np.ndarray:
        while not (self.model.going.is_set() or self.released.wait(0.002) or self.stopped.is_set()):
            pass
        if self.stopped.is_set():
            raise RuntimeError("stopped")
        if self.model.broken:
            raise RuntimeError("broken")
        return np.array([[len(item), float(item[0])] for item in self.items], np.float32)

    def stop(self) -> None:
        self.stopped.set()


class Model:
    """`going`: whether it computes; else the batch in it waits."""

    def __init__(self) -> None:
        self.batches: list[Computed] = []
        self.going = threading.Event()
        self.going.set()
        self.broken = False
        self.batcher = Batcher(
            encode, lambda items: Computed(self, items),
            most_tokens=MOST_TOKENS, most=MOST, most_waiting=MOST_WAITING,
        )  # fmt: skip

    def ask(self, *texts: str) -> "asyncio.Task[list[list[float]]]":
        return asyncio.create_task(self.batcher.ask(Asked(*texts)))

    async def held(self, *texts: str) -> "asyncio.Task[list[list[float]]]":
        """A request in a batch that does not end before `going`."""
        self.going.clear()
        before = len(self.batches)
        asking = self.ask(*texts)
        while len(self.batches) == before:
            await asyncio.sleep(0.001)
        return asking

    def firsts(self, batch: int) -> set[str]:
        return {item[0] for item in self.batches[batch].items}


def encode(texts: Sequence[str]) -> list[Any]:
    if any("\ud800" in text for text in texts):
        raise TypeError("a surrogate")
    return [text.split() for text in texts]


def words(number: int, count: int) -> str:
    return " ".join([str(number)] * count)


@pytest_asyncio.fixture
async def model() -> AsyncIterator[Model]:
    made = Model()
    yield made
    made.going.set()
    made.batcher.close()


async def settled() -> None:
    """Long enough for what was asked to be read."""
    await asyncio.sleep(0.05)


async def test_any_texts_of_any_callers_come_back_as_they_went(model: Model) -> None:
    """By seeds: every row at its place, no batch over its bounds, little of any large one padding."""
    chance = random.Random(5)
    for _ in range(20):
        asked = [
            [words(chance.randrange(1000), chance.choice([1, 3, 20, 60, 150]) + chance.randrange(5))
             for _ in range(chance.choice([1, 1, 2, 90]))]
            for _ in range(chance.randrange(1, 9))
        ]  # fmt: skip
        answers = await asyncio.gather(*(model.ask(*texts) for texts in asked))
        for texts, answer in zip(asked, answers, strict=True):
            assert answer == [[len(text.split()), float(text.split()[0])] for text in texts]
    for batch in model.batches:
        lengths = [len(item) for item in batch.items]
        padded = len(lengths) * max(lengths)
        assert len(lengths) == 1 or (padded <= MOST_TOKENS and len(lengths) <= MOST)
        assert padded <= MOST_TOKENS * SMALL or sum(lengths) >= (1 - PADDING) * padded - 1e-6
    assert max(len(batch.items) for batch in model.batches) > 8


async def test_single_texts_of_many_callers_are_one_batch(model: Model) -> None:
    first = await model.held("0 a")
    others = [model.ask(f"{number} a") for number in range(1, 13)]
    await settled()
    model.going.set()
    await asyncio.gather(first, *others)
    assert model.firsts(0) == {"0"}, "an idle model waits for nobody"
    assert model.firsts(1) == {str(number) for number in range(1, 13)}
    assert len(model.batches) == 2


async def test_a_single_text_passes_a_thousand_others(model: Model) -> None:
    large = [await model.held(*[words(7, 9)] * 500), model.ask(*[words(8, 9)] * 500)]
    await settled()
    single = model.ask("1 a")
    await settled()
    model.going.set()
    await asyncio.gather(single, *large)
    assert any("1" in model.firsts(batch) for batch in (1, 2))


async def test_a_large_request_goes_on_among_single_texts(model: Model) -> None:
    """However many come, of another length: every second batch is of who waited longest."""
    large = await model.held(*[words(7, 9)] * 110)
    singles = []
    for number in range(12):
        singles += [model.ask(words(number, 40)) for _ in range(2)]
        await settled()
        model.batches[number].released.set()
        while len(model.batches) == number + 1:
            await asyncio.sleep(0.001)
    model.going.set()
    await asyncio.gather(large, *singles)
    order = [{len(item) for item in batch.items} == {9} for batch in model.batches[:12]]
    assert 5 <= sum(order) <= 7, order


async def test_who_leaves_takes_what_waits_along(model: Model) -> None:
    first = await model.held("0 a")
    leaver, stayer = model.ask(*["1 a"] * 200), model.ask("2 a")
    await settled()
    leaver.cancel()
    await asyncio.wait({leaver})
    model.going.set()
    await asyncio.gather(first, stayer)
    assert [model.firsts(batch) for batch in range(len(model.batches))] == [{"0"}, {"2"}]


async def test_who_leaves_alone_ends_the_batch_and_waits_for_its_end(model: Model) -> None:
    leaver = await model.held("1 a")
    leaver.cancel()
    await asyncio.sleep(0)
    leaver.cancel()  # an impatient one
    await asyncio.wait({leaver})
    assert leaver.cancelled()
    assert model.batches[0].stopped.is_set()
    model.going.set()
    assert await model.ask("2 a") == [[2, 2]]
    assert not model.batcher.failed


async def test_who_leaves_company_does_not_end_its_batch(model: Model) -> None:
    first = await model.held("0 a")
    leaver, stayer = model.ask("1 a"), model.ask("2 a")
    await settled()
    model.going.set()
    await first
    model.going.clear()
    while len(model.batches) < 2:
        await asyncio.sleep(0.001)
    leaver.cancel()
    await asyncio.wait({leaver})
    assert not model.batches[1].stopped.is_set()
    model.going.set()
    assert await stayer == [[2, 2]]


async def test_what_waits_is_bounded(model: Model) -> None:
    large = await model.held(*["0 a"] * MOST_WAITING)
    with pytest.raises(Overloaded) as refused:
        await model.ask("1 a")
    assert refused.value.retry_after
    model.going.set()
    await large
    assert await model.ask("1 a") == [[2, 1]]
    assert len(await model.ask(*["1 a"] * 2 * MOST_WAITING)) == 2 * MOST_WAITING, "whole where nothing waits"


@pytest.mark.parametrize("bad", ["refuse", "\ud800"])
async def test_a_bad_text_is_its_callers_alone(model: Model, bad: str) -> None:
    first = await model.held("0 a")
    good, failing, other = model.ask("1 a", "2 a"), model.ask(*["3 a"] * 100, bad), model.ask("4 a")
    await settled()
    model.going.set()
    with pytest.raises(InvalidRequest):
        await failing
    assert await good == [[2, 1], [2, 2]]
    assert (await other, await first) == ([[2, 4]], [[2, 0]])


async def test_what_is_read_need_be_no_item(model: Model) -> None:
    assert await model.ask("skip", "1 a", "2") == [[2, 1], [1, 2]]


async def test_a_broken_model_is_told_to_all_in_the_batch_and_seen(model: Model) -> None:
    first = await model.held("0 a")
    second = model.ask("1 a")
    await settled()
    model.broken = True
    model.going.set()
    for asking in (first, second):
        with pytest.raises(RuntimeError, match="broken"):
            await asking
    assert model.batcher.failed
    model.broken = False
    assert await model.ask("2 a") == [[2, 2]]
    assert not model.batcher.failed
    assert model.batcher.alive


async def test_closing_ends_everything(model: Model) -> None:
    first = await model.held("0 a")
    second = model.ask("1 a")
    await settled()
    model.batcher.close()
    for asking in (first, second, model.ask("2 a")):
        with pytest.raises(ModelDown):
            await asking
    assert not model.batcher.alive


async def test_a_cancelled_caller_waits_for_its_thread() -> None:
    stopped, ended = threading.Event(), threading.Event()

    def work() -> None:
        told = stopped.wait(2)
        time.sleep(0.02)  # what is left to do after being told
        if told:
            ended.set()

    caller = asyncio.create_task(to_the_end(work, stopped.set))
    await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.sleep(0)
    caller.cancel()  # an impatient one: still no thread is left behind
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_what_the_work_raises_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        await to_the_end(lambda: 1 // 0)
