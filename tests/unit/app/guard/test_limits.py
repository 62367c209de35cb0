"""How much a key may do."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from app.catalogue import Target
from app.guard.limited import spent
from app.guard.limits import Limit, Limiter, Limits, Standing, span, told
from app.telemetry.visit import Visit
from backends.contract.errors import RateLimited
from backends.contract.results import Usage


async def ask(limiter: Limiter, limits: Limits, key: str = "a", **used: float) -> dict[str, str]:
    headers: dict[str, str] = {}
    async with limiter.admitted(key, limits, headers):
        await limiter.charge(key, limits, used)  # type: ignore[arg-type]
    return headers


async def refused(limiter: Limiter, limits: Limits, key: str = "a") -> RateLimited:
    headers: dict[str, str] = {}
    with pytest.raises(RateLimited) as caught:
        async with limiter.admitted(key, limits, headers):
            raise AssertionError("it was admitted")
    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
    return caught.value


async def test_requests_and_whose_they_are() -> None:
    limiter, limits = Limiter(), Limits.parsed({"requests/minute": 2})
    first, second = await ask(limiter, limits), await ask(limiter, limits)
    assert first["x-ratelimit-limit-requests"] == "2"
    assert [one["x-ratelimit-remaining-requests"] for one in (first, second)] == ["1", "0"]
    error = await refused(limiter, limits)
    assert "2 requests per minute" in error.message
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 60
    await ask(limiter, limits, "b")


async def test_it_comes_back_when_it_was_told_to() -> None:
    limiter, limits = Limiter(), Limits.parsed({"requests/second": 1})
    for _ in range(3):
        await ask(limiter, limits)
        again = time.time() + float((await refused(limiter, limits)).retry_after or 0)
        await asyncio.sleep(max(0, again - time.time()) + 0.001)


async def test_what_is_known_afterwards_is_counted_afterwards() -> None:
    limiter, limits = Limiter(), Limits.parsed({"tokens/day": 100, "requests/minute": 50})
    assert (await ask(limiter, limits, tokens=60))["x-ratelimit-remaining-tokens"] == "100"
    assert (await ask(limiter, limits, tokens=60))["x-ratelimit-remaining-tokens"] == "40"
    error = await refused(limiter, limits)
    assert "100 tokens per day" in error.message
    assert 86_000 < (error.retry_after or 0) <= 86_400


async def test_parts_of_a_second_count_whole() -> None:
    limiter, limits = Limiter(), Limits.parsed({"audio_seconds/minute": 2, "characters/minute": 9})
    await ask(limiter, limits, audio_seconds=0.2, characters=4)
    headers = await ask(limiter, limits, audio_seconds=0.2)
    assert (headers["x-ratelimit-remaining-audio-seconds"], headers["x-ratelimit-remaining-characters"]) == (
        "1", "5",
    )  # fmt: skip
    assert "2 audio seconds" in (await refused(limiter, limits)).message


async def test_what_a_short_window_refuses_does_not_count_in_a_long_one() -> None:
    limiter, limits = Limiter(), Limits.parsed({"requests/day": 3, "requests/second": 1})
    await ask(limiter, limits)
    for _ in range(5):
        await refused(limiter, limits)
    day = Limits.parsed({"requests/day": 3})
    assert (await ask(limiter, day))["x-ratelimit-remaining-requests"] == "1"


async def test_several_at_a_time() -> None:
    limiter, limits = Limiter(), Limits.parsed({"concurrency": 2})
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(limiter.admitted("a", limits, {}))
        assert (await refused(limiter, limits)).retry_after == 1
        await ask(limiter, limits, "b")
    await ask(limiter, limits)
    with pytest.raises(ZeroDivisionError):
        async with limiter.admitted("a", limits, {}):
            raise ZeroDivisionError
    assert not limiter._running


@pytest.mark.parametrize("wrong", ["requests", "requests/week", "gpus/day", "/minute", "concurrency/day", ""])
def test_what_is_no_limit(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no limit"):
        Limits.parsed({wrong: 1})
    with pytest.raises(ValueError, match="1 at least"):
        Limits.parsed({"requests/minute": 0})


def test_the_headers_tell_of_what_ends_first() -> None:
    minute, day = Limit("requests", 10, "minute"), Limit("requests", 100, "day")
    headers = told([Standing(minute, 9, 59.2), Standing(day, 3, 80_000)])
    assert headers == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "22h13m20s",
    }
    assert [span(seconds) for seconds in (0, 0.2, 59.2, 61, 3600)] == ["0s", "1s", "1m0s", "1m1s", "1h0m0s"]


def test_whoever_leaves_is_charged_for_what_there_was() -> None:
    target = Target("a--main", "a", "main", "fake", "chat", 1)
    whole = Visit("1", target=target, usage=Usage(10, 5), tokens=5)
    assert spent(whole, 4000)["tokens"] == 15
    left = Visit("2", target=target, tokens=5, cut="client")
    assert spent(left, 400)["tokens"] == 105
    early = Visit("3", target=target, code="client_closed_request")
    assert spent(early, 400)["tokens"] == 100
    failed = Visit("4", target=target, code="engine_failed")
    assert spent(failed, 400)["tokens"] == 0
