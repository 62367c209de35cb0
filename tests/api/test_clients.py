"""LangChain and LlamaIndex, each in a process of the environment that holds them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .doors import Door

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-clients"
# Of what the tester's own shell holds, the programs get this; keys, proxies and tracing stay out.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


def told(door: Door, program: str) -> dict[str, Any]:
    """Runs `tests/clients/PROGRAM` against the door; returns the JSON it prints."""
    if not (ENVIRONMENT / "ready").exists():
        pytest.fail(f"{ENVIRONMENT.name} is missing or incomplete: `make test` creates it", pytrace=False)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    ran = subprocess.run(
        [ENVIRONMENT / "bin" / "python", ROOT / "tests" / "clients" / program],
        env={**kept, "OPENAI_BASE_URL": f"{door.base_url}/v1", "OPENAI_API_KEY": door.key},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if ran.returncode:
        pytest.fail(f"{program} failed:\n{ran.stderr}", pytrace=False)
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


@pytest.fixture(scope="module")
def langchain(door: Door) -> dict[str, Any]:
    return told(door, "with_langchain.py")


@pytest.fixture(scope="module")
def llamaindex(door: Door) -> dict[str, Any]:
    return told(door, "with_llamaindex.py")


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


def test_llamaindex_embeds_in_order(llamaindex: dict[str, Any]) -> None:
    found = llamaindex["embeddings"]
    assert (found["count"], found["sizes"]) == (23, [384])
    assert found["last"] == pytest.approx(found["last_alone"], abs=1e-4)
