"""Traffic through the door, by the SDK: its split, callers that stay where they are, a canary that fails.

In this process whatever `--door` says; `tests/ray/test_reload.py` does it on Ray, by the commands.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx2
import openai
import pytest

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.fleet.schema import Fleet
from backends.fleet.traffic import promoted, rolled_back, shifted

from .doors import Served
from .wire import until

HERE = {"place": {"node": "here"}}
FAKE = {"engine": "fake", "source": "builtin://fake", **HERE}
# A server that nobody runs: every request fails at once.
BROKEN = {
    "engine": "openai", "source": "builtin://openai", **HERE,
    "options": {"base_url": "http://127.0.0.1:9/v1", "connect_retries": 0},
}  # fmt: skip
MODELS = {
    "split": {
        "task": "embed",
        "traffic": {"stable": 90, "canary": 10},
        "variants": {"stable": FAKE, "canary": FAKE},
    },
    "tried": {
        "task": "embed",
        "traffic": {"stable": 50, "canary": 50},
        "rollback": {"requests": 20, "window_s": 60},
        "variants": {"stable": FAKE, "canary": BROKEN},
    },
    "equal": {
        "task": "embed",
        "traffic": {"stable": 50, "canary": 50},
        "rollback": {"requests": 20, "window_s": 60},
        "variants": {"stable": FAKE, "canary": FAKE},
    },
}


class World:
    """An app that is served; its catalogue is changed as a door's is."""

    def __init__(self) -> None:
        fleet = Fleet.model_validate({"version": 1, "nodes": {"here": {}}, "models": MODELS})
        self.app = create_app(Settings(_env_file=None), fleet, LocalUpstream.from_fleet(fleet))
        self.served = Served(self.app)

    def change(self, edit: Callable[..., Any], *arguments: Any) -> None:
        catalogue = self.app.state.catalogue
        catalogue.update(edit(catalogue.public, *arguments, at=0))

    def variants(self, model: str, users: Iterable[str | None]) -> list[str]:
        """Who answers each user, an error's code where nobody does; asked eight at a time."""

        async def ask() -> list[str]:
            gate = asyncio.Semaphore(8)
            url = f"{self.served.base_url}/v1"
            async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as sdk:

                async def one(user: str | None) -> str:
                    known = {} if user is None else {"user": user}
                    async with gate:
                        try:
                            raw = await sdk.embeddings.with_raw_response.create(
                                model=model, input="a", **known
                            )
                        except openai.APIStatusError as error:
                            return str(error.code)
                    return raw.headers["x-motley-variant"]

                return await asyncio.gather(*map(one, users))

        return asyncio.run(ask())

    def fleet(self, model: str) -> Any:
        return httpx2.get(f"{self.served.base_url}/v1/fleet").json()["models"][model]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    one = World()
    until(lambda: httpx2.get(f"{one.served.base_url}/ready").status_code == 200)
    yield one
    one.served.close()


def test_two_thousand_requests_are_split_within_three_points(world: World) -> None:
    seen = Counter(world.variants("split", [None] * 2000))
    assert seen.total() == 2000
    assert abs(seen["canary"] / 20 - 10) < 3


def test_a_user_stays_while_the_weights_stand_and_only_those_needed_move(world: World) -> None:
    users = [f"user-{number}" for number in range(300)]
    before = world.variants("split", users)
    assert world.variants("split", users) == before
    world.change(shifted, "split", {"stable": 60, "canary": 40})
    after = world.variants("split", users)
    assert {now for was, now in zip(before, after, strict=True) if was != now} == {"canary"}
    assert after.count("canary") > before.count("canary")
    world.change(promoted, "split", "canary")
    assert set(world.variants("split", users)) == {"canary"}
    told = world.fleet("split")
    assert {name: one["weight"] for name, one in told["variants"].items()} == {"stable": 0, "canary": 100}
    assert told["traffic"] == {"before": {"stable": 60, "canary": 40}, "at": 0, "why": ""}
    world.change(rolled_back, "split")
    assert world.variants("split", users) == after


def test_a_failing_canary_loses_its_traffic(world: World) -> None:
    seen = world.variants("tried", [None] * 400)
    assert set(seen) == {"stable"}  # which is asked once more for what the canary could not take
    until(lambda: world.fleet("tried")["variants"]["canary"]["weight"] == 0)
    assert set(world.variants("tried", [None] * 50)) == {"stable"}
    told = world.fleet("tried")["traffic"]
    assert told["before"] == {"stable": 50, "canary": 50}
    assert "canary did worse than stable" in told["why"]
    metrics = httpx2.get(f"{world.served.base_url}/metrics").text
    assert 'motley_rollbacks_total{model="tried",reason="errors",variant="canary"} 1.0' in metrics


def test_an_equal_canary_keeps_it(world: World) -> None:
    for _ in range(3):
        world.variants("equal", [None] * 200)
    told = world.fleet("equal")
    assert told["traffic"] is None
    assert told["variants"]["canary"]["weight"] == 50
