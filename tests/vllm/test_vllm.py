"""What real vLLM answers through the door, and what becomes of it when things go wrong."""

import json
import subprocess
import time
from typing import Any

import openai
import psutil
import pytest

from tests.vllm.conftest import Behind, until
from tests.vllm.standing import gone, slots

HELLO: list[Any] = [{"role": "user", "content": "Hello, what can you do?"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "strict": True,  # else vLLM leaves the arguments to the model
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 12}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
BIRD: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "bird",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 12}, "sings": {"type": "boolean"}},
            "required": ["name", "sings"],
            "additionalProperties": False,
        },
    },
}


def chat(sdk: openai.OpenAI, **fields: Any) -> Any:
    return sdk.chat.completions.create(**{"model": "tiny", "messages": HELLO, "max_tokens": 16, **fields})


def test_it_tells_how_far_it_is_and_what_it_is(behind: Behind) -> None:
    assert behind.stages[0] == "starting"
    assert {"loading", "warming"} <= set(behind.stages)
    assert behind.engine.facts() == {"context_length": 1024}


def test_an_answer(sdk: openai.OpenAI) -> None:
    answer = chat(sdk, temperature=0)
    assert answer.object == "chat.completion"
    assert answer.model == "tiny"
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens <= 16


def test_a_stream_says_the_same(sdk: openai.OpenAI) -> None:
    whole = chat(sdk, temperature=0)
    chunks = list(chat(sdk, temperature=0, stream=True))
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    )
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_usage_of_a_stream_comes_when_asked_for(sdk: openai.OpenAI) -> None:
    chunks = list(chat(sdk, stream=True, stream_options={"include_usage": True}))
    assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []


def test_an_alias_is_echoed(sdk: openai.OpenAI) -> None:
    assert chat(sdk, model="gpt-4o").model == "gpt-4o"
    assert {chunk.model for chunk in chat(sdk, model="gpt-4o", stream=True)} == {"gpt-4o"}


def test_tools(sdk: openai.OpenAI) -> None:
    assert chat(sdk, tools=[WEATHER], tool_choice="auto").choices[0].finish_reason
    named = {"type": "function", "function": {"name": "get_weather"}}
    for choice in (named, "required"):
        (call, *_) = (
            chat(sdk, tools=[WEATHER], tool_choice=choice, max_tokens=200).choices[0].message.tool_calls
        )
        assert call.function.name == "get_weather"
        assert set(json.loads(call.function.arguments)) == {"city"}


def test_tools_streamed(sdk: openai.OpenAI) -> None:
    named = {"type": "function", "function": {"name": "get_weather"}}
    chunks = list(chat(sdk, tools=[WEATHER], tool_choice=named, max_tokens=200, stream=True))
    deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert {delta.function.name for delta in deltas if delta.function.name} == {"get_weather"}
    assert set(json.loads("".join(delta.function.arguments or "" for delta in deltas))) == {"city"}


def test_a_schema_is_kept(sdk: openai.OpenAI) -> None:
    answer = chat(sdk, response_format=BIRD, max_tokens=200)
    assert answer.choices[0].finish_reason == "stop"
    assert {key: type(value) for key, value in json.loads(answer.choices[0].message.content).items()} == {
        "name": str,
        "sings": bool,
    }


def test_logprobs_n_stop_and_seed(sdk: openai.OpenAI) -> None:
    told = chat(sdk, logprobs=True, top_logprobs=2, max_tokens=3, temperature=0).choices[0].logprobs.content
    assert len(told) == 3
    assert all(len(token.top_logprobs) == 2 for token in told)
    assert [choice.index for choice in chat(sdk, n=3, temperature=1).choices] == [0, 1, 2]
    seeded = {chat(sdk, seed=5, temperature=1).choices[0].message.content for _ in range(2)}
    assert len(seeded) == 1
    first = chat(sdk, temperature=0).choices[0].message.content
    assert first[3:5] not in chat(sdk, temperature=0, stop=[first[3:5]]).choices[0].message.content


@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_too_long_is_named(sdk: openai.OpenAI, stream: bool) -> None:
    for long in ("hello " * 1500, "x" * 200_000):
        with pytest.raises(openai.BadRequestError) as refused:
            chat(sdk, messages=[{"role": "user", "content": long}], stream=stream)
        assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")
        assert "parameter=" not in refused.value.message
    with pytest.raises(openai.BadRequestError) as refused:
        chat(sdk, max_tokens=5000)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "max_tokens")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "no_such_type"}}, "response_format"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"store": True}, "store"),
        ({"extra_body": {"no_such_field": 1}}, "no_such_field"),
        ({"extra_body": {"top_k": "x"}}, "top_k"),
    ],
)
def test_what_it_does_not_take_is_named(sdk: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        chat(sdk, **fields)
    assert str(refused.value.param).startswith(param)
    assert "/" not in refused.value.message
    assert len(refused.value.message) < 400


def test_its_own_fields_pass(sdk: openai.OpenAI) -> None:
    answer = chat(sdk, extra_body={"min_tokens": 9, "ignore_eos": True}, max_tokens=9, temperature=0)
    assert answer.usage.completion_tokens == 9


@pytest.mark.parametrize("stream", [True, False])
def test_leaving_frees_the_slot(behind: Behind, sdk: openai.OpenAI, stream: bool) -> None:
    url = f"{behind.served.base_url}/v1/chat/completions"
    body = {
        "model": "tiny",
        "messages": HELLO,
        "max_tokens": 900,
        "ignore_eos": True,
        "stream": stream,
        "n": 8,
    }
    caller = subprocess.Popen(
        ["curl", "-sN", url, "-H", "content-type: application/json", "-d", json.dumps(body)],
        stdout=subprocess.DEVNULL,
    )
    until(lambda: slots(behind.engine.uds) > 0, 30)
    caller.kill()
    caller.wait()
    until(lambda: slots(behind.engine.uds) == 0, 2)
    assert behind.engine.busy == 0


def test_a_death_in_mid_stream_is_told_and_mended(behind: Behind, sdk: openai.OpenAI) -> None:
    top = psutil.Process(behind.engine.pid)
    group = [top, *top.children(recursive=True)]
    assert len(group) >= 3  # its server, its engine, its worker

    def kill_at_the_third() -> None:
        chunks = chat(sdk, max_tokens=900, stream=True, n=8, extra_body={"ignore_eos": True})
        for number, _ in enumerate(chunks):
            if number == 3:
                top.kill()

    with pytest.raises(openai.APIError) as ended:
        kill_at_the_third()
    assert ended.value.code == "model_down"
    until(lambda: all(gone(process.pid) for process in group), 10)
    with pytest.raises(openai.APIStatusError) as refused:
        chat(sdk)
    assert (refused.value.status_code, refused.value.code) == (503, "model_down")
    assert int(refused.value.response.headers["retry-after"]) > 0
    until(lambda: _answers(sdk), 600)


def _answers(sdk: openai.OpenAI) -> bool:
    try:
        return bool(chat(sdk).choices)
    except openai.InternalServerError:
        time.sleep(0.5)
        return False
