"""`/v1/responses` through the door, with an engine that is scripted."""

import json
from typing import Any

import httpx2
import openai
import pytest

from .doors import Door
from .wire import SOON, Caller, counted, seconds_until_idle, until

PATH = "/v1/responses"
DEMO = "motley-demo-chat"


def events(answer: httpx2.Response) -> list[tuple[str, Any]]:
    """(name, data) of each event; comments left out."""
    parts = [part for part in answer.text.split("\n\n") if part and not part.startswith(":")]
    pairs = [part.split("\n") for part in parts]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in pairs]


def test_an_answer(sdk: openai.OpenAI) -> None:
    answer = sdk.responses.create(model="llm", input="hello there !words 4")
    assert answer.output_text == "w0 w1 w2 w3 "
    assert (answer.model, answer.status) == ("llm", "completed")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 4)


def test_the_sdk_reads_the_events(sdk: openai.OpenAI) -> None:
    with sdk.responses.stream(model="fake-chat", input="!words 3") as stream:
        told = list(stream)
        assert stream.get_final_response().output_text == "w0 w1 w2 "
    assert "".join(event.delta for event in told if event.type == "response.output_text.delta") == "w0 w1 w2 "


def test_the_events_on_the_wire(http: httpx2.Client) -> None:
    answer = http.post(PATH, json={"model": "fake-chat", "input": "hi", "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "[DONE]" not in answer.text
    told = events(answer)
    assert [name for name, _ in told] == [data["type"] for _, data in told]
    assert [data["sequence_number"] for _, data in told] == list(range(len(told)))
    assert told[-1][0] == "response.completed"


def test_tokens_are_counted(http: httpx2.Client) -> None:
    def told() -> float:
        return counted(http, "motley_tokens_total", kind="completion", model="fake-chat")

    before = told()
    http.post(PATH, json={"model": "fake-chat", "input": "!words 5", "stream": True})
    http.post(PATH, json={"model": "fake-chat", "input": "!words 7"})
    until(lambda: told() - before == 12)


def test_a_failure_in_mid_stream_is_one_event(http: httpx2.Client, sdk: openai.OpenAI) -> None:
    """With silence before it: comments that keep the connection are no events."""
    body = {"model": "fake-chat", "input": "!slow 0.6 !break 2", "stream": True}
    answer = http.post(PATH, json=body)
    assert ": keep-alive" in answer.text
    told = events(answer)
    name, data = told[-1]
    assert (name, data["type"], data["code"]) == ("error", "error", "engine_failed")
    assert data["sequence_number"] == len(told) - 1
    assert data["error"]["code"] == "engine_failed"
    assert "secret" not in answer.text
    assert "[DONE]" not in answer.text
    with pytest.raises(openai.APIError) as failed:
        list(sdk.responses.create(model="fake-chat", input="!break 2", stream=True))
    assert failed.value.code == "engine_failed"


@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_before_the_first_event_has_a_status(http: httpx2.Client, stream: bool) -> None:
    # The fake's first events need no work, so only what it refuses at once comes before them.
    answer = http.post(PATH, json={"model": DEMO, "input": "hi", "stream": stream})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "task_unsupported", "model")


def test_leaving_ends_the_work(door: Door) -> None:
    body = {"model": "fake-chat", "input": "!slow 0.2 !words 200", "stream": True}
    with Caller(door, PATH, json=body) as caller:
        caller.until(b"output_text.delta")
        caller.hang_up()
    assert seconds_until_idle(door, "fake-chat") < SOON


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"input": None}, "input"),
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": ["hi"]}, "input[0]"),
    ({"input": 3}, "input"),
    ({"background": True}, "background"),
    ({"temperature": 3}, "temperature"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"stream": "yes"}, "stream"),
    ({"tools": {}}, "tools"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"metadata": {"a": 1}}, "metadata.a"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG, ids=[f"{w}-{n}" for n, (_, w) in enumerate(WRONG)])
def test_what_is_wrong_is_named(http: httpx2.Client, fields: dict[str, Any], param: str) -> None:
    answer = http.post(PATH, json={"model": "fake-chat", "input": "hi", **fields})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_an_alias_in_the_path(http: httpx2.Client) -> None:
    answer = http.post(f"/llm{PATH}", json={"input": "!words 1"}).json()
    assert (answer["model"], answer["output"][0]["content"][0]["text"]) == ("llm", "w0 ")
