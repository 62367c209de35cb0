"""Keys take turns at a model that has more to do than it can. In this process whatever `--door` says: the
host that lets them in is the same."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest

from .doors import Behind, on_one_node
from .keys import PEPPER, Keys

SCALE = {"max_ongoing": 1, "max_queued": 6}
SHORT = [{"role": "user", "content": "!slow 0.2 !words 1"}]
ENDLESS = [{"role": "user", "content": "!slow 0.05 !words 1000000"}]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    made = Keys(tmp_path / "keys.json")
    for owner in ("ann", "bob"):
        made.add(owner)
    made.add("top", priority="high")
    return made


@pytest.fixture
def door(keys: Keys) -> Iterator[Behind]:
    model = {"task": "chat", "engine": "fake", "source": "builtin://fake", "scale": SCALE}
    one = Behind(on_one_node({"one": model}), keys_file=str(keys.file), keys_pepper=PEPPER)
    yield one
    one.close()


def by(door: Behind, keys: Keys, owner: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"{door.base_url}/v1", api_key=keys.texts[owner], max_retries=0, timeout=60
    )


async def asked(door: Behind, keys: Keys, owner: str, done: list[str]) -> None:
    """One request; `done` gets its owner, and the code where it failed."""
    async with by(door, keys, owner) as client:
        try:
            await client.chat.completions.create(model="one", messages=SHORT)  # type: ignore[arg-type]
        except openai.InternalServerError as error:
            done.append(f"{owner}: {error.code}")
        else:
            done.append(owner)


@asynccontextmanager
async def busy(door: Behind, keys: Keys) -> AsyncIterator[None]:
    """The only place is taken meanwhile."""
    async with by(door, keys, "ann") as client:
        stream = await client.chat.completions.create(model="one", messages=ENDLESS, stream=True)  # type: ignore[call-overload]
        yield
        await stream.close()


async def waiting(door: Behind, count: int) -> None:
    """Until so many wait."""
    (host,) = door.upstream.hosts.values()
    async with asyncio.timeout(60):
        while host.replica("here", 0).queued < count:
            await asyncio.sleep(0.01)


async def test_a_crowd_does_not_push_back_who_comes_alone(door: Behind, keys: Keys) -> None:
    done = list[str]()
    async with asyncio.TaskGroup() as group, busy(door, keys):
        for number, owner in enumerate(["ann"] * 4 + ["bob", "top"], start=1):
            group.create_task(asked(door, keys, owner, done))
            await waiting(door, number)
    assert done == ["top", "bob", *["ann"] * 4]


async def test_where_no_more_may_wait_the_crowd_gives_way(door: Behind, keys: Keys) -> None:
    done = list[str]()
    async with asyncio.TaskGroup() as group, busy(door, keys):
        for _ in range(6):
            group.create_task(asked(door, keys, "ann", done))
        await waiting(door, 6)
        for count in (1, 2):
            group.create_task(asked(door, keys, "bob", done))
            async with asyncio.timeout(60):
                while len(done) < count:
                    await asyncio.sleep(0.01)
    assert done[:2] == ["ann: overloaded"] * 2
    assert sorted(done[2:]) == ["ann"] * 4 + ["bob"] * 2
