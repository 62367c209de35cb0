"""What `docs/chains.md` shows is what there is: its fleets are served, its programs run."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.fleet.agree import agree
from backends.fleet.schema import Fleet
from tests.sounds import wav

from .doors import Behind, by_http, by_sdk

DOCS = Path(__file__).parents[2] / "docs" / "chains.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
SHOWN: dict[str, Any] = {
    name: model
    for kind, text in BLOCKS
    if kind == "yaml"
    for name, model in yaml.safe_load(text)["models"].items()
}
TASKS = {"whisper": "transcribe", "llm": "chat", "tts": "speak", "bge": "embed", "bge-reranker": "rerank"}
SOUND = wav(bytes(3200))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("hooks")
    for text in PYTHON:
        if named := re.match(r"# (\w+\.py)\n", text):
            (folder / named[1]).write_text(text)
    place = {"source": "builtin://any", "place": {"node": "here"}}
    models: dict[str, Any] = {
        name: {"task": task, "engine": "espeak-ng" if task == "speak" else "fake", **place}
        for name, task in TASKS.items()
    }
    fleet = Fleet.model_validate({"version": 1, "nodes": {"here": {}}, "models": {**models, **SHOWN}})
    assert agree(fleet) == []
    behind = Behind(fleet, hooks=str(folder))
    yield behind
    behind.close()


def test_the_program_runs(door: Behind) -> None:
    (program,) = (text for text in PYTHON if "client." in text)
    with by_sdk(door) as client:
        names: dict[str, Any] = {
            "client": client, "base64": base64, "sound": base64.b64encode(SOUND).decode()
        }  # fmt: skip
        exec(program, names)
    assert names["spoken"].startswith(b"RIFF")


CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "Sincerely !tell Sincerely"}]}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "audio-chat": (CHAT, {"json": HELLO}),
    "search": (
        "/v1/rerank",
        {"json": {"query": "fox", "documents": [f"fox {number}" for number in range(60)]}},
    ),
    "translator": (CHAT, {"json": HELLO}),
    "minutes": ("/v1/audio/transcriptions", {"files": {"file": ("a.wav", SOUND, "audio/wav")}}),
    "newsreader": ("/v1/audio/speech", {"json": {"input": "1 fox", "voice": "nova"}}),
    "front-desk": (CHAT, {"json": HELLO}),
    "polite": (CHAT, {"json": HELLO}),
}


@pytest.mark.parametrize("name", SHOWN)
def test_every_chain_answers(door: Behind, name: str) -> None:
    path, body = ASKED[name]
    with by_http(door) as http:
        answer = http.post(f"/{name}{path}", **body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-motley-steps"]
    if name == "polite":
        assert "Yours sincerely" in answer.text
