"""The page of clients says what the record says."""

from typing import Any

from tools.compatibility import document, merged

CHAT, RERANK = "POST /v1/chat/completions", "POST /v2/rerank"


def answer(client: str, endpoint: str, engine: str, *, streamed: bool = False) -> dict[str, Any]:
    told = {"client": client, "version": "1.2", "endpoint": endpoint, "engine": engine}
    return {**told, "streamed": streamed}


def ran(file: str, *answered: dict[str, Any], date: str = "2026-01-01") -> dict[str, Any]:
    told = {"tests": file, "date": date, "motley": "0.1", "passed": 1, "failed": 0}
    return {**told, "engines": {"onnx": "1.3"}, "answered": list(answered)}


def test_what_ran_replaces_its_own_and_nothing_else() -> None:
    one = answer("curl", CHAT, "onnx")
    first = merged({}, [ran("a", one), ran("b", one), ran("c", one), ran("d", one)], "abcd")
    again = merged(first, [ran("a", one, one, date="2026-02-02"), ran("b")], "abd")
    assert {file: (each["date"], len(each["answered"])) for file, each in again.items()} == {
        "a": ("2026-02-02", 2),  # newer
        "d": ("2026-01-01", 1),  # did not run again; b failed, c is no longer there
    }


def test_the_page() -> None:
    answers = [
        answer("curl", CHAT, "fake"),
        answer("curl", RERANK, "onnx"),
        answer("curl", RERANK, "cross-encoder"),
        answer("LangChain", CHAT, "vllm"),
        answer("LangChain", CHAT, "fake", streamed=True),
        answer("openai-node", CHAT, "vllm"),
        answer("openai-node", CHAT, "vllm", streamed=True),
    ]
    page = document(merged({}, [ran("tests/api/a.py", *answers)], ["tests/api/a.py"])).splitlines()
    head = page.index("|  | openai-node | LangChain | curl |")
    assert page[head + 2 : head + 4] == [
        f"| `{CHAT}` | both | whole (streamed) | (whole) |",
        f"| `{RERANK}` |  |  | whole |",
    ]
    node = page.index("## openai-node")
    assert page[node + 1] == "1.2"
    assert f"| `{CHAT}` | vllm | vllm |" in page[node:]
    assert f"| `{CHAT}` | vllm | fake |" in page
    assert f"| `{RERANK}` | cross-encoder, onnx |  |" in page
    assert page[-1] == "| [api/a.py](../tests/api/a.py) | 2026-01-01 | 0.1 | 1 | onnx 1.3 |"
