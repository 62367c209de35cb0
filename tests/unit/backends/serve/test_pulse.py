"""What a door finds out of a replica: the verdicts by a virtual clock, the connection over loopback."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from backends.serve.pulse import PATIENCE_S, Condition, Pulse, Pulses, Vital

ID, OTHER = "a1", "b2"


def vital(*events: tuple[str, float] | tuple[str, float, str]) -> Vital:
    one = Vital(ID)
    for name, now, *line in events:
        getattr(one, name)(*line, now)
    return one


ALIVE = ("heard", 0.0, ID)
LATER = 1.0 + PATIENCE_S


@pytest.mark.parametrize(
    ("events", "condition"),
    [
        ([ALIVE], "alive"),
        # A process that ended: at once, and for good.
        ([ALIVE, ("broke", 1.0)], "suspect"),
        ([ALIVE, ("broke", 1.0), ("refused", 1.0)], "dead"),
        ([ALIVE, ("broke", 1.0), ("refused", 1.0), ("heard", 2.0, ID)], "dead"),
        # Another process has its port.
        ([ALIVE, ("broke", 1.0), ("heard", 1.0, OTHER)], "dead"),
        # A machine that is silent: after a while, and until it is there again.
        ([ALIVE, ("broke", 1.0), ("failed", 1.1)], "suspect"),
        ([ALIVE, ("broke", 1.0), ("failed", 1.1), ("failed", LATER)], "gone"),
        ([ALIVE, ("broke", 1.0), ("failed", LATER), ("heard", 9.0, ID)], "alive"),
        ([ALIVE, ("broke", 1.0), ("failed", LATER), ("refused", 9.0)], "dead"),
        # A proxy in between takes every connection, and closes it when it finds nobody.
        ([ALIVE, ("broke", 1.0), ("broke", 1.1), ("broke", LATER)], "gone"),
        # The connection alone broke; the process is slow to greet again, and nothing is held against it.
        ([ALIVE, ("broke", 1.0), ("heard", 60.0, ID)], "alive"),
        # It stopped in good order: what it still owes is answered.
        ([ALIVE, ("heard", 1.0, "bye"), ("broke", 1.0), ("refused", 1.1)], "left"),
        # Where no such connection ever came about, there is no verdict.
        ([("refused", 1.0)], "new"),
        ([("failed", 1.0), ("failed", 99.0)], "new"),
        ([("broke", 1.0), ("refused", 2.0)], "new"),
    ],
)
def test_verdicts(events: list[tuple[str, float]], condition: Condition) -> None:
    assert vital(*events).condition == condition


def test_only_the_gone_and_the_dead_have_fallen() -> None:
    conditions: tuple[Condition, ...] = ("new", "alive", "suspect", "gone", "dead", "left")
    assert [one for one in conditions if Vital(ID, one).fallen] == ["gone", "dead"]


class Watched:
    """Pulses, and the fallen as often as that changed."""

    def __init__(self) -> None:
        self.told: list[frozenset[str]] = []
        self.pulses = Pulses(lambda: self.told.append(self.pulses.fallen()))

    async def until(self, condition: Condition) -> None:
        async with asyncio.timeout(30):
            while self.pulses.conditions()[ID] != condition:
                await asyncio.sleep(0.01)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    one = Watched()
    yield one
    await one.pulses.close()


REPLICA = """
import asyncio, sys
from backends.serve.pulse import Pulse
async def main():
    print(await Pulse("a1").start("127.0.0.1"), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture
def replica() -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    ended = []

    def start() -> "subprocess.Popen[str]":
        one = subprocess.Popen([sys.executable, "-c", REPLICA], stdout=subprocess.PIPE, text=True)
        ended.append(one)
        return one

    yield start
    for one in ended:
        one.kill()
        one.communicate()


async def test_a_process_that_is_killed(
    watched: Watched, replica: Callable[[], "subprocess.Popen[str]"]
) -> None:
    process = replica()
    assert process.stdout is not None
    where = (await asyncio.to_thread(process.stdout.readline)).strip()
    watched.pulses.feel({ID: where})
    await watched.until("alive")
    assert not watched.told
    process.kill()
    await watched.until("dead")
    assert watched.told == [{ID}]
    # Serve knows it no more: neither does the door.
    watched.pulses.feel({})
    assert not watched.pulses.fallen()


async def test_a_process_whose_keeper_is_killed(watched: Watched) -> None:
    """It lives on for a while, and is counted no more."""
    keeper = await asyncio.create_subprocess_exec("sleep", "600")
    watched.pulses.feel({ID: await Pulse(ID, keeper.pid).start("127.0.0.1")})
    await watched.until("alive")
    keeper.kill()
    await keeper.wait()
    await watched.until("dead")
    assert watched.told == [{ID}]


async def test_a_process_that_stands_still_is_none_that_died(
    watched: Watched, replica: Callable[[], "subprocess.Popen[str]"]
) -> None:
    """However long a step holds it: its kernel answers."""
    process = replica()
    assert process.stdout is not None
    where = (await asyncio.to_thread(process.stdout.readline)).strip()
    watched.pulses.feel({ID: where})
    await watched.until("alive")
    os.kill(process.pid, signal.SIGSTOP)
    await asyncio.sleep(4)
    assert watched.pulses.conditions()[ID] == "alive"
    os.kill(process.pid, signal.SIGCONT)


async def test_one_that_stops_says_goodbye(watched: Watched) -> None:
    pulse = Pulse(ID)
    watched.pulses.feel({ID: await pulse.start("127.0.0.1")})
    await watched.until("alive")
    await pulse.close()
    await watched.until("left")
    assert not watched.told


async def test_another_on_the_same_port(watched: Watched) -> None:
    """The connection breaks, and a stranger listens there when the door comes again."""
    lines = iter([f"{ID}\n", f"{OTHER}\n"])

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(next(lines).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    watched.pulses.feel({ID: f"127.0.0.1:{port}"})
    await watched.until("dead")
    assert watched.told == [{ID}]
    server.close()


async def test_nobody_is_felt_where_nobody_says(watched: Watched) -> None:
    watched.pulses.feel({ID: ""})
    assert not watched.pulses.fallen()
