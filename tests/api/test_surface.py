"""OpenAI's whole chat body, field by field, on every engine that reads it itself: what it says is
done, what cannot be done is refused by name, and nothing is ignored.

`fake` is left out, as it is for tests and takes anything; engines with a server behind them pass
the body on.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types import completion_create_params as of_completions
from openai.types.chat import completion_create_params as of_chat
from pydantic import BaseModel, ConfigDict

from backends.chat import asked, completions

ROOT = Path(__file__).parents[2]
PATH = "/v1/chat/completions"
MODELS = {"onnxruntime-genai": "motley-demo-chat"}
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
STORY: list[Any] = [{"role": "user", "content": "Tell me a story about a fox."}]
END = "2"  # the demo model's <|im_end|>

# The fields of OpenAI's CreateChatCompletionRequest, description 2.3.0.
FIELDS = {
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model", "moderation",
    "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "response_format",
    "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options",
    "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
}  # fmt: skip


class Room:
    """One model, asked through the door."""

    def __init__(self, http: httpx2.Client, model: str) -> None:
        self.http, self.model = http, model

    def post(self, **fields: Any) -> httpx2.Response:
        body = {"model": self.model, "messages": HELLO, "temperature": 0, **fields}
        return self.http.post(PATH, json=body)

    def document(self, **fields: Any) -> Any:
        answer = self.post(**fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def choice(self, **fields: Any) -> Any:
        return self.document(**fields)["choices"][0]

    def text(self, **fields: Any) -> str:
        return str(self.choice(**fields)["message"]["content"])

    def calls(self, **fields: Any) -> list[Any]:
        calls = self.choice(**fields)["message"].get("tool_calls", [])
        return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]

    def events(self, **fields: Any) -> list[Any]:
        lines = self.post(**fields, stream=True).text.split("\n\n")
        assert lines[-2:] == ["data: [DONE]", ""]
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def tool(name: str, *arguments: str, **more: Any) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {argument: {"type": "string"} for argument in arguments},
        "required": list(arguments),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


WEATHER, CLOCK = tool("get_weather", "city"), tool("get_time", "city")
ASK: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def as_schema(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


# --- each honoured field is seen to do what it says ----------------------------------------------


def model(room: Room) -> bool:
    return bool(room.document(model=room.model)["model"] == room.model)


def messages(room: Room) -> bool:
    return room.text() != room.text(messages=STORY)


def stream(room: Room) -> bool:
    told = "".join(event["choices"][0]["delta"].get("content", "") for event in room.events())
    return told == room.text()


def stream_options(room: Room) -> bool:
    last = room.events(stream_options={"include_usage": True})[-1]
    return bool(last["usage"] == room.document()["usage"]) and "usage" not in room.events()[-1]


def temperature(room: Room) -> bool:
    return room.text(temperature=2, seed=1) != room.text()


def top_p(room: Room) -> bool:
    return room.text(temperature=2, top_p=0, seed=1) == room.text()


def max_tokens(room: Room) -> bool:
    return bool(room.document(max_tokens=2)["usage"]["completion_tokens"] == 2)


def max_completion_tokens(room: Room) -> bool:
    return bool(room.document(max_completion_tokens=2)["usage"]["completion_tokens"] == 2)


def stop(room: Room) -> bool:
    whole = room.text()
    return room.text(stop=[whole[4:7]]) == whole[: whole.index(whole[4:7])]


def seed(room: Room) -> bool:
    hot = [room.text(temperature=2, seed=number, max_tokens=40) for number in (1, 1, 2)]
    return hot[0] == hot[1] != hot[2]


def n(room: Room) -> bool:
    return [choice["index"] for choice in room.document(n=3)["choices"]] == [0, 1, 2]


def logprobs(room: Room) -> bool:
    told = room.choice(logprobs=True)
    return "".join(one["token"] for one in told["logprobs"]["content"]) == told["message"]["content"]


def top_logprobs(room: Room) -> bool:
    told = room.choice(logprobs=True, top_logprobs=4)["logprobs"]["content"]
    return all(len(one["top_logprobs"]) == 4 for one in told)


def logit_bias(room: Room) -> bool:
    return room.choice(logit_bias={END: 100})["message"]["content"] == ""


def babbled(room: Room, **fields: Any) -> str:
    """What a model says that cannot end: it repeats itself."""
    return room.text(messages=STORY, logit_bias={END: -100}, max_tokens=100, **fields)


def presence_penalty(room: Room) -> bool:
    return babbled(room, presence_penalty=2) != babbled(room)


def frequency_penalty(room: Room) -> bool:
    return babbled(room, frequency_penalty=2) != babbled(room)


def response_format(room: Room) -> bool:
    person = json.loads(room.text(response_format=as_schema(PERSON)))
    return set(person) == {"name", "age"} and isinstance(person["age"], int)


def tools(room: Room) -> bool:
    calls = room.calls(messages=ASK, tools=[WEATHER])
    return calls == [("get_weather", {"city": "Paris"})] and room.calls(messages=ASK) == []


def tool_choice(room: Room) -> bool:
    named = {"type": "function", "function": {"name": "get_time"}}
    return (
        room.calls(tools=[WEATHER, CLOCK]) == []
        and len(room.calls(tools=[WEATHER, CLOCK], tool_choice="required")) > 0
        and {name for name, _ in room.calls(tools=[WEATHER, CLOCK], tool_choice=named)} == {"get_time"}
        and room.calls(messages=ASK, tools=[WEATHER], tool_choice="none") == []
    )


def parallel_tool_calls(room: Room) -> bool:
    # A model that cannot end calls again and again, as far as it is let.
    asked_for: dict[str, Any] = {"tools": [WEATHER], "tool_choice": "required", "logit_bias": {END: -100}}
    return len(room.calls(**asked_for)) > 1 == len(room.calls(**asked_for, parallel_tool_calls=False))


HONOURED: dict[str, Callable[[Room], bool]] = {
    check.__name__: check
    for check in (
        model, messages, stream, stream_options, temperature, top_p, max_tokens, max_completion_tokens,
        stop, seed, n, logprobs, top_logprobs, logit_bias, presence_penalty, frequency_penalty,
        response_format, tools, tool_choice, parallel_tool_calls,
    )
}  # fmt: skip
INERT: dict[str, Any] = {
    "user": "ann", "metadata": {"a": "b"}, "safety_identifier": "x", "service_tier": "auto",
    "prompt_cache_key": "x", "prompt_cache_options": {"mode": "explicit"}, "prompt_cache_retention": "24h",
}  # fmt: skip
REFUSED: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "function_call": {"name": "f"},
    "functions": [{"name": "f"}],
    "modalities": ["text", "audio"],
    "moderation": {"model": "omni-moderation-latest"},
    "prediction": {"type": "content", "content": "x"},
    "reasoning_effort": "high",
    "store": True,
    "verbosity": "low",
    "web_search_options": {},
}


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def room(http: httpx2.Client, request: pytest.FixtureRequest) -> Room:
    return Room(http, request.param)


def test_every_field_has_its_line() -> None:
    assert HONOURED.keys() | INERT.keys() | REFUSED.keys() == FIELDS
    assert (HONOURED.keys(), INERT.keys(), REFUSED.keys()) == (
        asked.HONOURED,
        asked.INERT,
        asked.NEUTRAL.keys(),
    )
    # What the SDK can send and the description does not name would be a line too.
    assert set(of_chat.CompletionCreateParamsBase.__annotations__) | {"stream"} <= FIELDS
    in_sdk = set(of_completions.CompletionCreateParamsBase.__annotations__) | {"stream"}
    assert in_sdk <= completions.HONOURED | completions.INERT | completions.NEUTRAL.keys()


@pytest.mark.parametrize("field", HONOURED)
def test_it_is_honoured(room: Room, field: str) -> None:
    assert HONOURED[field](room)


@pytest.mark.parametrize("field", INERT)
def test_it_is_inert(room: Room, field: str) -> None:
    assert room.choice(**{field: INERT[field]}) == room.choice()


@pytest.mark.parametrize("field", REFUSED)
def test_it_is_refused(room: Room, field: str) -> None:
    answer = room.post(**{field: REFUSED[field]})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field
    for fine in (None, *asked.NEUTRAL[field]):
        assert room.choice(**{field: fine}) == room.choice()


@pytest.mark.parametrize("field", ["top_k", "guided_json", "temprature", "suffix", "prompt"])
def test_an_unknown_field_is_refused(room: Room, field: str) -> None:
    answer = room.post(**{field: 1})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


def test_the_table_is_fresh() -> None:
    check = [sys.executable, str(ROOT / "tools" / "chat_fields.py"), "--check"]
    told = {"cwd": ROOT, "env": {"PYTHONPATH": str(ROOT)}, "capture_output": True, "text": True}
    done = subprocess.run(check, check=False, **told)
    assert done.returncode == 0, done.stderr
    table = (ROOT / "docs" / "chat-fields.md").read_text()
    assert all(f"| `{field}` |" in table for field in FIELDS)


# --- shapes --------------------------------------------------------------------------------------

WIDE = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "number": {"type": "number"},
        "many": {"type": "array", "items": {"type": "integer"}},
        "kind": {"enum": ["a", "b"]},
        "maybe": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    },
    "required": ["text", "number", "many", "kind", "maybe"],
}


@pytest.mark.parametrize(
    "shape", [{"type": "json_object"}, as_schema(PERSON), as_schema(WIDE), as_schema({})]
)
@pytest.mark.parametrize("heat", [0, 2])
def test_an_answer_that_ends_is_json(room: Room, shape: dict[str, Any], heat: float) -> None:
    ended = 0
    for number in range(4):
        choice = room.choice(response_format=shape, temperature=heat, seed=number)
        if choice["finish_reason"] == "stop":
            ended += 1
            value = json.loads(choice["message"]["content"])
            wanted = shape.get("json_schema", {}).get("schema", {}).get("required", [])
            assert set(wanted) <= (set(value) if isinstance(value, dict) else set())
    # Nothing in a schema is endless, so few answers reach the end of the context.
    assert ended >= 2


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nope"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"not": {"type": "string"}},
        {"pattern": "(?=a)"},
        [1],
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_a_schema_that_cannot_be_held_to(room: Room, schema: Any, streams: bool) -> None:
    answer = room.post(response_format=as_schema(schema), stream=streams)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "response_format.json_schema.schema"


class Person(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    age: int


def test_the_sdk_parses_into_a_class(sdk: openai.OpenAI) -> None:
    for demo in MODELS.values():
        said = sdk.chat.completions.parse(model=demo, messages=HELLO, response_format=Person, temperature=0)
        assert isinstance(said.choices[0].message.parsed, Person)


# --- tools ---------------------------------------------------------------------------------------


def test_a_call_in_one_document(room: Room) -> None:
    choice = room.choice(messages=ASK, tools=[WEATHER, CLOCK])
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert message["content"] is None
    (call,) = message["tool_calls"]
    assert call["id"].startswith("call_")
    assert call["type"] == "function"
    assert call["function"] == {"name": "get_weather", "arguments": '{"city": "Paris"}'}


def test_a_call_in_a_stream(room: Room) -> None:
    deltas, finishes = [], []
    for event in room.events(messages=ASK, tools=[WEATHER]):
        (choice,) = event["choices"]
        deltas += choice["delta"].get("tool_calls", [])
        finishes.append(choice["finish_reason"])
        assert not choice["delta"].get("content")
    first, *rest = deltas
    assert (first["index"], first["type"], first["function"]) == (
        0,
        "function",
        {"name": "get_weather", "arguments": ""},
    )
    assert len(rest) > 2
    assert json.loads("".join(part["function"]["arguments"] for part in rest)) == {"city": "Paris"}
    assert not any("id" in part for part in rest)
    assert finishes == [None] * (len(finishes) - 1) + ["tool_calls"]


def test_tools_that_are_not_needed_are_not_called(room: Room) -> None:
    with_tools = room.choice(tools=[WEATHER])
    assert with_tools["finish_reason"] == "stop"
    assert "tool_calls" not in with_tools["message"]
    assert with_tools["message"]["content"]


STRICT = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["kelvin"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}


def test_a_strict_tool_is_called_as_its_schema_says(room: Room) -> None:
    """The model knows of no unit: only the schema can have made it say one."""
    strict = tool("get_weather", strict=True)
    strict["function"]["parameters"] = STRICT
    ((name, arguments),) = room.calls(messages=ASK, tools=[strict])
    assert (name, set(arguments), arguments["unit"]) == ("get_weather", {"city", "unit"}, "kelvin")
    # And text is text, as it was.
    assert room.text(tools=[strict]) == room.text(tools=[tool("get_weather", "city", "unit")])


@pytest.mark.parametrize("heat", [0, 2])
def test_a_forced_call_fits_its_schema(room: Room, heat: float) -> None:
    for number in range(4):
        choice = room.choice(tools=[WEATHER, CLOCK], tool_choice="required", temperature=heat, seed=number)
        if choice["finish_reason"] == "length":
            continue
        assert choice["finish_reason"] == "tool_calls"
        for call in choice["message"]["tool_calls"]:
            assert set(json.loads(call["function"]["arguments"])) == {"city"}


def test_a_schema_of_a_tool_that_cannot_be_held_to(room: Room) -> None:
    bad = tool("f")
    bad["function"]["parameters"] = {"type": "object", "properties": {"a": {"not": {}}}}
    answer = room.post(tools=[WEATHER, bad], tool_choice="required")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "tools[1].function.parameters"


def test_a_call_and_its_answer_in_the_history(room: Room) -> None:
    call = room.choice(messages=ASK, tools=[WEATHER])["message"]
    known = {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "sunny, 20 degrees"}
    with_answer = room.document(messages=[*ASK, call, known], tools=[WEATHER])
    assert (
        with_answer["usage"]["prompt_tokens"]
        > room.document(messages=ASK, tools=[WEATHER])["usage"]["prompt_tokens"]
    )
    assert with_answer["choices"][0]["finish_reason"] == "stop"
    assert with_answer["choices"][0]["message"]["content"]
