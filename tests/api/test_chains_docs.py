"""What `docs/chains.md` shows is what there is: its fleets are served."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.sounds import wav
from tools.pages import blocks

from .doors import Behind, by_http
from .shown import completed

BLOCKS = blocks("docs/chains.md")
FLEETS = [block.text for block in BLOCKS if block.language == "yaml"]
SHOWN: list[str] = [name for text in FLEETS for name in yaml.safe_load(text)["models"]]
SOUND = wav(bytes(3200))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("hooks")
    for block in BLOCKS:
        if named := re.match(r"# (\w+\.py)\n", block.text):
            (folder / named[1]).write_text(block.text)
    behind = Behind(completed(*FLEETS), hooks=str(folder))
    yield behind
    behind.close()


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
