"""Light load on all five verbs while something dies, and what became of it."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from app.formats.audio import encode_whole
from tests.ray.nodes import Nodes
from tests.running import ROOT
from tests.sounds import tone

ROOMS = ROOT / "tests" / "data" / "fleets" / "rooms.yaml"
FAR = ("pocketsphinx-en", "espeak-ng")
NEAR = ("motley-demo-chat", "all-minilm-l6-v2")
BOTH = "minilm-reranker"
PATIENCE_S = 60
EVERY_S = 0.5
EARLY_S = 5  # after the kill


@dataclass(frozen=True)
class Answer:
    """`sent` and `came` are moments, as `time.monotonic` gives them; `status` is 0 for none at all."""

    model: str
    sent: float
    came: float
    status: int
    code: str | None = None
    retry_after: int = 0
    retried: bool = False

    @property
    def took(self) -> float:
        return self.came - self.sent


def questions() -> dict[str, tuple[str, dict[str, Any]]]:
    """Model → (path, what to post)."""
    sound = ("tone.wav", encode_whole([tone(0.5)], "wav"), "audio/wav")
    hello = [{"role": "user", "content": "Hello"}]
    spoken = {"voice": "nova", "input": "Hello there.", "response_format": "wav"}
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "motley-demo-chat": ("chat/completions", {"json": {"messages": hello, "max_tokens": 4}}),
        "all-minilm-l6-v2": ("embeddings", {"json": {"input": "a cat"}}),
        "minilm-reranker": ("rerank", {"json": {"query": "cat", "documents": ["a cat", "a dog"]}}),
        "espeak-ng": ("audio/speech", {"json": spoken}),
        "pocketsphinx-en": ("audio/transcriptions", {"data": {}, "files": {"file": sound}}),
    }
    for model, (_, what) in asked.items():
        what["json" if "json" in what else "data"]["model"] = model
    return asked


def caller() -> httpx2.Client:
    """One for many threads: making one takes longer than most answers. A connection for each request."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx2.Client(timeout=PATIENCE_S, limits=limits)


def ask(client: httpx2.Client, url: str, model: str, path: str, what: dict[str, Any]) -> Answer:
    sent = time.monotonic()
    try:
        answer = client.post(f"{url}/v1/{path}", **what)
    except httpx2.HTTPError as error:
        return Answer(model, sent, time.monotonic(), 0, type(error).__name__)
    came = time.monotonic()
    kind = answer.headers.get("content-type", "")
    code = None
    if answer.is_error:
        code = answer.json()["error"]["code"] if kind == "application/json" else answer.text
    return Answer(
        model, sent, came, answer.status_code, code,
        int(answer.headers.get("retry-after", 0)), "x-motley-retry" in answer.headers,
    )  # fmt: skip


class Load:
    """Asks every model every so often, whatever became of the question before."""

    def __init__(self, url: str) -> None:
        self._url, self._stop, self._lock = url, threading.Event(), threading.Lock()
        self._answers: list[Answer] = []

    @contextmanager
    def running(self, every: float = EVERY_S) -> Iterator["Load"]:
        asked = questions()
        with caller() as client, ThreadPoolExecutor(200) as pool:

            def go(model: str) -> None:
                path, what = asked[model]
                while not self._stop.is_set():
                    pool.submit(lambda: self._take(ask(client, self._url, model, path, what)))
                    self._stop.wait(every)

            beats = [threading.Thread(target=go, args=(model,)) for model in asked]
            for beat in beats:
                beat.start()
            try:
                yield self
            finally:
                self._stop.set()
                for beat in beats:
                    beat.join()

    def _take(self, answer: Answer) -> None:
        with self._lock:
            self._answers.append(answer)

    def of(self, *models: str) -> list[Answer]:
        with self._lock:
            return sorted((one for one in self._answers if one.model in models), key=lambda one: one.sent)

    def until(self, true: Callable[[], bool], within: float) -> None:
        deadline = time.monotonic() + within
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(str(self.of(*FAR, *NEAR, BOTH)[-20:]))
            time.sleep(0.05)


@dataclass(frozen=True)
class Death:
    """One node's, in seconds. `refused`: from the kill to the first refusal of each model that was there;
    `hung`: the longest that a request for them took past the kill, of those sent up to some seconds after;
    `back`: from the node's return (Ray has it again) to the first answer of each; `loads`: what the slowest
    of them takes to load. `stalled`: the longest that a request to another node's model took, so that a
    machine that stands still is not blamed on us; `waited`: the longest for the model that had a replica on
    either node. `strangers`: answers of the models elsewhere, and `errors` of those; `cut`: answers of the
    models there that ended without their last piece; `slowest`: for people.
    """

    refused: float
    hung: float
    back: float
    loads: float
    stalled: float
    waited: float
    strangers: int
    errors: list[Answer]
    cut: list[Answer]
    codes: set[str | None]
    retry_after: int
    retried: int
    slowest: list[str]

    def told(self) -> str:
        return (
            f"first refusal {self.refused:.2f} s, longest hung {self.hung:.2f} s, "
            f"back {self.back:.1f} s after the node (loads in {self.loads:.1f} s), "
            f"{len(self.errors)} errors in {self.strangers} answers elsewhere "
            f"(longest {self.stalled:.2f} s, on both nodes {self.waited:.2f} s), "
            f"{self.retried} asked once more, {len(self.cut)} cut; slowest: {', '.join(self.slowest)}"
        )


def kill(nodes: Nodes, name: str, down_for: float = 8.0) -> Death:
    """SIGKILL to a node's raylet under load; after a while the node comes back."""
    told = nodes.models()
    loads = max(one["seconds"] for model in FAR for one in told[model]["variants"].values())
    load = Load(nodes.url)
    with load.running():
        time.sleep(2)
        killed = nodes.kill(name)
        load.until(
            lambda: all(any(one.status == 503 for one in _after(load.of(m), killed)) for m in FAR),
            PATIENCE_S + down_for,
        )
        time.sleep(max(0.0, killed + down_for - time.monotonic()))
        known = living(nodes)
        nodes.start(name)
        load.until(lambda: bool(living(nodes) - known), 120)
        returned = time.monotonic()
        load.until(lambda: all(_answered(load.of(model), returned) for model in FAR), 180)
    refused = [one for one in load.of(*FAR) if one.status not in (0, 200)]
    fell = [next(one for one in refused if one.model == model) for model in FAR]
    first = [_answered(load.of(model), returned)[0] for model in FAR]
    strangers = load.of(*NEAR, BOTH)
    return Death(
        refused=max(one.came for one in fell) - killed,
        hung=max(one.came - max(one.sent, killed) for one in _early(load.of(*FAR), killed)),
        back=max(one.came for one in first) - returned,
        loads=loads,
        stalled=max(one.took for one in load.of(*NEAR)),
        waited=max(one.took for one in load.of(BOTH)),
        strangers=len(strangers),
        errors=[one for one in strangers if one.status != 200],
        cut=[one for one in load.of(*FAR) if not one.status],
        codes={one.code for one in refused},
        retry_after=min(one.retry_after for one in refused),
        retried=sum(one.retried for one in strangers),
        slowest=[
            f"{one.model} {one.took:.1f} s, sent at {one.sent - killed:.1f}: {one.status} {one.code or ''}"
            for one in sorted(load.of(*FAR, *NEAR, BOTH), key=lambda one: -one.took)[:8]
        ],
    )


def living(nodes: Nodes) -> set[str]:
    """Ray's ids of the nodes that it takes to live."""
    told = httpx2.get(f"{nodes.dashboard}/api/v0/nodes", timeout=60).json()
    return {one["node_id"] for one in told["data"]["result"]["result"] if one["state"] == "ALIVE"}


def _answered(answers: list[Answer], since: float) -> list[Answer]:
    return [one for one in answers if one.sent > since and one.status == 200]


def _early(answers: list[Answer], killed: float) -> list[Answer]:
    return [one for one in _after(answers, killed) if one.sent < killed + EARLY_S]


def _after(answers: list[Answer], moment: float) -> list[Answer]:
    return [one for one in answers if one.came > moment]


@contextmanager
def burning(cores: int) -> Iterator[None]:
    """Processes that do nothing but keep so many cores busy."""
    fires = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for fire in fires:
            fire.kill()
            fire.wait()
