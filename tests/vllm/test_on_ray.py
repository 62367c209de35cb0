"""Real vLLM behind the door on Ray: one `motley up`, whose vLLM and replica are killed at the end."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest
import yaml

from tests.clients import judge, programs
from tests.running import Running
from tests.vllm.conftest import OPTIONS, until
from tests.vllm.standing import gone, measured, slots

# Eight answers as long as the window allows, whatever the model would like.
LONG: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "Hello, what can you do?"}],
    "max_tokens": 900,
    "ignore_eos": True,
    "n": 8,
}
SHORT: dict[str, Any] = {"model": "tiny", "messages": LONG["messages"], "max_tokens": 8}
GENERATED = "vllm:generation_tokens_total"


def write_fleet(folder: Path, checkpoint: Path, *fallback: str) -> Path:
    place = {"node": "laptop"}
    fleet = {
        "version": 1,
        "nodes": {"laptop": {"vendor": "cpu", "cpus": 2, "memory": "8Gi"}},
        "models": {
            "tiny": {
                "task": "chat",
                "aliases": ["gpt-4o"],
                "engine": "vllm",
                "source": f"file://{checkpoint}",
                "options": OPTIONS,
                "place": place,
                "fallback": list(fallback),
            },
            "spare": {
                "task": "chat",
                "engine": "onnxruntime-genai",
                "source": "builtin://demo_chat",
                "place": place,
            },
        },
    }
    file = folder / f"{'-'.join(['fleet', *fallback])}.yaml"
    file.write_text(yaml.safe_dump(fleet))
    return file


@pytest.fixture(scope="module")
def motley(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(write_fleet(tmp_path_factory.mktemp("fleet"), checkpoint), within=600)
    yield running
    running.stop()


@pytest.fixture
def sdk(motley: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{motley.url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


def child(motley: Running) -> psutil.Process:
    """vLLM's own process, among those of the replica."""
    replica = psutil.Process(motley.replica("tiny")["pid"])
    (found,) = (
        one
        for one in replica.children(recursive=True)
        if one.cmdline()[1:3] == ["-m", "vllm.entrypoints.cli.main"]
    )
    return found


def socket_of(process: psutil.Process) -> Path:
    command = process.cmdline()
    return Path(command[command.index("--uds") + 1])


def post(motley: Running, body: dict[str, Any]) -> httpx2.Response:
    return httpx2.post(f"{motley.url}/v1/chat/completions", json=body, timeout=120)


def test_it_answers_and_streams(sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "gpt-4o",
        "messages": LONG["messages"],
        "temperature": 0,
        "max_tokens": 16,
    }
    raw = sdk.chat.completions.with_raw_response.create(**asked)
    assert (raw.headers["x-motley-engine"], raw.headers["x-motley-node"]) == ("vllm", "laptop")
    whole = raw.parse()
    assert whole.model == "gpt-4o"
    *chunks, counted = sdk.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(pieces) == whole.choices[0].message.content
    assert counted.usage == whole.usage


def test_clients(motley: Running) -> None:
    asked = {"url": motley.url, "key": "none", "model": "tiny"}
    told = programs.told("with_langchain.py", "chat", "tools", "structured", **asked)
    judge.stream(told["chat"]["pieces"], told["chat"]["whole"], told["chat"]["stream_usage"])
    judge.tool_calls(told["tools"])
    judge.birds(told["structured"])


@pytest.mark.parametrize("stream", [True, False])
def test_leaving_frees_the_slot(motley: Running, stream: bool) -> None:
    uds = socket_of(child(motley))
    before = measured(uds, GENERATED)
    url = f"{motley.url}/v1/chat/completions"
    # Most of its choices wait for the eight that run: on no machine is all of it written soon.
    choices = 32
    body = json.dumps({**LONG, "n": choices, "stream": stream})
    caller = subprocess.Popen(
        ["curl", "-sN", url, "-H", "content-type: application/json", "-d", body], stdout=subprocess.DEVNULL
    )
    until(lambda: slots(uds) > 0, 30)
    caller.kill()
    caller.wait()
    until(lambda: slots(uds) == 0, 2)
    # It was not at the end of its answer.
    assert measured(uds, GENERATED) - before < choices * LONG["max_tokens"] / 2


def streamed_until_killed(motley: Running, kill: Callable[[], None]) -> list[dict[str, Any]]:
    """The events of an answer during which somebody is killed. Raises when it does not end as HTTP
    wants it."""
    events: list[dict[str, Any]] = []
    with httpx2.stream(
        "POST", f"{motley.url}/v1/chat/completions", json={**LONG, "stream": True}, timeout=120
    ) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))  # `[DONE]` is not JSON
                if len(events) == 20:
                    kill()
    return events


def ends_with_one_error(events: list[dict[str, Any]]) -> None:
    assert ["error" in event for event in events] == [False] * (len(events) - 1) + [True]
    error = events[-1]["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("server_error", "model_down")


def test_a_killed_child_is_told_and_mended(motley: Running, checkpoint: Path, tmp_path: Path) -> None:
    pid, top = motley.replica("tiny")["pid"], child(motley)
    group = [top, *top.children(recursive=True)]
    assert len(group) >= 3  # its server, its engine, its worker
    ends_with_one_error(streamed_until_killed(motley, top.kill))
    refused = post(motley, SHORT)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_down")
    assert int(refused.headers["retry-after"]) >= 1
    until(lambda: all(gone(process.pid) for process in group), 10)
    # The fleet learns of a fallback while the model is away: no process is replaced for that.
    motley.deploy(write_fleet(tmp_path, checkpoint, "spare"))
    until(lambda: post(motley, SHORT).status_code == 200, 15)
    instead = post(motley, SHORT)
    assert instead.headers["x-motley-fallback"] == instead.json()["model"] == "spare"
    assert (instead.headers["x-motley-variant"], instead.headers["x-motley-engine"]) == (
        "main",
        "onnxruntime-genai",
    )
    until(lambda: serves_itself(motley), 600)
    assert motley.replica("tiny")["pid"] == pid


def test_a_killed_replica_leaves_nothing_and_is_replaced(motley: Running) -> None:
    """Its fallback answers meanwhile."""
    replica = psutil.Process(motley.replica("tiny")["pid"])
    family = replica.children(recursive=True)
    assert child(motley) in family

    def kill() -> None:
        os.kill(replica.pid, signal.SIGKILL)

    ends_with_one_error(streamed_until_killed(motley, kill))
    instead = post(motley, SHORT)
    assert (instead.status_code, instead.headers["x-motley-fallback"]) == (200, "spare")
    until(lambda: all(gone(process.pid) for process in (replica, *family)), 10)
    until(lambda: serves_itself(motley), 600)
    assert motley.replica("tiny")["pid"] != replica.pid


def serves_itself(motley: Running) -> bool:
    answer = post(motley, SHORT)
    assert answer.status_code == 200
    return "x-motley-fallback" not in answer.headers
