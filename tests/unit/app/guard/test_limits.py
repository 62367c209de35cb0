"""How much a key may do."""

import asyncio
import time

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.catalogue import Target
from app.guard.limited import Limited
from app.guard.limits import Limit, Limiter, Limits, Standing, span, told
from app.guard.scopes import ALL, Caller
from app.telemetry.visit import KEY, Visit
from backends.contract.errors import ClientGone, RateLimited


async def ask(limiter: Limiter, limits: Limits, key: str = "a", **used: float) -> dict[str, str]:
    headers: dict[str, str] = {}
    await limiter.enter(key, limits, headers)
    await limiter.leave(key, limits, used)  # type: ignore[arg-type]
    return headers


async def refused(limiter: Limiter, limits: Limits, key: str = "a") -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        await limiter.enter(key, limits, {})
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
    for _ in range(2):
        await limiter.enter("a", limits, {})
    assert (await refused(limiter, limits)).retry_after == 1
    await ask(limiter, limits, "b")
    await limiter.leave("a", limits, {})
    await ask(limiter, limits)
    await limiter.leave("a", limits, {})
    used_up = Limits.parsed({"concurrency": 2, "requests/day": 1})
    await ask(limiter, used_up)
    assert "1 requests per day" in (await refused(limiter, used_up)).message
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


async def test_a_budget_of_gpus_takes_small_coins() -> None:
    limiter, limits = Limiter(), Limits.parsed({"gpu_seconds/day": 2})
    for _ in range(6):
        headers = await ask(limiter, limits, gpu_seconds=0.25)
    assert headers["x-ratelimit-limit-gpu-seconds"] == "2"
    assert headers["x-ratelimit-remaining-gpu-seconds"] == "1"  # 0.75 of it, when that was asked
    await ask(limiter, limits, gpu_seconds=0.3)
    await ask(limiter, limits, gpu_seconds=0.25)
    assert "2 gpu seconds per day" in (await refused(limiter, limits)).message


async def test_whoever_leaves_before_the_first_token_is_charged() -> None:
    limiter, limits = Limiter(), Limits.parsed({"tokens/day": 100})

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit.of(scope)
        visit.target = Target("a--main", "a", "main", "fake", "chat", 1)
        raise ClientGone("the client closed the connection")

    visit = Visit("1", caller=Caller("a", "ann", ALL, limits))
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", KEY: visit}
    with pytest.raises(ClientGone):
        await Limited(slow, limiter)({**scope, "headers": [(b"content-length", b"400")]}, nothing, nothing)
    assert "100 tokens per day" in (await refused(limiter, limits)).message


async def nothing(*_: object) -> Message:
    raise AssertionError
