"""Several doors count together, in a real Redis or Valkey."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from app.guard.counters import Counters, CountersError
from app.guard.limits import Limiter, Limits
from backends.contract.errors import RateLimited
from tests.servers import Redis

Doors = Callable[..., Limiter]


@pytest.fixture(scope="module")
def store() -> Iterator[Redis]:
    one = Redis()
    yield one
    one.stop()


@pytest.fixture
async def door() -> AsyncIterator[Doors]:
    """Makes one that counts at a URL."""
    made = list[Limiter]()

    def make(url: str, again_s: float = 999) -> Limiter:
        made.append(Limiter(Counters(url, again_s)))
        return made[-1]

    yield make
    for limiter in made:
        await limiter.close()


async def ask(limiter: Limiter, limits: Limits, key: str = "a", **used: float) -> dict[str, str]:
    headers: dict[str, str] = {}
    await limiter.enter(key, limits, headers)
    await limiter.leave(key, limits, used)  # type: ignore[arg-type]
    return headers


async def test_two_doors_share_what_a_key_may_do(store: Redis, door: Doors) -> None:
    limits, budget = Limits.parsed({"requests/minute": 2}), Limits.parsed({"gpu_seconds/day": 1})
    one, two = door(store.url), door(store.url)
    await ask(one, limits)
    assert (await ask(two, limits))["x-ratelimit-remaining-requests"] == "0"
    for limiter in (one, two):
        with pytest.raises(RateLimited, match="2 requests per minute") as caught:
            await ask(limiter, limits)
        assert 0 < (caught.value.retry_after or 0) <= 61
    await ask(one, limits, "b")
    await ask(one, budget, gpu_seconds=0.4)
    await ask(two, budget, gpu_seconds=0.7)
    with pytest.raises(RateLimited, match="1 gpu seconds per day"):
        await ask(one, budget)


async def test_whoever_comes_when_told_is_let_in(store: Redis, door: Doors) -> None:
    limiter, limits = door(store.url), Limits.parsed({"requests/second": 1})
    for _ in range(2):
        await ask(limiter, limits, "c")
        with pytest.raises(RateLimited) as caught:
            await ask(limiter, limits, "c")
        assert caught.value.retry_after is not None
        await asyncio.sleep(caught.value.retry_after)


async def test_a_store_that_goes_and_comes_back(door: Doors) -> None:
    store = Redis()
    limiter, limits = door(store.url, again_s=0), Limits.parsed({"requests/hour": 2})
    try:
        await ask(limiter, limits)
        store.stop()
        # By itself meanwhile, from nothing: nobody is refused who has something left.
        for _ in range(2):
            await ask(limiter, limits)
        with pytest.raises(RateLimited):
            await ask(limiter, limits)
        store.start()
        assert (await ask(limiter, limits))["x-ratelimit-remaining-requests"] == "1"
    finally:
        store.stop()


async def test_one_that_never_answers_is_waited_for_once(door: Doors) -> None:
    came = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        limiter, limits = door(f"redis://127.0.0.1:{port}/0"), Limits.parsed({"requests/hour": 9})
        for _ in range(9):
            await ask(limiter, limits)
        assert came == 1
        with pytest.raises(RateLimited):
            await ask(limiter, limits)
        await limiter.close()


def test_an_address_that_is_none() -> None:
    with pytest.raises(CountersError, match="cannot be read") as caught:
        Counters("redis://user:secret@host:none/0")
    assert "secret" not in str(caught.value)
