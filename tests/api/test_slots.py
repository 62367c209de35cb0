"""Four models of four verbs in a place for two, on the engines that ship with Motley. In this process
whatever `--door` says; `tests/ray/test_zero.py` has a slot on Ray."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest

from app.formats.audio import encode_whole
from backends.fleet.schema import Fleet
from tests.sounds import tone

from .doors import Behind, by_http, by_sdk

CHAT, HEAR, SPEAK, EMBED = "motley-demo-chat", "pocketsphinx-en", "espeak-ng", "all-minilm-l6-v2"
MODELS: dict[str, Any] = {
    CHAT: {"task": "chat", "engine": "onnxruntime-genai", "source": "builtin://demo_chat"},
    SPEAK: {"task": "speak", "engine": "espeak-ng", "source": "builtin://espeak-ng"},
    EMBED: {"task": "embed", "engine": "onnx", "source": "builtin://minilm"},
    HEAR: {"task": "transcribe", "engine": "pocketsphinx", "source": "builtin://pocketsphinx"},
}
REQUESTS, RATE = 48, 6.0


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    fleet = {
        "version": 1,
        "nodes": {"laptop": {"cpus": 2}},
        "slots": {"desk": {"place": {"node": "laptop"}, "most": 2}},
        "models": {name: {**model, "slot": "desk"} for name, model in MODELS.items()},
    }
    one = Behind(Fleet.model_validate(fleet))
    yield one
    one.close()


@pytest.fixture
def sdk(behind: Behind) -> Iterator[openai.OpenAI]:
    with by_sdk(behind) as client:
        yield client


@pytest.fixture
def http(behind: Behind) -> Iterator[httpx2.Client]:
    with by_http(behind) as client:
        yield client


def asks(sdk: openai.OpenAI) -> dict[str, Callable[[], bool]]:
    """By model: one request, and whether its answer is one."""
    said: Any = [{"role": "user", "content": "Hello!"}]
    heard = encode_whole([tone(1)], "wav")
    return {
        CHAT: lambda: bool(
            sdk.chat.completions.create(model=CHAT, messages=said, max_tokens=4).choices[0].message.content
        ),
        SPEAK: lambda: bool(
            sdk.audio.speech.create(model=SPEAK, voice="alloy", input="Hello", response_format="wav").content
        ),
        EMBED: lambda: len(sdk.embeddings.create(model=EMBED, input="a cat").data[0].embedding) == 384,
        HEAR: lambda: sdk.audio.transcriptions.create(model=HEAR, file=("a.wav", heard)).text is not None,
    }


class Looking:
    """What the slot is seen to hold, how long its loads take, and how long the machine stood still."""

    def __init__(self, behind: Behind) -> None:
        self._behind, self._stop = behind, threading.Event()
        self.most, self.slowest, self.stalled = 0, 0.0, 0.0
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            states = self._behind.upstream.states().values()
            self.most = max(self.most, sum(one.readiness in ("loading", "ready") for one in states))
            self.slowest = max(self.slowest, *(one.seconds for one in states))
            time.sleep(0.01)
            self.stalled = max(self.stalled, time.monotonic() - began)

    def __enter__(self) -> "Looking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_all_are_answered_and_nobody_waits_long(
    behind: Behind, sdk: openai.OpenAI, http: httpx2.Client
) -> None:
    by_model, dice = asks(sdk), random.Random(7)
    weights = [1 / rank for rank in range(1, len(MODELS) + 1)]
    order = dice.choices(list(MODELS), weights, k=REQUESTS)
    assert set(order) == set(MODELS)

    def timed(model: str) -> float:
        began = time.monotonic()
        assert by_model[model]()
        return time.monotonic() - began

    with Looking(behind) as seen, ThreadPoolExecutor(REQUESTS) as pool:
        asked = []
        for model in order:
            asked.append(pool.submit(timed, model))
            time.sleep(dice.expovariate(RATE))
        longest = max(one.result() for one in asked)
        answer = max(min(timed(model), timed(model)) for model in MODELS)  # the second one finds it there
    print(f"\nlongest wait {longest:.2f} s, slowest load {seen.slowest:.2f} s, stalled {seen.stalled:.2f} s")
    assert seen.most == 2
    assert longest <= 3 * seen.slowest + answer + seen.stalled + 1
    counted = [
        line for line in http.get("/metrics").text.splitlines() if line.startswith("motley_slot_swaps_total")
    ]
    assert sum(float(line.rpartition(" ")[2]) for line in counted) > len(MODELS)
    assert any(f'app="{CHAT}--main",instead_of="' in line for line in counted)


def test_it_tells_who_is_there_and_does_as_it_is_told(http: httpx2.Client) -> None:
    def state(model: str) -> str:
        return str(http.get(f"/v1/models/{model}").json()["state"])

    def until(model: str, wanted: str) -> None:
        deadline = time.monotonic() + 60
        while state(model) != wanted:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    assert http.post(f"/v1/models/{SPEAK}/load").status_code in (200, 202)
    until(SPEAK, "ready")
    assert http.get("/ready").status_code == 200
    told = http.get("/v1/fleet").json()["models"]
    assert told[SPEAK]["variants"]["main"]["slot"] == "desk"
    assert sum(bool(one["variants"]["main"]["replicas"]) for one in told.values()) == 2
    others = {model: state(model) for model in MODELS if model != SPEAK}
    assert http.post(f"/v1/models/{SPEAK}/unload").status_code == 202
    until(SPEAK, "cold")
    assert {model: state(model) for model in others} == others
