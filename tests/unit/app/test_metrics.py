"""What `/metrics` says, and that no caller can make it say more."""

import asyncio
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx2
import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from tests.sounds import wav

from .conftest import Client, Enter, fleet

CHAT = "/v1/chat/completions"
FLEET = fleet(
    one={}, says={"task": "speak"}, hears={"task": "transcribe"},
    late={"options": {"load_s": 0.1}, "scale": {"replicas": [0, 1]}},
)  # fmt: skip


def chat(model: str = "one", text: str = "!words 4", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def samples(client: Client) -> list[Sample]:
    text = (await client.get("/metrics")).raise_for_status().text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def total(found: list[Sample], name: str, **labels: str) -> float:
    return sum(one.value for one in found if one.name == name and labels.items() <= one.labels.items())


class Both:
    """Two doors, whose counts cross between processes as Ray carries them."""

    def __init__(self) -> None:
        self.told: dict[str, Callable[[], Sequence[Metric]]] = {}

    async def counted(self) -> Mapping[str, Sequence[Metric]]:
        return {door: pickle.loads(pickle.dumps(tell())) for door, tell in self.told.items()}


async def test_two_doors_add_up_to_what_was_sent() -> None:
    both, upstream = Both(), LocalUpstream.from_fleet(FLEET)
    apps = [create_app(Settings(_env_file=None), FLEET, upstream, doors=both) for _ in range(2)]
    both.told = {name: app.state.meters.counted for name, app in zip("ab", apps, strict=True)}
    async with apps[0].router.lifespan_context(apps[0]):
        a, b = (Client(transport=httpx2.ASGITransport(app), base_url="http://door") for app in apps)
        while not upstream.states()["one--main"].ready:
            await asyncio.sleep(0.01)
        for client, times in ((a, 3), (b, 5)):
            for _ in range(times):
                (await client.post(CHAT, json=chat())).raise_for_status()
        for client in (a, b):
            found = await samples(client)
            assert total(found, "motley_requests_total", model="one", status="200") == 8
            assert total(found, "motley_http_requests_total", route=CHAT) == 8
            assert total(found, "motley_request_seconds_count", door="b", model="one") == 5
            # Of the replica itself, once, whoever asks.
            assert total(found, "motley_queue_seconds_count", app="one--main") == 8
        del both.told["b"]  # it ends: the other's series go on where they were
        assert total(await samples(a), "motley_requests_total", model="one") == 3
        assert total(await samples(a), "motley_requests_total", door="a", model="one") == 3


async def test_no_caller_makes_a_series(enter: Enter) -> None:
    client = await enter(FLEET, api_keys="sk-key")
    client.headers["authorization"] = "Bearer sk-key"

    async def ask(number: int) -> None:
        mine = {"x-request-id": f"id-{number}", "user-agent": f"agent-{number}"}
        await client.post(CHAT, json=chat(user=f"user-{number}"), headers=mine)
        await client.post(CHAT, json=chat(f"model-{number}"))
        await client.post(CHAT, json=chat(), headers={"authorization": f"Bearer wrong-{number}"})
        await client.get(f"/nowhere/{number}?q={number}")
        await client.get(f"/v1/models/m-{number}")
        await client.request(f"METHOD{number}", "/v1/models")

    await ask(0)
    await samples(client)  # itself counted from the second one on
    before = {(one.name, *sorted(one.labels.items())) for one in await samples(client)}
    for number in range(1, 20):
        await ask(number)
    assert {(one.name, *sorted(one.labels.items())) for one in await samples(client)} == before
    found = await samples(client)
    assert total(found, "motley_http_requests_total", route="none", method="GET", status="404") == 20
    assert total(found, "motley_http_requests_total", method="other") == 20
    assert total(found, "motley_refused_total", code="invalid_api_key", route="none") == 20
    assert total(found, "motley_refused_total", code="model_not_found", route=CHAT) == 20


async def test_times_of_a_stream(enter: Enter) -> None:
    client = await enter(FLEET)
    await client.post(CHAT, json=chat())
    found, where = await samples(client), {"verb": "chat", "model": "one", "variant": "main"}
    assert total(found, "motley_request_seconds_count", **where) == 1
    # One document has no first token that anybody saw.
    assert total(found, "motley_time_to_first_token_seconds_count") == 0
    await client.post(CHAT, json=chat(text="!words 4 !slow 0.01", stream=True))
    found = await samples(client)
    assert total(found, "motley_time_to_first_token_seconds_count", **where) == 1
    assert total(found, "motley_inter_token_latency_seconds_count", **where) == 1
    # The pieces come at least 10 ms apart: three gaps of the four are between tokens.
    assert total(found, "motley_inter_token_latency_seconds_sum", **where) > 0.005
    assert total(found, "motley_tokens_total", **where, kind="completion") == 8


async def test_seconds_of_audio(enter: Enter) -> None:
    client = await enter(FLEET)
    spoken = await client.post(
        "/v1/audio/speech",
        json={"model": "says", "input": "some words", "voice": "fake", "response_format": "pcm"},
    )
    for stream in ("false", "true"):
        heard = await client.post(
            "/v1/audio/transcriptions",
            data={"model": "hears", "stream": stream},
            files={"file": ("a.wav", wav(bytes(32_000)))},
        )
        assert heard.is_success
    found = await samples(client)
    seconds = len(spoken.content) / 2 / 24_000
    assert total(found, "motley_audio_seconds_total", kind="spoken", model="says") == pytest.approx(
        seconds, rel=0.05
    )
    assert total(found, "motley_audio_seconds_total", kind="heard", model="hears") > 0
    assert total(found, "motley_characters_total", model="says") == len("some words")


async def test_what_a_request_waits_for_a_load(enter: Enter) -> None:
    client = await enter(FLEET)
    for _ in range(2):
        assert (await client.post(CHAT, json=chat("late"))).is_success
    found = await samples(client)
    assert total(found, "motley_cold_start_seconds_count", model="late") == 1
    assert total(found, "motley_cold_start_seconds_sum", model="late") > 0.05
