"""A model that is not loaded: who waits, for how long, and what is said meanwhile."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest

from .doors import Door
from .wire import Caller, until

CHAT = "/v1/chat/completions"
COLD, BRIEF = "fake-cold", "fake-brief"


def asking(model: str, script: str = "!words 2", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": script}], **more}


def state(http: httpx2.Client, model: str) -> str:
    return str(http.get(f"/v1/models/{model}").json()["state"])


def cool(http: httpx2.Client, *models: str) -> None:
    """Wait until none of them is loaded: they are let go, and would go by themselves."""
    for model in models:
        http.post(f"/v1/models/{model}/unload")
    until(
        lambda: all(state(http, model) == "cold" for model in models),
        lambda: str({model: http.get("/v1/fleet").json()["models"][model] for model in models}),
    )


def test_a_cold_model_is_told_as_such_and_needs_nobody(http: httpx2.Client) -> None:
    cool(http, COLD, BRIEF)
    listed = {model["id"]: model["state"] for model in http.get("/v1/models").json()["data"]}
    assert (listed[COLD], listed["fake-chat"]) == ("cold", "ready")
    variant = http.get("/v1/fleet").json()["models"][COLD]["variants"]["main"]
    assert (variant["state"], variant["replicas"]) == ("cold", [])
    ready = http.get("/ready")
    assert (ready.status_code, ready.json()["models"][COLD]["state"]) == (200, "cold")
    assert http.get(f"/{COLD}/ready").status_code == 200


def test_a_request_waits_and_is_answered(sdk: openai.OpenAI, http: httpx2.Client) -> None:
    cool(http, COLD)
    answer = sdk.chat.completions.create(**asking(COLD))
    assert answer.choices[0].message.content == "w0 w1 "
    assert state(http, COLD) == "ready"


def test_many_wait_for_one_load(door: Door, http: httpx2.Client) -> None:
    cool(http, COLD)
    with openai.OpenAI(base_url=f"{door.base_url}/v1", api_key=door.key, max_retries=0) as client:

        def ask(number: int) -> tuple[str | None, str]:
            raw = client.chat.completions.with_raw_response.create(**asking(COLD, f"!say n{number} !words 1"))
            return raw.parse().choices[0].message.content, raw.headers["x-motley-node"]

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(ask, range(20)))
    assert [said for said, _ in answers] == [f"n{number}-0 " for number in range(20)]
    assert len({node for _, node in answers}) == 1
    assert len(http.get("/v1/fleet").json()["models"][COLD]["variants"]["main"]["replicas"]) == 1


def test_a_stream_is_kept_alive_while_it_loads(door: Door, sdk: openai.OpenAI, http: httpx2.Client) -> None:
    cool(http, COLD)
    with Caller(door, CHAT, json=asking(COLD, stream=True)) as caller:
        seen = caller.until(b"[DONE]").seen
    head, _, body = seen.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body.count(b": keep-alive\n\n") >= 2
    assert body.index(b": keep-alive") < body.index(b"w0 ")
    cool(http, COLD)
    chunks = list(sdk.chat.completions.create(**asking(COLD, stream=True)))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "w0 w1 "


def test_past_its_bound_a_request_is_told_when_to_come_back(http: httpx2.Client) -> None:
    cool(http, BRIEF)
    answer = http.post(CHAT, json=asking(BRIEF))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (503, "model_loading", "server_error")
    assert int(answer.headers["retry-after"]) >= 1
    # The load goes on without anybody, and the next time it is known how long it takes.
    until(lambda: state(http, BRIEF) == "ready")
    assert http.post(CHAT, json=asking(BRIEF)).status_code == 200
    took = http.get("/v1/fleet").json()["models"][BRIEF]["variants"]["main"]["seconds"]
    assert took >= 3
    cool(http, BRIEF)
    again = http.post(CHAT, json=asking(BRIEF))
    assert (again.status_code, again.json()["error"]["code"]) == (503, "model_loading")
    assert "% done, about" in again.json()["error"]["message"]
    loading = http.get("/ready")
    told = loading.json()["models"][BRIEF]
    assert (loading.status_code, told["state"]) == (200, "loading")
    assert 0 < told["progress"] < 1


def test_past_its_bound_a_stream_ends_with_one_error(
    door: Door, sdk: openai.OpenAI, http: httpx2.Client
) -> None:
    cool(http, BRIEF)
    with Caller(door, CHAT, json=asking(BRIEF, stream=True)) as caller:
        body = caller.until(b"\r\n0\r\n\r\n").seen.partition(b"\r\n\r\n")[2].decode()
    told = [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data:")]
    assert [event["error"]["code"] for event in told] == ["model_loading"]
    assert ": keep-alive" in body
    assert "[DONE]" not in body
    cool(http, BRIEF)
    with pytest.raises(openai.APIError, match="is loading"):
        list(sdk.chat.completions.create(**asking(BRIEF, stream=True)))


def test_the_sdk_comes_back_by_itself(door: Door, http: httpx2.Client) -> None:
    """By `Retry-After`, as often as it takes with the client's own retries."""
    cool(http, BRIEF)
    client = openai.OpenAI(base_url=f"{door.base_url}/v1", api_key=door.key, max_retries=8)
    with client:
        assert client.chat.completions.create(**asking(BRIEF)).choices[0].message.content == "w0 w1 "


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_does_not_end_the_load(door: Door, http: httpx2.Client, stream: bool) -> None:
    cool(http, COLD)
    with Caller(door, CHAT, json=asking(COLD, stream=stream)):
        until(lambda: state(http, COLD) == "loading")
    until(lambda: state(http, COLD) == "ready")
    assert door.busy(COLD) == 0


def test_it_goes_when_nobody_asks(sdk: openai.OpenAI, http: httpx2.Client) -> None:
    sdk.chat.completions.create(**asking(COLD))
    until(lambda: state(http, COLD) == "cold")
    assert sdk.chat.completions.create(**asking(COLD)).choices[0].message.content == "w0 w1 "


def test_it_stays_while_somebody_asks(sdk: openai.OpenAI, door: Door) -> None:
    """Short requests with pauses in between: nothing that looks now and then would see them."""
    pids, until_s = set(), time.monotonic() + 8
    while time.monotonic() < until_s:
        sdk.chat.completions.create(**asking(COLD, "!words 1"))
        with httpx2.Client(base_url=door.base_url, headers={"authorization": f"Bearer {door.key}"}) as http:
            variant = http.get("/v1/fleet").json()["models"][COLD]["variants"]["main"]
        pids.add((variant["state"], variant["replicas"][0]["pid"]))
        time.sleep(0.3)
    assert len(pids) == 1


def test_load_and_unload(http: httpx2.Client) -> None:
    cool(http, COLD)
    loading = http.post(f"/v1/models/{COLD}/load")
    assert (loading.status_code, loading.json()["id"], loading.json()["state"]) == (202, COLD, "loading")
    refused = http.post(f"/v1/models/{COLD}/unload")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_loading")
    until(lambda: state(http, COLD) == "ready")
    assert http.post(f"/v1/models/{COLD}/load").status_code == 200
    assert http.post(f"/v1/models/{COLD}/unload").status_code == 202
    until(lambda: state(http, COLD) == "cold")
    assert http.post(f"/v1/models/{COLD}/unload").status_code == 200


def test_unloading_cuts_nobody(door: Door, http: httpx2.Client) -> None:
    http.post(CHAT, json=asking(COLD))
    with Caller(door, CHAT, json=asking(COLD, "!slow 0.4 !words 10", stream=True)) as caller:
        caller.until(b"w0 ")
        assert http.post(f"/v1/models/{COLD}/unload").status_code == 202
        seen = caller.until(b"[DONE]").seen
    assert b"w9 " in seen
    until(lambda: state(http, COLD) == "cold")


def test_what_is_kept_cannot_be_unloaded(http: httpx2.Client) -> None:
    refused = http.post("/v1/models/org/fake-chat/unload")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "model_kept", "model")
    assert "keeps at least 1 replica (" in error["message"]
    assert http.post("/v1/models/llm/load").status_code == 200
    for what in ("load", "unload"):
        unknown = http.post(f"/v1/models/nobody/{what}")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
