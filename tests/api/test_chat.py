"""Chat: whole, streamed, and through LangChain-like raw HTTP."""

import json

import httpx2
import openai
import pytest


def ask(text: str) -> list:
    return [{"role": "user", "content": text}]


def test_an_answer_in_one_document(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="fake-chat", messages=ask("hello there !words 4"))
    assert answer.choices[0].message.content == "w0 w1 w2 w3 "
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 4


def test_a_stream_of_chunks(sdk: openai.OpenAI) -> None:
    chunks = list(sdk.chat.completions.create(model="fake-chat", messages=ask("!words 4"), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "w0 w1 w2 w3 "
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)


def test_the_events_on_the_wire(http: httpx2.Client) -> None:
    body = {"model": "fake-chat", "messages": ask("!words 2"), "stream": True}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: "))["choices"] for event in events[:-2])


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "in parts"}, {"type": "text", "text": "!words 1"}],
        "plain !words 1",
        "emoji \U0001f600 !words 1",
    ],
)
def test_content_as_text_or_parts(sdk: openai.OpenAI, content: object) -> None:
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": content}]
    answer = sdk.chat.completions.create(model="fake-chat", messages=messages)  # type: ignore[arg-type]
    assert answer.choices[0].message.content == "w0 "


def test_an_alias_is_echoed(sdk: openai.OpenAI) -> None:
    assert sdk.chat.completions.create(model="llm", messages=ask("hi")).model == "llm"
    assert sdk.chat.completions.create(model="org/fake-chat", messages=ask("hi")).model == "org/fake-chat"


def test_fields_of_other_servers_pass(http: httpx2.Client) -> None:
    body = {"model": "fake-chat", "messages": ask("hi"), "top_k": 5, "metadata": {"a": "b"}, "seed": None}
    assert http.post("/v1/chat/completions", json=body).status_code == 200


def test_a_user_keeps_to_one_variant(http: httpx2.Client) -> None:
    def variants(users: list[str | None]) -> list[str]:
        bodies = [{"model": "fake-ab", "messages": ask("!words 1"), "user": user} for user in users]
        return [http.post("/v1/chat/completions", json=b).headers["x-motley-variant"] for b in bodies]

    assert len(set(variants(["ann"] * 8))) == 1
    many = variants([f"user-{n}" for n in range(80)])
    assert set(many) == {"stable", "canary"}
    assert many.count("stable") > many.count("canary")
