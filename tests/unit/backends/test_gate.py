"""As many at once as may, the others in turns."""

import asyncio

import pytest

from backends.contract.errors import Overloaded
from backends.contract.tasks import NOBODY, Asker
from backends.gate import Gate

ANN, BOB = Asker("ann"), Asker("bob")


class Queue:
    """Tasks at a gate, each of which runs until it is told to end. `begun`: in that order."""

    def __init__(self, limit: int, most: int) -> None:
        self.gate, self.begun = Gate(limit, most), list[str]()
        self.ends, self.tasks = dict[str, asyncio.Event](), dict[str, asyncio.Task[None]]()

    async def come(self, name: str, asker: Asker = NOBODY) -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name, asker))
        await settled()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await settled()

    async def _run(self, name: str, asker: Asker) -> None:
        async with self.gate.entered(asker):
            self.begun.append(name)
            await self.ends[name].wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_keys_take_turns() -> None:
    queue = Queue(1, 9)
    for name in ("a0", "a1", "a2"):
        await queue.come(name, ANN)
    await queue.come("b0", BOB)
    assert (queue.gate.running, queue.gate.waiting) == (1, 3)
    for name in ("a0", "b0", "a1", "a2"):
        assert queue.begun[-1] == name
        await queue.end(name)
    assert (queue.gate.running, queue.gate.waiting) == (0, 0)


async def test_one_more_than_may_wait() -> None:
    queue = Queue(1, 2)
    for name in ("a0", "a1", "a2", "a3"):
        await queue.come(name, ANN)
    with pytest.raises(Overloaded):
        await queue.tasks["a3"]
    await queue.come("b0", BOB)
    with pytest.raises(Overloaded):
        await queue.tasks["a2"]
    await queue.end("a0")
    await queue.end("b0")
    assert queue.begun == ["a0", "b0", "a1"]
    await queue.end("a1")


async def test_where_nobody_may_wait() -> None:
    gate = Gate(1, 0)
    async with gate.entered(ANN):
        with pytest.raises(Overloaded):
            async with gate.entered(BOB):
                raise AssertionError
    async with gate.entered(BOB):
        pass


async def test_who_leaves_while_it_waits_and_as_its_turn_comes() -> None:
    queue = Queue(1, 9)
    for name in ("0", "1", "2", "3"):
        await queue.come(name)
    queue.tasks["1"].cancel()
    await settled()
    assert queue.gate.waiting == 2
    # In one step: its turn comes, and it has been told to go.
    queue.tasks["2"].cancel()
    await queue.end("0")
    assert queue.begun == ["0", "3"]
    queue.ends["3"].set()
    await queue.tasks["3"]
    assert (queue.gate.running, queue.gate.waiting) == (0, 0)


async def test_granted_and_cancelled_in_one_step() -> None:
    queue = Queue(1, 9)
    await queue.come("0")
    await queue.come("1")
    queue.gate.change(2, 9)  # its turn has come, it does not know yet
    queue.tasks["1"].cancel()
    await settled()
    assert (queue.gate.running, queue.gate.waiting) == (1, 0)
    await queue.end("0")
    assert queue.gate.running == 0


async def test_other_limits_while_it_serves() -> None:
    queue = Queue(3, 9)
    for number in range(5):
        await queue.come(str(number))
    queue.gate.change(1, 9)
    await queue.end("0")
    await queue.end("1")
    assert (queue.gate.running, queue.gate.waiting) == (1, 2)
    queue.gate.change(2, 9)
    await settled()
    assert queue.gate.running == 2
    for number in range(2, 5):
        await queue.end(str(number))
    assert (queue.gate.running, queue.gate.waiting) == (0, 0)


async def test_what_fails_gives_its_place_back() -> None:
    gate = Gate(1, 0)

    async def fail() -> None:
        async with gate.entered(NOBODY):
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await fail()
    assert gate.running == 0
