"""Every field of OpenAI's bodies on real vLLM: it does what it says, or it is refused by name."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import httpx2
import openai
import pytest
from pydantic import BaseModel, ConfigDict

from backends.contract.tasks import Surface
from backends.vllm.fields import SURFACES
from tests.vllm.conftest import Behind, until
from tests.vllm.standing import slots
from tests.vllm.test_vllm import BIRD, HELLO, WEATHER
from tools import chat_fields

END = "2"  # the checkpoint's <|im_end|>
STORY: list[Any] = [{"role": "user", "content": "Tell me a story about a fox."}]
NAMED = {"type": "function", "function": {"name": "get_weather"}}
FUNCTION: Any = {"type": "function", **WEATHER["function"]}
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"
    "Jggg=="
)
# A WAV of one sample: what is none does not come as far as vLLM.
SOUND = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQIAAAAAAA=="


class Room:
    """One endpoint, asked through the door; greedy and short where nothing else is said."""

    asks: ClassVar[dict[Surface, dict[str, Any]]] = {
        "chat": {"messages": HELLO, "temperature": 0, "max_tokens": 12},
        "completions": {"prompt": "Once upon a", "temperature": 0, "max_tokens": 12},
        "responses": {"input": "Hello, what can you do?", "temperature": 0, "max_output_tokens": 12},
    }

    def __init__(self, http: httpx2.Client, surface: Surface) -> None:
        self._http, self.surface = http, surface

    def post(self, **fields: Any) -> httpx2.Response:
        body = {"model": "tiny", **self.asks[self.surface], **fields}
        return self._http.post(SURFACES[self.surface].path, json=body)

    def document(self, **fields: Any) -> Any:
        answer = self.post(**fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def choice(self, **fields: Any) -> Any:
        return self.document(**fields)["choices"][0]

    def text(self, **fields: Any) -> str:
        document = self.document(**fields)
        if self.surface == "responses":
            return "".join(part["text"] for item in document["output"] for part in item.get("content", ()))
        choice = document["choices"][0]
        return str(choice["message"]["content"] if self.surface == "chat" else choice["text"])

    def babble(self, **fields: Any) -> str:
        """What it says when it may not end: it repeats itself."""
        most = "max_output_tokens" if self.surface == "responses" else "max_tokens"
        return self.text(**{most: 80, "ignore_eos": True, **fields})

    def calls(self, **fields: Any) -> Iterator[list[str]]:
        """The names of what some answers call, each of another seed; none of one that does not end."""
        for number in range(64):
            if self.surface == "responses":
                asked: Any = {"temperature": 1, "max_output_tokens": 300, "tools": [FUNCTION], **fields}
                items = self.document(**asked, seed=number)["output"]
                yield [item["name"] for item in items if item["type"] == "function_call"]
            else:
                asked = {"temperature": 1, "max_tokens": 300, "tools": [WEATHER], **fields}
                told = self.choice(**asked, seed=number)["message"].get("tool_calls") or ()
                yield [call["function"]["name"] for call in told]

    def events(self, **fields: Any) -> list[Any]:
        parts = self.post(**fields, stream=True).text.split("\n\n")
        data = [part.rpartition("data: ")[2] for part in parts if part]
        if self.surface != "responses":
            assert data.pop() == "[DONE]"
        return [json.loads(one) for one in data]

    def counted(self, **fields: Any) -> int:
        usage = self.document(**fields)["usage"]
        return int(usage.get("completion_tokens", usage.get("output_tokens")))

    def refuses(self, param: str, **fields: Any) -> bool:
        answer = self.post(**fields)
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert "/" not in error["message"]
        return str(error["param"]).startswith(param)


# --- what is honoured, by its effect -------------------------------------------------------------


def model(room: Room) -> bool:
    return bool(room.document(model="gpt-4o")["model"] == "gpt-4o")


def messages(room: Room) -> bool:
    return room.babble(temperature=1, seed=1) != room.babble(temperature=1, seed=1, messages=STORY)


def prompt(room: Room) -> bool:
    told = room.document(prompt=["Once", "The capital of"])
    ids = room.document(prompt=[5, 6, 7])
    return [one["index"] for one in told["choices"]] == [0, 1] and ids["usage"]["prompt_tokens"] == 3


def stream(room: Room) -> bool:
    if room.surface == "responses":
        told = [event.get("delta", "") for event in room.events() if "text.delta" in event["type"]]
        return "".join(told) == room.text()
    choices = [event["choices"][0] for event in room.events()]
    deltas = [one.get("text") or one.get("delta", {}).get("content") or "" for one in choices]
    return "".join(deltas) == room.text()


def stream_options(room: Room) -> bool:
    if room.surface == "responses":
        return room.refuses("stream_options", stream_options={"include_usage": True}, stream=True)
    last = room.events(stream_options={"include_usage": True})[-1]
    shown = any(event.get("usage") for event in room.events())
    return (
        bool(last["usage"])
        and not shown
        and room.refuses("stream_options", stream_options={"include_usage": True})
    )


def temperature(room: Room) -> bool:
    return room.text(temperature=2, seed=3) != room.text()


def top_p(room: Room) -> bool:
    narrow = room.text(temperature=2, top_p=0.0001, seed=1)
    return narrow == room.text() != room.text(temperature=2, seed=1)


def max_tokens(room: Room) -> bool:
    return room.counted(max_tokens=2) == 2


def max_completion_tokens(room: Room) -> bool:
    # The newer name counts where both are given.
    return room.counted(max_completion_tokens=2) == 2


def max_output_tokens(room: Room) -> bool:
    told = room.document(max_output_tokens=2)
    return told["usage"]["output_tokens"] == 2 and told["status"] == "incomplete"


def stop(room: Room) -> bool:
    whole = room.text()
    return room.text(stop=[whole[3:5]]) == whole[: whole.index(whole[3:5])]


def seed(room: Room) -> bool:
    hot = [room.babble(temperature=2, seed=number) for number in (1, 1, 2)]
    return hot[0] == hot[1] != hot[2]


def n(room: Room) -> bool:
    told = room.document(n=3, temperature=2)["choices"]
    return sorted(one["index"] for one in told) == [0, 1, 2]


def best_of(room: Room) -> bool:
    return bool(room.document(best_of=2, n=2, temperature=1)) and room.refuses("best_of", best_of=3)


def echo(room: Room) -> bool:
    return room.text(echo=True) == "Once upon a" + room.text()


def suffix(room: Room) -> bool:
    # For models that fill in the middle, which this one does not.
    return room.text(suffix="") == room.text() and room.refuses("suffix", suffix="the end")


def logprobs(room: Room) -> bool:
    if room.surface == "completions":
        told = room.choice(logprobs=2)["logprobs"]
        return all(len(top) in (2, 3) for top in told["top_logprobs"])
    told = room.choice(logprobs=True)["logprobs"]["content"]
    return all(one["logprob"] <= 0 and one["top_logprobs"] == [] for one in told) and bool(told)


def top_logprobs(room: Room) -> bool:
    if room.surface == "responses":
        asked: Any = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
        part = room.document(**asked)["output"][0]["content"][0]
        return all(len(one["top_logprobs"]) == 2 for one in part["logprobs"]) and room.refuses(
            "top_logprobs", top_logprobs=2
        )
    told = room.choice(logprobs=True, top_logprobs=4)["logprobs"]["content"]
    return all(len(one["top_logprobs"]) == 4 for one in told) and room.refuses("top_logprobs", top_logprobs=2)


def logit_bias(room: Room) -> bool:
    return room.text(logit_bias={END: 100}) in ("", "None") and room.refuses(
        "logit_bias", logit_bias={"9999999": 1}
    )


def presence_penalty(room: Room) -> bool:
    """Of a token that is sampled: the likeliest may be so by more than a penalty takes."""
    sampled = {"temperature": 1, "seed": 1}
    return room.babble(presence_penalty=2, **sampled) != room.babble(**sampled) == room.babble(**sampled)


def frequency_penalty(room: Room) -> bool:
    return room.babble(frequency_penalty=2) != room.babble()


def response_format(room: Room) -> bool:
    return set(json.loads(room.text(response_format=BIRD, max_tokens=200))) == {"name", "sings"}


def tools(room: Room) -> bool:
    """They are in the prompt."""
    one = WEATHER if room.surface == "chat" else FUNCTION
    name = "prompt_tokens" if room.surface == "chat" else "input_tokens"
    counts = [room.document(**fields)["usage"][name] for fields in ({"tools": [one]}, {})]
    where = "tools[1].function.name" if room.surface == "chat" else "tools[1].name"
    return counts[0] > counts[1] and room.refuses(where, tools=[one, one])


def tool_choice(room: Room) -> bool:
    named = {"type": "function", "name": "get_weather"} if room.surface == "responses" else NAMED
    for choice in (named, "required"):
        assert set(next(filter(None, room.calls(tool_choice=choice)))) == {"get_weather"}
    return room.refuses("tool_choice", tool_choice="required")


def parallel_tool_calls(room: Room) -> bool:
    """Where one may call several, it does for some seed; the same seed calls one where it may not."""
    pairs = zip(
        *(
            room.calls(temperature=1.5, tool_choice="required", parallel_tool_calls=many)
            for many in (True, False)
        ),
        strict=True,
    )
    return any(len(several) > 1 == len(single) for several, single in pairs)


def reasoning_effort(room: Room) -> bool:
    """The checkpoint's template has no effort: none is fine, and that is all."""
    return room.text(reasoning_effort="none") == room.text() and room.refuses(
        "reasoning_effort", reasoning_effort="high"
    )


def reasoning(room: Room) -> bool:
    plain = room.text(reasoning={"effort": "none", "summary": "auto"}) == room.text()
    return plain and room.refuses("reasoning.effort", reasoning={"effort": "high"})


def text(room: Room) -> bool:
    schema = {"type": "json_schema", **BIRD["json_schema"]}
    told = json.loads(room.text(text={"format": schema}, max_output_tokens=200))
    return set(told) == {"name", "sings"} and room.refuses("text.verbosity", text={"verbosity": "low"})


def instructions(room: Room) -> bool:
    counts = [room.document(instructions=said)["usage"]["input_tokens"] for said in ("Be brief.", None)]
    return bool(counts[0] > counts[1])


def given(room: Room) -> bool:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "What is the weather?"}]},
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "sunny"},
    ]
    return room.document(input=items)["usage"]["input_tokens"] > room.document()["usage"]["input_tokens"]


def include(room: Room) -> bool:
    told = room.document(include=["message.output_text.logprobs"])["output"][0]["content"][0]
    return bool(told["logprobs"]) and room.refuses("include[0]", include=["reasoning.encrypted_content"])


def truncation(room: Room) -> bool:
    long = "hello " * 1500
    return bool(room.document(input=long, truncation="auto")["output"]) and room.refuses("input", input=long)


EFFECTS: dict[str, Callable[[Room], bool]] = {
    "input": given,
    **{
        check.__name__: check
        for check in (
            model, messages, prompt, stream, stream_options, temperature, top_p, max_tokens,
            max_output_tokens, max_completion_tokens, stop, seed, n, best_of, echo, suffix, logprobs,
            top_logprobs, logit_bias, presence_penalty, frequency_penalty, response_format, tools,
            tool_choice, parallel_tool_calls,
            reasoning_effort, reasoning, text, instructions, include, truncation,
        )
    },
}  # fmt: skip
# Of what cannot change an answer, something that it may say.
SAID: dict[str, Any] = {
    "user": "ann", "metadata": {"a": "b"}, "safety_identifier": "x", "service_tier": "auto",
    "prompt_cache_key": "x", "prompt_cache_options": {"mode": "explicit"}, "prompt_cache_retention": "24h",
    "max_tool_calls": 3,
}  # fmt: skip
# Of what it does not have, something that asks for it.
WANTED: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"}, "function_call": {"name": "f"},
    "functions": [{"name": "f"}], "modalities": ["text", "audio"], "moderation": {"model": "x"},
    "prediction": {"type": "content", "content": "x"}, "store": True, "verbosity": "low",
    "web_search_options": {}, "background": True, "previous_response_id": "resp_1",
    "conversation": "conv_1", "prompt": {"id": "pmpt_1"}, "context_management": [{"type": "compaction"}],
    "access_programs": ["x"], "background_options": {}, "image": {},
}  # fmt: skip
SPOKEN: tuple[Surface, ...] = ("chat", "completions", "responses")
OPENAIS = {
    "chat": chat_fields.CHAT,
    "completions": chat_fields.COMPLETIONS,
    "responses": chat_fields.RESPONSES,
}
HONOURED = [(one, name) for one in SPOKEN for name in sorted(SURFACES[one].honoured)]
INERT = [(one, name) for one in SPOKEN for name in sorted(SURFACES[one].inert)]
REFUSED = [(one, name) for one in SPOKEN for name in sorted(SURFACES[one].neutral)]


@pytest.fixture
def http(behind: Behind) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=behind.served.base_url, timeout=120) as client:
        yield client


@pytest.mark.parametrize("surface", SPOKEN)
def test_every_field_has_its_line(surface: Surface) -> None:
    one = SURFACES[surface]
    parts = (one.honoured, one.inert, frozenset(one.neutral))
    assert frozenset().union(*parts) == frozenset(OPENAIS[surface])
    assert sum(map(len, parts)) == len(OPENAIS[surface])


@pytest.mark.parametrize(("surface", "field"), HONOURED)
def test_it_is_honoured(http: httpx2.Client, surface: Surface, field: str) -> None:
    assert EFFECTS[field](Room(http, surface))


@pytest.mark.parametrize(("surface", "field"), INERT)
def test_it_is_inert(http: httpx2.Client, surface: Surface, field: str) -> None:
    room = Room(http, surface)
    assert room.text(**{field: SAID[field]}) == room.text()


@pytest.mark.parametrize(("surface", "field"), REFUSED)
def test_it_is_refused(http: httpx2.Client, surface: Surface, field: str) -> None:
    room = Room(http, surface)
    assert room.refuses(field, **{field: WANTED[field]})
    for fine in (None, *SURFACES[surface].neutral[field]):
        assert room.text(**{field: fine}) == room.text()


# --- parts ---------------------------------------------------------------------------------------

PARTS: list[tuple[Surface, dict[str, Any]]] = [
    ("chat", {"type": "image_url", "image_url": {"url": PICTURE}}),
    ("chat", {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x.png"}}),
    ("chat", {"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}}),
    ("chat", {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{SOUND}"}}),
    ("chat", {"type": "audio_url", "audio_url": {"url": "https://127.0.0.1:1/x.wav"}}),
    ("chat", {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}),
    ("chat", {"type": "no_such_part", "no_such_part": 1}),
    ("responses", {"type": "input_image", "image_url": PICTURE, "detail": "auto"}),
    ("responses", {"type": "input_image", "image_url": "http://127.0.0.1:1/x.png"}),
    ("responses", {"type": "input_file", "file_id": "file-1"}),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("surface", "part"), PARTS)
def test_a_model_of_text_refuses_other_parts(
    http: httpx2.Client, surface: Surface, part: dict[str, Any], stream: bool
) -> None:
    name = "messages" if surface == "chat" else "input"
    said = [{"role": "user", "content": [part]}]
    assert Room(http, surface).refuses(f"{name}[0].content[0]", **{name: said}, stream=stream)


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_what_it_thought_may_come_back_by_either_name(http: httpx2.Client, name: str) -> None:
    thought = {"role": "assistant", "content": "Hi.", name: "They greet me."}
    assert Room(http, "chat").document(messages=[*HELLO, thought, *STORY])["usage"]["prompt_tokens"]


# --- completions and responses, whole ------------------------------------------------------------


@pytest.mark.parametrize(("surface", "field"), [("completions", "prompt"), ("responses", "input")])
@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_too_long_is_named(http: httpx2.Client, surface: Surface, field: str, stream: bool) -> None:
    for long in ("hello " * 1500, "x" * 200_000):
        error = Room(http, surface).post(**{field: long}, stream=stream).json()["error"]
        assert (error["code"], error["param"]) == ("context_length_exceeded", field)


def test_token_ids_that_it_does_not_have(http: httpx2.Client) -> None:
    assert Room(http, "completions").refuses("prompt", prompt=[5, 9_999_999])


class Bird(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sings: bool


def test_the_sdk_reads_responses(sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "gpt-4o", "input": "Hello", "temperature": 0, "max_output_tokens": 8}
    whole = sdk.responses.create(**asked)
    assert whole.model == "gpt-4o"
    with sdk.responses.stream(**asked) as stream:
        told = list(stream)
        final = stream.get_final_response()
    assert final.output_text == whole.output_text
    assert final.usage is not None
    assert whole.usage is not None
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert "".join(one.delta for one in told if one.type == "response.output_text.delta") == final.output_text
    assert [one.sequence_number for one in told if hasattr(one, "sequence_number")]
    parsed = sdk.responses.parse(model="tiny", input="Hello", text_format=Bird, max_output_tokens=60)
    assert isinstance(parsed.output_parsed, Bird)


def test_nothing_is_kept(behind: Behind, http: httpx2.Client) -> None:
    told = Room(http, "responses").document()
    assert told["store"] is False
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(behind.engine.uds))) as inner:
        assert inner.get(f"http://vllm/v1/responses/{told['id']}").status_code == 404


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("surface", ["completions", "responses"])
def test_leaving_frees_the_slot(behind: Behind, surface: Surface, stream: bool) -> None:
    # Enough to do that nobody misses it.
    long: dict[str, Any] = (
        {"max_output_tokens": 900} if surface == "responses" else {"max_tokens": 900, "n": 8}
    )
    asked = {**Room.asks[surface], **long, "temperature": 1, "ignore_eos": True, "stream": stream}
    url = f"{behind.served.base_url}{SURFACES[surface].path}"
    command = [
        "curl",
        "-sN",
        url,
        "-H",
        "content-type: application/json",
        "-d",
        json.dumps({**asked, "model": "tiny"}),
    ]
    caller = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until(lambda: slots(behind.engine.uds) > 0, 30)
    caller.kill()
    caller.wait()
    until(lambda: slots(behind.engine.uds) == 0, 2)


# --- tokens --------------------------------------------------------------------------------------


def test_tokens_there_and_back(http: httpx2.Client) -> None:
    text = "Hello there, grüß dich <|im_end|>"
    told = http.post("/tiny/tokenize", json={"prompt": text, "return_token_strs": True}).json()
    assert told["count"] == len(told["tokens"]) == len(told["token_strs"])
    assert told["max_model_len"] == 1024
    back = http.post("/detokenize", json={"model": "gpt-4o", "tokens": told["tokens"]}).json()
    assert back == {"prompt": text}


def test_a_conversation_is_counted_as_it_will_be_read(http: httpx2.Client) -> None:
    told = http.post("/tokenize", json={"model": "tiny", "messages": HELLO, "tools": [WEATHER]}).json()
    answer = Room(http, "chat").document(tools=[WEATHER])
    assert told["count"] == answer["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/tokenize", {"prompt": "a", "add_generation_prompt": True}, "add_generation_prompt"),
        ("/tokenize", {"messages": HELLO, "chat_template": "{{ 1 }}"}, "chat_template"),
        ("/tokenize", {"messages": HELLO, "no_such_field": 1}, "no_such_field"),
        (
            "/tokenize",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x"}}],
                    }
                ]
            },
            "messages[0].content[0].image_url",
        ),
        ("/detokenize", {"tokens": [1, 9_999_999]}, "tokens[1]"),
    ],
)
def test_what_it_cannot_read_is_named(
    http: httpx2.Client, path: str, fields: dict[str, Any], param: str
) -> None:
    answer = http.post(path, json={"model": "tiny", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
