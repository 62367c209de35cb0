"""Five times as much as a model can do: it goes on doing as much as it can, and shares that out. In this
process whatever `--door` says: the host that lets requests in is the same."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from .doors import Behind, on_one_node
from .keys import PEPPER, Keys

PLACES, SERVICE_S, TIMES = 4, 0.6, 5
BODY = {"model": "one", "messages": [{"role": "user", "content": f"!slow {SERVICE_S} !words 1"}]}
WARM_S, SPAN_S, ROUNDS = 1.0, 4.5, 5


@dataclass
class Seen:
    """What came within `SPAN_S`: whose requests were answered; how long the others took to be refused, and
    with what."""

    good: list[str] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    told: set[tuple[int, bool]] = field(default_factory=set)

    def rate(self) -> float:
        return len(self.good) / SPAN_S


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    made = Keys(tmp_path / "keys.json")
    made.add("ann")
    made.add("bob")
    return made


@pytest.fixture
def door(keys: Keys) -> Iterator[Behind]:
    """Its engine sleeps, and can do so in `PLACES` at once."""
    scale = {"max_ongoing": PLACES, "max_queued": 2 * PLACES}
    model = {"task": "chat", "engine": "fake", "source": "builtin://fake", "scale": scale}
    one = Behind(on_one_node({"one": model}), keys_file=str(keys.file), keys_pepper=PEPPER)
    yield one
    one.close()


class Callers:
    def __init__(self, http: httpx2.AsyncClient, keys: Keys) -> None:
        self._http, self._keys = http, keys

    async def ask(self, owner: str, seen: Seen, begin: float) -> None:
        sent = time.monotonic()
        headers = {"authorization": f"Bearer {self._keys.texts[owner]}"}
        answer = await self._http.post("/v1/chat/completions", json=BODY, headers=headers)
        now = time.monotonic()
        if begin <= now < begin + SPAN_S:
            if answer.status_code == 200:
                seen.good.append(owner)
            else:
                seen.refused.append(now - sent)
                seen.told.add((answer.status_code, int(answer.headers["retry-after"]) > 0))

    async def peak(self) -> Seen:
        """As many as there are places, one after the other."""
        seen, begin = Seen(), time.monotonic() + WARM_S

        async def one() -> None:
            while time.monotonic() < begin + SPAN_S:
                await self.ask("ann", seen, begin)

        async with asyncio.TaskGroup() as group:
            for _ in range(PLACES):
                group.create_task(one())
        return seen

    async def flood(self, rates: dict[str, float]) -> Seen:
        """So many requests of each a second, whether those before have been answered or not."""
        seen, begin = Seen(), time.monotonic() + WARM_S

        async def of(owner: str, rate: float) -> None:
            due = time.monotonic()
            while due < begin + SPAN_S:
                group.create_task(self.ask(owner, seen, begin))
                due += 1 / rate
                await asyncio.sleep(due - time.monotonic())

        async with asyncio.TaskGroup() as group:
            for owner, rate in rates.items():
                group.create_task(of(owner, rate))
        return seen


async def test_five_times_too_much(door: Behind, keys: Keys) -> None:
    """Ann asks four times as much as all places can do, Bob as much as they can. Where the machine stood
    still meanwhile, it is tried again."""
    limits = httpx2.Limits(max_connections=None, keepalive_expiry=1)  # the server's is five seconds
    async with httpx2.AsyncClient(base_url=door.base_url, timeout=60, limits=limits) as http:
        callers, can = Callers(http, keys), PLACES / SERVICE_S
        wrong: list[str] = []
        for _ in range(ROUNDS):
            peak = await callers.peak()
            seen = await callers.flood({"ann": (TIMES - 1) * can, "bob": can})
            shares = [seen.good.count(owner) for owner in ("ann", "bob")]
            slowest = statistics.quantiles(seen.refused, n=20)[-1]
            said = (
                f"{peak.rate():.1f}/s at most; at {TIMES} times that {seen.rate():.1f}/s, ann's and bob's "
                f"{shares}; {len(seen.refused)} refused, 19 of 20 within {slowest * 1000:.0f} ms"
            )
            print(f"\n{said}")
            # 429 or 503, and each says when to come again.
            assert {(status in (429, 503), waits) for status, waits in seen.told} == {(True, True)}
            if (
                seen.rate() >= 0.9 * peak.rate()
                and min(shares) >= 0.9 * len(seen.good) / 2
                and slowest < SERVICE_S
            ):
                return
            wrong.append(said)
        pytest.fail("\n".join(wrong))
