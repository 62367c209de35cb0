"""The clients that people use, against real vLLM through the door. The model is too small for sense:
what is judged is structure."""

from typing import Any

import pytest

from tests.clients import judge, programs
from tests.vllm.conftest import Behind


def told(behind: Behind, program: str, *parts: str, model: str = "tiny") -> dict[str, Any]:
    return programs.told(program, *parts, url=behind.served.base_url, key="none", model=model)


@pytest.fixture(scope="module")
def langchain(behind: Behind) -> dict[str, Any]:
    return told(behind, "with_langchain.py", "chat", "tools", "structured", "responses")


@pytest.fixture(scope="module")
def llamaindex(behind: Behind) -> dict[str, Any]:
    return told(behind, "with_llamaindex.py", "chat", "completions", "tools", "structured")


@pytest.fixture(scope="module")
def nodejs(behind: Behind) -> dict[str, Any]:
    return told(behind, "with_openai.mjs", "chat", "tools", "structured", "responses", "refusals")


def test_langchain_chats_and_streams(langchain: dict[str, Any]) -> None:
    chat = langchain["chat"]
    assert all(chat[case] for case in ("whole", "with_system", "turns"))
    assert {chat["finish"], chat["stream_finish"]} <= {"stop", "length"}
    assert chat["usage"]["total_tokens"] == chat["usage"]["input_tokens"] + chat["usage"]["output_tokens"] > 0
    judge.stream(chat["pieces"], chat["whole"], chat["stream_usage"])


def test_langchain_calls_a_tool(langchain: dict[str, Any]) -> None:
    judge.tool_calls(langchain["tools"])


def test_langchain_gets_its_schema(langchain: dict[str, Any]) -> None:
    judge.birds(langchain["structured"])


def test_langchain_uses_responses(langchain: dict[str, Any]) -> None:
    told = langchain["responses"]
    judge.stream(told["pieces"], told["whole"], [told["usage"]])
    assert told["joined"] == told["whole"]
    assert told["turns"]
    ((name, arguments),) = told["called"]
    assert (name, set(arguments)) == ("get_weather", {"city"})


def test_llamaindex_chats_and_streams(llamaindex: dict[str, Any]) -> None:
    chat = llamaindex["chat"]
    assert all(chat[case] for case in ("whole", "turns", "complete"))
    assert chat["role"] == "assistant"
    judge.stream(chat["pieces"], chat["whole"], [chat["usage"]])
    judge.stream(chat["stream_complete"], chat["complete"], [chat["usage"]])


def test_llamaindex_completes(llamaindex: dict[str, Any]) -> None:
    told = llamaindex["completions"]
    judge.stream(told["pieces"], told["whole"], [told["usage"]])


def test_llamaindex_calls_a_tool(llamaindex: dict[str, Any]) -> None:
    judge.tool_calls(llamaindex["tools"])


def test_llamaindex_gets_its_schema(behind: Behind, llamaindex: dict[str, Any]) -> None:
    judge.birds(llamaindex["structured"])
    # Under a name of OpenAI's it asks by `response_format` instead of by a tool.
    judge.birds(told(behind, "with_llamaindex.py", "structured", model="gpt-4o")["structured"])


def test_openai_node_chats_and_streams(nodejs: dict[str, Any]) -> None:
    chat = nodejs["chat"]
    assert chat["whole"]
    assert chat["joined"] == chat["whole"]
    assert chat["finish"] in ("stop", "length")
    assert chat["request_id"]
    assert chat["usage"]["total_tokens"] > chat["usage"]["completion_tokens"] > 0
    judge.stream(chat["pieces"], chat["whole"], chat["usages"])
    assert chat["models"] == ["tiny"]


def test_openai_node_calls_a_tool(nodejs: dict[str, Any]) -> None:
    judge.tool_calls(nodejs["tools"])


def test_openai_node_gets_its_schema(nodejs: dict[str, Any]) -> None:
    judge.birds(nodejs["structured"])


def test_openai_node_uses_responses(nodejs: dict[str, Any]) -> None:
    told = nodejs["responses"]
    assert told["status"] == "completed"
    assert told["types"][0] == "response.created"
    assert told["types"][-1] == "response.completed"
    assert "".join(told["pieces"]) == told["completed"] == told["joined"] == told["whole"]
    assert told["usage"]["total_tokens"] == told["usage"]["input_tokens"] + told["usage"]["output_tokens"]
    judge.birds({"parsed": told["parsed"]})


def test_openai_node_is_told_what_is_wrong(nodejs: dict[str, Any]) -> None:
    wrong = nodejs["refusals"]
    assert (wrong["model"]["status"], wrong["model"]["code"]) == (404, "model_not_found")
    assert (wrong["field"]["status"], wrong["field"]["param"]) == (400, "no_such_field")
