"""vLLM in a slot, by a stand-in for it: asleep while others have its place, and then the same process."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.contract.engine import GpuShare, ModelRef
from backends.engines.fake import Fake
from backends.engines.vllm import Vllm
from backends.host import Host
from backends.slots.slot import Slot
from backends.slots.turns import Room, Turns
from tests.vllm.standing import asked, engine, gone, until

CARD = GpuShare(0.5, "nvidia", 80 * 2**30)


def slot(notes: Path, sleep: bool) -> Slot:
    made: dict[str, Callable[[], Host]] = {
        "vllm": lambda: Host(engine(notes, share=CARD, sleep=sleep)),
        "fake": lambda: Host(Fake(ModelRef("f", "chat", "builtin://fake"), Fake.Options(), GpuShare())),
    }
    return Slot(made, Turns(Room(most=1), dict.fromkeys(made, 0)))


def pid(one: Slot) -> int:
    found = one.hosts()["vllm"].engine
    assert isinstance(found, Vllm)
    return found.pid


async def events(one: Slot) -> int:
    answer = [item async for batch in one.stream("vllm", asked("hello", stream=True)) for item in batch]
    return len(answer)


def states(one: Slot) -> dict[str, str]:
    return {name: state.readiness for name, state in one.states("here", 7).items()}


@pytest.mark.parametrize("sleep", [True, False])
async def test_it_sleeps_where_it_may(tmp_path: Path, sleep: bool) -> None:
    one = slot(tmp_path, sleep)
    await one.load("vllm")
    first = pid(one)
    await one.load("fake")
    assert states(one) == {"vllm": "cold", "fake": "ready"}
    assert gone(first) is not sleep
    await one.load("vllm")
    assert (pid(one) == first) is sleep
    assert await events(one)
    await one.close()
    await until(lambda: gone(first))


async def test_one_that_dies_in_its_sleep_is_loaded_anew(tmp_path: Path) -> None:
    one = slot(tmp_path, True)
    await one.load("vllm")
    first = pid(one)
    await one.load("fake")
    os.killpg(first, signal.SIGKILL)
    await until(lambda: gone(first))
    await one.load("vllm")
    assert pid(one) != first
    assert await events(one)
    await one.close()


async def test_unloaded_by_an_operator_it_ends(tmp_path: Path) -> None:
    one = slot(tmp_path, True)
    await one.load("vllm")
    first = pid(one)
    one.unload("vllm")
    await until(lambda: gone(first))
    assert not one.hosts()
    await one.close()
