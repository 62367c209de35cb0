"""Batches by token budget, turns, and cancellation that waits for the thread."""

import asyncio
import threading
import time

import pytest

from backends.microbatch import Turns, batches, to_the_end


def test_batches_hold_every_item_once_within_both_bounds() -> None:
    lengths = [3, 90, 4, 4, 50, 3, 17, 3, 3, 200]
    cut = batches(lengths, most_tokens=100, most=3)
    assert sorted(index for batch in cut for index in batch) == list(range(len(lengths)))
    for batch in cut:
        padded = len(batch) * max(lengths[index] for index in batch)
        assert len(batch) == 1 or (len(batch) <= 3 and padded <= 100)
    assert cut[0] == [9], "an item over the budget goes alone, and the longest first"


def test_equal_items_fill_a_batch() -> None:
    assert [len(batch) for batch in batches([10] * 25, most_tokens=100, most=32)] == [10, 10, 5]
    assert batches([], 10, 10) == []


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
        await Turns().take(lambda: 1 // 0)


async def test_turns_alternate_and_never_overlap() -> None:
    turns, seen, running = Turns(), [], []

    def step(name: str) -> None:
        running.append(name)
        assert len(running) == 1
        time.sleep(0.001)
        seen.append(running.pop())

    async def caller(name: str, steps: int) -> None:
        for _ in range(steps):
            await turns.take(lambda: step(name))

    await asyncio.gather(caller("long", 12), caller("short", 3))
    assert seen[:6].count("short") == 3, seen


async def test_who_leaves_the_queue_passes_the_turn_on() -> None:
    turns, gate = Turns(), threading.Event()
    first = asyncio.create_task(turns.take(lambda: gate.wait(10)))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(turns.take(lambda: pytest.fail("it was cancelled")))
    third = asyncio.create_task(turns.take(lambda: "third"))
    await asyncio.sleep(0)
    second.cancel()
    gate.set()
    assert await third == "third"
    assert await first is True
