"""`/v1/responses`, `/v1/completions` and `/tokenize` of real vLLM through the door, by the OpenAI SDK."""

import json
from typing import Any

import httpx2
import openai
from pydantic import BaseModel, Field

from tests.vllm.conftest import Behind

QUESTION = "Hello, what can you do?"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Bird(BaseModel):
    name: str = Field(max_length=12)
    sings: bool


def test_a_response(sdk: openai.OpenAI) -> None:
    answer = sdk.responses.create(model="gpt-4o", input=QUESTION, temperature=0)
    assert (answer.object, answer.model, answer.status) == ("response", "gpt-4o", "completed")
    assert answer.output_text
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    short = sdk.responses.create(model="tiny", input=QUESTION, temperature=0, max_output_tokens=2)
    assert short.status == "incomplete"
    assert short.incomplete_details is not None
    assert short.incomplete_details.reason == "max_output_tokens"


def test_a_streamed_response_says_the_same(sdk: openai.OpenAI) -> None:
    whole = sdk.responses.create(model="tiny", input=QUESTION, temperature=0)
    with sdk.responses.stream(model="tiny", input=QUESTION, temperature=0) as stream:
        events = list(stream)
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(pieces) == events[-1].response.output_text == whole.output_text
    assert events[-1].response.usage == whole.usage


def test_a_tool_is_called_and_its_output_read(sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "tiny", "tools": [WEATHER], "temperature": 1}
    said = {"role": "user", "content": "What is the weather in Oslo?"}
    named = {"type": "function", "name": "get_weather"}
    called = sdk.responses.create(**asked, input=[said], tool_choice=named, max_output_tokens=300)
    (call,) = (item for item in called.output if item.type == "function_call")
    assert call.name == "get_weather"
    assert set(json.loads(call.arguments)) == {"city"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}
    turns: Any = [said, call.model_dump(exclude_none=True), result]
    assert sdk.responses.create(**asked, input=turns, max_output_tokens=16).usage


def test_a_schema_is_kept(sdk: openai.OpenAI) -> None:
    answer = sdk.responses.parse(model="tiny", input="Tell me of a bird.", text_format=Bird, temperature=1)
    assert isinstance(answer.output_parsed, Bird)


def test_completions(sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "gpt-4o", "prompt": "The capital", "temperature": 0, "max_tokens": 8}
    whole = sdk.completions.create(**asked)
    assert whole.model == "gpt-4o"
    assert whole.choices[0].text
    *chunks, counted = sdk.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert counted.usage == whole.usage


def test_tokens_there_and_back(behind: Behind) -> None:
    with httpx2.Client(base_url=behind.served.base_url, timeout=60) as http:
        told = http.post("/tokenize", json={"model": "tiny", "prompt": QUESTION}).raise_for_status().json()
        assert told["count"] == len(told["tokens"]) > 0
        assert told["max_model_len"] == 1024
        back = http.post("/detokenize", json={"model": "tiny", "tokens": told["tokens"]})
        assert back.raise_for_status().json() == {"prompt": QUESTION}
