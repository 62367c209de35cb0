"""The engine `vllm` with a stand-in: completions, responses, tokens, reasoning, and what it refuses."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from backends.contract.errors import ContextExceeded, EngineFailed, InvalidRequest
from backends.contract.results import ChatChunk, Usage
from backends.contract.tasks import ChatTask, Surface
from backends.engines.vllm import Vllm
from backends.host import Host
from tests.vllm.stand_in import THOUGHT
from tests.vllm.standing import asked, engine

PICTURE = "data:image/png;base64,AAAA"
HELLO: dict[Surface, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "hello"}]},
    "completions": {"prompt": "hello"},
    "responses": {"input": "hello"},
    "tokenize": {"prompt": "hello"},
    "detokenize": {"tokens": [104, 105]},
}


# One start for all: no test here breaks it.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vllm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Vllm]:
    folder: Path = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text(json.dumps({"vocab_size": 200}))
    one = engine(folder)
    await one.load(lambda *_: None)
    yield one
    await one.close()


async def answer(vllm: Vllm, surface: Surface, **body: Any) -> list[ChatChunk]:
    task = ChatTask("r-1", {"model": "m", **HELLO[surface], **body}, 0, surface)
    async with aclosing(vllm.chat(task)) as chunks:
        return [chunk async for chunk in chunks]


async def document(vllm: Vllm, surface: Surface, **body: Any) -> Any:
    (chunk,) = await answer(vllm, surface, **body)
    return json.loads(chunk.events)


def read(chunks: list[ChatChunk]) -> list[tuple[str, Any]]:
    """(name, data) of every event of a response."""
    parts = b"".join(chunk.events for chunk in chunks).split(b"\n\n")
    assert parts.pop() == b""
    told = []
    for part in parts:
        name, data = part.split(b"\n")
        told.append((name.removeprefix(b"event: ").decode(), json.loads(data.removeprefix(b"data: "))))
    return told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Vllm]:
    """One that takes images."""
    folder: Path = tmp_path_factory.mktemp("seeing")
    (folder / "config.json").write_text(json.dumps({"vocab_size": 200, "image_token_id": 151}))
    added = [{"id": 150, "content": "<|im_end|>"}, {"id": 151, "content": "<|image_pad|>"}]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    one = engine(folder)
    await one.load(lambda *_: None)
    yield one
    await one.close()


PAD = "look: <|image_pad|>"


@pytest.mark.parametrize(
    ("surface", "body", "at"),
    [
        ("chat", {"messages": [{"role": "user", "content": PAD}]}, "messages[0].content"),
        (
            "chat",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": PAD}]}]},
            "messages[0].content[0].text",
        ),
        (
            "chat",
            {"messages": HELLO["chat"]["messages"], "tools": [{"function": {"parameters": {PAD: 1}}}]},
            "tools[0].function.parameters",
        ),
        ("completions", {"prompt": PAD}, "prompt"),
        ("completions", {"prompt": ["hello", PAD]}, "prompt[1]"),
        ("completions", {"prompt": [104, 151]}, "prompt[1]"),
        ("completions", {"prompt": [[104], [151]]}, "prompt[1][0]"),
        ("responses", {"input": PAD}, "input"),
    ],
)
async def test_cve_2026_44222_no_text_stands_for_an_image(
    seeing: Vllm, vllm: Vllm, surface: Surface, body: dict[str, Any], at: str
) -> None:
    """Defence: `backends/vllm/placeholders.py`."""
    with pytest.raises(InvalidRequest) as refused:
        await answer(seeing, surface, **body)
    assert refused.value.param == at
    # Of a model that takes none it is text like any other.
    if "tools" not in body:
        assert await answer(vllm, surface, **body)


async def test_numbers_that_are_no_tokens_pass(seeing: Vllm) -> None:
    assert await answer(seeing, "completions", prompt=[104, 105], max_tokens=151)
    assert await answer(seeing, "tokenize", prompt=PAD)


# --- completions ---------------------------------------------------------------------------------


async def test_completions_pass_and_are_counted(vllm: Vllm) -> None:
    content = await document(vllm, "completions", prompt=[5, 6], model="alias", suffix="", n=None)
    assert content["model"] == "alias"
    # What asks for nothing is not sent: vLLM takes neither an empty suffix nor a null for a number.
    assert content["echo"].keys() == {"model", "prompt"}
    chunks = await answer(vllm, "completions", stream=True)
    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(5, 3)]
    assert b'"usage":' not in b"".join(chunk.events for chunk in chunks).replace(rb"\"usage\":", b"")


async def test_a_completion_too_long_names_its_prompt(vllm: Vllm) -> None:
    with pytest.raises(ContextExceeded) as long:
        await answer(vllm, "completions", prompt="x" * 5000)
    assert long.value.param == "prompt"


# --- responses -----------------------------------------------------------------------------------


async def test_a_response_is_ours_and_kept_nowhere(vllm: Vllm) -> None:
    (chunk,) = await answer(vllm, "responses", model="alias", metadata={"model": "m"})
    content = json.loads(chunk.events)
    assert content["model"] == "alias"
    assert content["metadata"] == {"model": "m"}  # the caller's own stays
    assert content["output"][0]["content"][0]["text"] == 'a "model":"m"'
    assert (content["store"], content["echo"]["store"]) == (False, False)
    assert (chunk.usage, chunk.finish, chunk.tokens) == (Usage(5, 2), "stop", 2)


async def test_events_of_a_response(vllm: Vllm) -> None:
    chunks = await answer(
        vllm, "responses", model="alias", stream=True, stream_options={"include_obfuscation": False}
    )
    told = read(chunks)
    assert [name for name, _ in told] == [data["type"] for _, data in told]
    assert [data["sequence_number"] for _, data in told] == list(range(len(told)))
    assert {data["response"]["model"] for _, data in told if "response" in data} == {"alias"}
    text = "".join(data["delta"] for name, data in told if name == "response.output_text.delta")
    assert text == told[-1][1]["response"]["output"][0]["content"][0]["text"]
    assert '"model":"m"' in text
    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(5, 2)]
    assert b"[DONE]" not in b"".join(chunk.events for chunk in chunks)
    assert "stream_options" not in told[0][1]["response"]["echo"]


async def test_a_response_that_breaks_off_is_a_failure(vllm: Vllm) -> None:
    host = Host(vllm)
    host._readiness = "ready"  # loaded by the fixture
    seen: list[ChatChunk] = []

    async def listen() -> None:
        task = ChatTask("r-1", {"model": "m", "input": "!broken", "stream": True}, 0, "responses")
        async for batch in host.stream(task):
            seen.extend(batch)

    with pytest.raises(EngineFailed):
        await listen()
    assert seen
    assert await vllm.healthy()
    assert await answer(vllm, "responses")  # only that one was given up


async def test_a_response_too_long_names_its_input(vllm: Vllm) -> None:
    with pytest.raises(ContextExceeded) as long:
        await answer(vllm, "responses", input="x" * 5000, stream=True)
    assert long.value.param == "input"


def item(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": list(parts), **more}]}


FUNCTION = {"type": "function", "name": "f", "parameters": {}}
REFUSED: list[tuple[Surface, dict[str, Any], str]] = [
    ("responses", {"store": True}, "store"),
    ("responses", {"background": True}, "background"),
    ("responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
    ("responses", {"conversation": "conv_1"}, "conversation"),
    ("responses", {"prompt": {"id": "pmpt_1"}}, "prompt"),
    ("responses", {"previous_input_messages": []}, "previous_input_messages"),
    ("responses", {"no_such_field": 1}, "no_such_field"),
    ("responses", {"tools": [FUNCTION, {"type": "web_search"}]}, "tools[1].type"),
    ("responses", {"tools": [{"type": "mcp", "server_url": "http://127.0.0.1"}]}, "tools[0].type"),
    ("responses", {"tools": [{"type": "code_interpreter", "container": "c"}]}, "tools[0].type"),
    ("responses", {"tools": [FUNCTION, FUNCTION]}, "tools[1].name"),
    ("responses", {"tool_choice": {"type": "file_search"}}, "tool_choice"),
    ("responses", {"include": ["reasoning.encrypted_content"]}, "include[0]"),
    ("responses", {"top_logprobs": 2}, "top_logprobs"),
    ("responses", {"reasoning": {"effort": "high"}}, "reasoning.effort"),
    ("responses", {"reasoning": {"summary": "detailed"}}, "reasoning.summary"),
    ("responses", {"text": {"verbosity": "low"}}, "text.verbosity"),
    (
        "responses",
        {"stream": True, "stream_options": {"include_usage": True}},
        "stream_options.include_usage",
    ),
    (
        "responses",
        item({"type": "input_image", "image_url": "http://127.0.0.1/x.png"}),
        "input[0].content[0].image_url",
    ),
    ("responses", item({"type": "input_image", "file_id": "file-1"}), "input[0].content[0].file_id"),
    (
        "responses",
        item({"type": "input_file", "file_url": "http://127.0.0.1/x.pdf"}),
        "input[0].content[0].file_url",
    ),
    ("responses", item({"type": "input_file", "file_data": "AAAA"}), "input[0].content[0].type"),
    ("responses", {"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
    ("responses", {"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
    (
        "responses",
        {
            "input": [
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_image", "image_url": "file:///etc/hosts"}],
                }
            ]
        },
        "input[0].output[0].image_url",
    ),
    ("chat", {"reasoning_effort": "high"}, "reasoning_effort"),
    ("chat", {"request_id": "mine"}, "request_id"),
    (
        "chat",
        {"messages": [{"role": "assistant", "content": "x", "audio": {"id": "a"}}]},
        "messages[0].audio",
    ),
    (
        "chat",
        {"tools": [{"type": "function", "function": {"name": "f"}}] * 2},
        "tools[1].function.name",
    ),
    (
        "chat",
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        "messages[0].content[0].file",
    ),
    (
        "chat",
        {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": "https://x/y"}]}]},
        "messages[0].content[0].video_url",
    ),
    ("completions", {"best_of": 3}, "best_of"),
    ("completions", {"messages": []}, "messages"),
    ("tokenize", {"stream": True}, "stream"),
    ("tokenize", {"add_generation_prompt": True}, "add_generation_prompt"),
    ("tokenize", {"prompt": None, **HELLO["chat"], "chat_template": "{{ 1 }}"}, "chat_template"),
    (
        "tokenize",
        {"prompt": None, **HELLO["chat"], "continue_final_message": True, "add_generation_prompt": True},
        "continue_final_message",
    ),
    ("detokenize", {"tokens": [5, 200]}, "tokens[1]"),
]


@pytest.mark.parametrize(
    ("surface", "body", "param"), REFUSED, ids=[f"{one}-{param}" for one, _, param in REFUSED]
)
async def test_what_it_would_ignore_or_fetch_is_refused(
    vllm: Vllm, surface: Surface, body: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await answer(vllm, surface, **body)
    assert refused.value.param == param


async def test_what_asks_for_nothing_is_taken(vllm: Vllm) -> None:
    fine = {"store": False, "background": False, "previous_response_id": None, "max_tool_calls": 3}
    nothing = {"reasoning": {"effort": "none", "summary": "auto"}, "text": {"verbosity": "medium"}}
    assert await answer(vllm, "responses", **fine, **nothing, include=["file_search_call.results"])
    assert await answer(vllm, "responses", **item({"type": "input_image", "image_url": PICTURE}))
    assert await answer(vllm, "chat", reasoning_effort="none", store=False)
    assert await answer(vllm, "completions", best_of=2, n=2)


async def test_an_effort_is_passed_where_the_template_knows_one(tmp_path: Path) -> None:
    one = engine(tmp_path, env={"STAND_IN_THINKS": "1"})
    await one.load(lambda *_: None)
    try:
        said = await document(one, "chat", reasoning_effort="high")
        assert said["echo"]["reasoning_effort"] == "high"
        said = await document(one, "responses", reasoning={"effort": "low"})
        assert said["echo"]["reasoning"] == {"effort": "low"}
    finally:
        await one.close()


# --- tokens --------------------------------------------------------------------------------------


async def test_tokens_there_and_back(vllm: Vllm) -> None:
    told = await document(vllm, "tokenize", add_special_tokens=False)
    assert (told["count"], told["max_model_len"]) == (5, 1024)
    assert await document(vllm, "detokenize", tokens=told["tokens"]) == {"prompt": "hello"}


# --- reasoning -----------------------------------------------------------------------------------


async def test_reasoning_goes_by_both_names(vllm: Vllm) -> None:
    message = (await document(vllm, "chat", **asked("!think").body))["choices"][0]["message"]
    assert message["reasoning"] == message["reasoning_content"] == THOUGHT
    chunks = await answer(vllm, "chat", **asked("!think", stream=True).body)
    events = b"".join(chunk.events for chunk in chunks).split(b"\n\n")[:-1]
    deltas = [json.loads(event.removeprefix(b"data: "))["choices"][0]["delta"] for event in events]
    assert {"reasoning": THOUGHT, "reasoning_content": THOUGHT} in deltas
    assert sum("reasoning" in delta for delta in deltas) == 1
    assert "reasoning" not in (await document(vllm, "chat"))["choices"][0]["message"]
