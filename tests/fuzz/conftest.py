"""A fleet of fakes behind a door of its own, on a socket; whatever is sent, it stands afterwards."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.api.doors import Behind, by_http, on_one_node
from tests.api.wire import until

# Each verb's, and one that can speak in a voice made from a recording.
FAKES = {
    "chat": {"task": "chat"},
    "ear": {"task": "transcribe"},
    "voice": {"task": "speak", "options": {"samples": True}},
    "vectors": {"task": "embed"},
    "judge": {"task": "rerank"},
}
BODY_S = 1.0  # so that a body that stops coming is soon over


@pytest.fixture(scope="module")
def door() -> Iterator[Behind]:
    base = {"engine": "fake", "source": "builtin://fake", "scale": {"max_ongoing": 256}}
    fleet = on_one_node({name: {**base, **model} for name, model in FAKES.items()})
    one = Behind(
        fleet, body_s=BODY_S, max_upload_mb=4, max_body_mb=2, voices="memory://fuzz", open_to_all=True
    )
    yield one
    one.close()


@pytest.fixture(autouse=True)
def stands(door: Behind) -> Iterator[None]:
    """It answers as before, and nothing works on for a caller who has left."""
    yield
    until(lambda: not any(door.busy(model) for model in FAKES))
    with by_http(door) as client:
        assert client.get("/ready").json()["status"] == "ready"
        ask = {"model": "chat", "messages": [{"role": "user", "content": "!words 1"}]}
        answer: httpx2.Response = client.post("/v1/chat/completions", json=ask)
        assert answer.json()["choices"][0]["message"]["content"] == "w0 "


@pytest.fixture(scope="session")
def many(request: pytest.FixtureRequest) -> int:
    """Requests of each kind of fuzzing."""
    return int(request.config.getoption("--fuzz")) // 2


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--fuzz-seed"))
