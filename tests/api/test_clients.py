"""LangChain, LlamaIndex and openai-node, each in a process of the environment that holds them."""

from typing import Any

import pytest

from tests.clients import judge, programs

from .doors import Door

CHAT = "motley-demo-chat"


def told(door: Door, program: str, *parts: str) -> dict[str, Any]:
    return programs.told(program, *parts, url=door.base_url, key=door.key, model=CHAT)


@pytest.fixture(scope="module")
def langchain(door: Door) -> dict[str, Any]:
    parts = ("chat", "tools", "structured", "embeddings", "tokens", "wrong_key")
    return told(door, "with_langchain.py", *parts)


@pytest.fixture(scope="module")
def llamaindex(door: Door) -> dict[str, Any]:
    return told(door, "with_llamaindex.py", "chat", "completions", "tools", "structured", "embeddings")


@pytest.fixture(scope="module")
def nodejs(door: Door) -> dict[str, Any]:
    return told(door, "with_openai.mjs", "chat", "tools", "structured", "refusals")


def test_langchain_chats(langchain: dict[str, Any]) -> None:
    chat = langchain["chat"]
    assert "Tokyo" in chat["whole"]
    assert chat["finish"] == "stop"
    assert chat["usage"]["total_tokens"] == chat["usage"]["input_tokens"] + chat["usage"]["output_tokens"] > 0


def test_langchain_streams(langchain: dict[str, Any]) -> None:
    chat = langchain["chat"]
    assert "Tokyo" in "".join(chat["pieces"])
    assert sum(map(bool, chat["pieces"])) > 3
    assert chat["stream_finish"] == "stop"
    assert [usage["output_tokens"] > 0 for usage in chat["stream_usage"]] == [True]


def test_langchain_sends_a_conversation(langchain: dict[str, Any]) -> None:
    """In `turns` our own answers are the history, and the last question is of another country."""
    assert "Tokyo" in langchain["chat"]["with_system"]
    assert "Paris" in langchain["chat"]["turns"]


def test_langchain_calls_a_tool(langchain: dict[str, Any]) -> None:
    judge.tool_calls(langchain["tools"])
    assert langchain["tools"]["free"]


def test_langchain_gets_its_schema(langchain: dict[str, Any]) -> None:
    judge.birds(langchain["structured"])


def test_langchain_embeds_1200_texts_in_order(langchain: dict[str, Any]) -> None:
    """It sends them by the thousand, so the last one comes with the second request."""
    found = langchain["embeddings"]
    assert (found["count"], found["sizes"]) == (1200, [384])
    assert found["first"] == pytest.approx(found["first_alone"], abs=1e-4)
    assert found["last"] == pytest.approx(found["last_alone"], abs=1e-4)
    assert found["last"] != pytest.approx(found["first"], abs=1e-2)


def test_langchain_is_told_why_token_ids_are_refused(langchain: dict[str, Any]) -> None:
    refused = langchain["tokens"]
    assert (refused["status"], refused["param"]) == (400, "input")
    assert "token ids" in refused["text"]
    assert "check_embedding_ctx_length=False" in refused["text"]


def test_langchain_is_told_of_a_wrong_key(langchain: dict[str, Any]) -> None:
    refused = langchain["wrong_key"]
    assert (refused["status"], refused["code"]) == (401, "invalid_api_key")


def test_llamaindex_chats(llamaindex: dict[str, Any]) -> None:
    chat = llamaindex["chat"]
    assert "Tokyo" in chat["whole"]
    assert chat["role"] == "assistant"
    assert chat["usage"]["total_tokens"] > chat["usage"]["completion_tokens"] > 0


def test_llamaindex_sends_a_conversation_or_a_prompt(llamaindex: dict[str, Any]) -> None:
    assert "Paris" in llamaindex["chat"]["turns"]
    assert "Tokyo" in llamaindex["chat"]["complete"]


@pytest.mark.parametrize("case", ["pieces", "stream_complete"])
def test_llamaindex_streams(llamaindex: dict[str, Any], case: str) -> None:
    pieces = llamaindex["chat"][case]
    assert "Tokyo" in "".join(pieces)
    assert sum(map(bool, pieces)) > 3


def test_llamaindex_completes(llamaindex: dict[str, Any]) -> None:
    found = llamaindex["completions"]
    assert found["whole"]
    judge.stream(found["pieces"], found["whole"], [found["usage"]])


def test_llamaindex_calls_a_tool(llamaindex: dict[str, Any]) -> None:
    judge.tool_calls(llamaindex["tools"])
    assert llamaindex["tools"]["free"]


def test_llamaindex_gets_its_schema(llamaindex: dict[str, Any]) -> None:
    judge.birds(llamaindex["structured"])


def test_llamaindex_embeds_in_order(llamaindex: dict[str, Any]) -> None:
    found = llamaindex["embeddings"]
    assert (found["count"], found["sizes"]) == (23, [384])
    assert found["last"] == pytest.approx(found["last_alone"], abs=1e-4)


def test_openai_node_chats_and_streams(nodejs: dict[str, Any]) -> None:
    chat = nodejs["chat"]
    assert "Tokyo" in chat["whole"]
    assert chat["finish"] == "stop"
    assert chat["request_id"]
    assert chat["usage"]["total_tokens"] > chat["usage"]["completion_tokens"] > 0
    assert chat["joined"] == chat["whole"]
    judge.stream(chat["pieces"], chat["whole"], chat["usages"])
    assert CHAT in chat["models"]


def test_openai_node_calls_a_tool(nodejs: dict[str, Any]) -> None:
    judge.tool_calls(nodejs["tools"])
    assert nodejs["tools"]["free"]


def test_openai_node_gets_its_schema(nodejs: dict[str, Any]) -> None:
    judge.birds(nodejs["structured"])


def test_openai_node_is_told_what_is_wrong(nodejs: dict[str, Any]) -> None:
    told = nodejs["refusals"]
    assert all(refused.pop("request_id") for refused in told.values())
    assert told["model"] == {"status": 404, "code": "model_not_found", "param": "model"}
    assert (told["field"]["status"], told["field"]["param"]) == (400, "no_such_field")
    assert (told["key"]["status"], told["key"]["code"]) == (401, "invalid_api_key")
