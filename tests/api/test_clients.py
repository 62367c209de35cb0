"""LangChain, LlamaIndex, the Cohere SDK, openai-node: each in a process of the environment that holds it."""

import json
import subprocess
from typing import Any

import httpx2
import pytest

from tests.clients import judge, programs, question

from .doors import Door

CHAT = "motley-demo-chat"


def told(door: Door, program: str, *parts: str) -> dict[str, Any]:
    return programs.told(program, *parts, url=door.base_url, key=door.key, model=CHAT)


@pytest.fixture(scope="module")
def langchain(door: Door) -> dict[str, Any]:
    parts = ("chat", "tools", "structured", "embeddings", "wrong_key")
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


def test_langchain_embeds_1200_texts_in_order_with_its_defaults(langchain: dict[str, Any]) -> None:
    """As OpenAI's token ids, by the thousand: the last one comes with the second request."""
    found = langchain["embeddings"]
    assert (found["count"], found["sizes"]) == (1200, [384])
    assert found["first"] == pytest.approx(found["first_alone"], abs=1e-4)
    assert found["last"] == pytest.approx(found["last_as_text"], abs=1e-4)
    assert found["last"] != pytest.approx(found["first"], abs=1e-2)
    assert found["narrow"] == 64


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


TALK = {"model": CHAT, "messages": [{"role": "user", "content": "What is the capital of Japan?"}]}
ASKED_BY_CURL: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat": ("/v1/chat/completions", TALK, "Tokyo"),
    "a stream": ("/v1/chat/completions", {**TALK, "stream": True}, "[DONE]"),
    "an alias": ("/llm/v1/chat/completions", {"messages": TALK["messages"]}, '"role"'),
    "completions": ("/v1/completions", {"model": CHAT, "prompt": "Hello"}, "text_completion"),
    "tokens": ("/tokenize", {"model": CHAT, "prompt": "Hello"}, "tokens"),
    "embeddings": ("/v1/embeddings", {"model": "all-minilm-l6-v2", "input": "a cat"}, "embedding"),
    "reranking": (
        "/v1/rerank",
        {"model": question.MODEL, "query": question.QUERY, "documents": question.DOCUMENTS},
        "relevance_score",
    ),
}


@pytest.mark.parametrize("what", ASKED_BY_CURL)
def test_curl_asks_with_a_line(door: Door, what: str) -> None:
    path, body, said = ASKED_BY_CURL[what]
    key = f"Authorization: Bearer {door.key}"
    command = ["curl", "-sSN", "--fail-with-body", f"{door.base_url}{path}", "-H", key]
    command += ["-H", "content-type: application/json", "-d", json.dumps(body)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert said in done.stdout


@pytest.fixture(scope="module")
def cohere(door: Door) -> dict[str, Any]:
    return told(door, "with_cohere.py", "first", "second", "refusals")


@pytest.fixture(scope="module")
def rerankers(door: Door) -> dict[str, Any]:
    frameworks = ("langchain", "llamaindex")
    return {name: told(door, "with_rerankers.py", name)[name] for name in frameworks}


@pytest.fixture(scope="module")
def right(door: Door) -> list[list[Any]]:
    """What plain HTTP is told: `[[index, score], …]`."""
    body = {"model": question.MODEL, "query": question.QUERY, "documents": question.DOCUMENTS}
    headers = {"authorization": f"Bearer {door.key}"}
    answer = httpx2.post(f"{door.base_url}/v1/rerank", json=body, headers=headers, timeout=60)
    results = answer.json()["results"]
    assert results[0]["index"] == 1
    return [[one["index"], pytest.approx(one["relevance_score"], abs=1e-6)] for one in results]


@pytest.mark.parametrize(("client", "version"), [("first", "1"), ("second", "2")])
def test_the_cohere_sdk_ranks(
    cohere: dict[str, Any], right: list[list[Any]], client: str, version: str
) -> None:
    whole, top = cohere[client]["whole"], cohere[client]["top"]
    assert (whole["results"], top["results"]) == (right, right[:2])
    assert (whole["version"], whole["units"], whole["tokens"] > 0) == (version, 1, True)
    assert whole["id"]
    assert top["documents"] == []


def test_the_cohere_sdk_ranks_by_a_field_awaited_and_by_an_alias(
    cohere: dict[str, Any], right: list[list[Any]]
) -> None:
    books = cohere["first"]["books"]
    assert books["results"] == right[:1]
    assert books["documents"] == [{"title": "1", "plot": question.DOCUMENTS[1]}]
    assert cohere["second"]["awaited"]["results"] == right[:1]
    assert cohere["second"]["by_alias"]["results"] == right


def test_the_cohere_sdk_is_told_what_is_wrong(cohere: dict[str, Any]) -> None:
    refused = cohere["refusals"]
    assert {name: (one["status"], one["kind"]) for name, one in refused.items()} == {
        "model": (404, "NotFoundError"),
        "query": (400, "BadRequestError"),
        "key": (401, "UnauthorizedError"),
    }
    assert refused["query"]["body"]["error"]["param"] == "query"


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_coheres_and_jinas_rerankers_rank(
    rerankers: dict[str, Any], right: list[list[Any]], framework: str
) -> None:
    told = rerankers[framework]
    assert (told["cohere"], told["jina"]) == (right[:3], right[:3])
    assert "nobody" in told["refused"]


def test_langchain_ranks_objects(rerankers: dict[str, Any]) -> None:
    """As YAML, which it makes of them itself."""
    assert rerankers["langchain"]["books"][0]["index"] == 1
