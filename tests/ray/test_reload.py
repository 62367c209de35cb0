"""A fleet that changes under load: what did not change is not touched, and nobody is failed for it."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from app.cli.rollout import drafted, rolled_out
from backends.fleet.engines import check as check_fleet
from backends.serve.rest import Cluster
from tests.load import Ask, Load, percentile
from tests.running import Running

HERE = {"place": {"node": "laptop"}}
MINILM = {"engine": "onnx", "source": "builtin://minilm", **HERE}
FLEET: dict[str, Any] = {
    "version": 1,
    "nodes": {"laptop": {"cpus": 4}},
    "models": {
        "minilm": {"task": "embed", "aliases": ["embeddings"], **MINILM, "options": {"max_waiting": 1000}},
        "reranker": {"task": "rerank", **MINILM},
        "demo": {"task": "chat", "engine": "onnxruntime-genai", "source": "builtin://demo_chat", **HERE},
    },
}
EMBED = Ask("minilm", "/v1/embeddings", {"model": "embeddings", "input": "a cat"})
RERANK = Ask("reranker", "/v1/rerank", {"model": "reranker", "query": "cat", "documents": ["a cat", "a dog"]})
HELLO = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
CHAT = Ask("demo", "/v1/chat/completions", HELLO)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reload") / "fleet.yaml"


@pytest.fixture(scope="module")
def running(file: Path) -> Iterator[Running]:
    write(file)
    one = Running(file, "--watch")
    yield one
    print(one.printed()[-6000:])
    one.stop()


def write(file: Path, **models: Any) -> None:
    """The fleet above with these models otherwise; None takes one away."""
    raw = deepcopy(FLEET)
    for name, change in models.items():
        raw["models"][name] = {**raw["models"].get(name, {}), **(change or {})}
        if change is None:
            del raw["models"][name]
    file.write_text(yaml.safe_dump(raw, sort_keys=False))


def deploy(running: Running, file: Path) -> None:
    """As `motley deploy` does, without a process whose start would disturb what is measured."""

    async def go() -> None:
        cluster = Cluster(running.address)
        await rolled_out(cluster, await drafted(cluster, check_fleet(file), port=running.port))

    asyncio.run(go())


def pids(running: Running) -> dict[str, int]:
    return {name: running.replica(name)["pid"] for name in running.fleet()}


def door(running: Running) -> list[int]:
    return [one.pid for one in running.family() if "ServeReplica:door" in " ".join(one.cmdline())]


def test_an_option_is_changed_in_place(running: Running, tmp_path: Path) -> None:
    """Five times, under 20 requests a second: the same processes, no request failed, and the neighbour
    is answered as before. (Ratios are of one run; what a shared machine adds is in both halves.)"""
    before, doors, other = pids(running), door(running), tmp_path / "other.yaml"
    still: list[tuple[float, float]] = []
    moving: list[tuple[float, float]] = []
    with Load(running.url, [EMBED, RERANK]) as load:
        time.sleep(2)
        for number in range(5):
            began = time.monotonic()
            time.sleep(4)
            write(
                other,
                minilm={"options": {"max_waiting": 1001 + number}, "scale": {"max_queued": 65 + number}},
            )
            middle = time.monotonic()
            deploy(running, other)
            time.sleep(max(0.0, middle + 4 - time.monotonic()))
            still.append((began, middle))
            moving.append((middle, time.monotonic()))
    assert load.failed() == []
    assert pids(running) == before
    assert door(running) == doors
    ratios = [
        percentile(load.seconds("reranker", [busy]), 0.9) / percentile(load.seconds("reranker", [calm]), 0.9)
        for calm, busy in zip(still, moving, strict=True)
    ]
    print(f"\nneighbour's p90, of that before: {' '.join(f'{ratio:.2f}' for ratio in ratios)}")
    # The machine itself stands still now and then: in one round, and not in most.
    assert statistics.median(ratios) < 3


def test_what_needs_a_new_process_gets_it_without_a_gap(running: Running, file: Path) -> None:
    before = pids(running)
    write(file, minilm={"options": {"threads": 2}})
    with Load(running.url, [EMBED, RERANK]) as load:
        until_printed(running, "replaced   minilm")
        until_deployed(running)
        time.sleep(1)
    after = pids(running)
    assert load.failed() == []
    assert {name for name in before if before[name] != after[name]} == {"minilm"}


def test_models_come_and_go(running: Running, file: Path) -> None:
    before = pids(running)
    with Load(running.url, [EMBED, CHAT]) as load:
        write(file, minilm={"options": {"threads": 2}}, more={"task": "embed", **MINILM})
        until_printed(running, "added      more")
        until_deployed(running)
        asked = {"model": "more", "input": "x"}
        assert httpx2.post(f"{running.url}/v1/embeddings", json=asked, timeout=60).status_code == 200
        write(file, minilm={"options": {"threads": 2}}, reranker=None)
        until_printed(running, "removed    more")
        until_deployed(running)
        for name in ("more", "reranker"):
            gone = httpx2.post(f"{running.url}/v1/embeddings", json={"model": name, "input": "x"}, timeout=60)
            assert gone.status_code == 404
    assert load.failed() == []
    assert pids(running) == {name: before[name] for name in ("minilm", "demo")}


def test_a_variant_of_a_canary_goes_while_it_is_asked(running: Running, file: Path) -> None:
    """Who takes the canary out again fails none of its callers."""
    two = {
        "task": "embed",
        "traffic": {"stable": 50, "canary": 50},
        "variants": {"stable": MINILM, "canary": MINILM},
    }
    write(file, ab=two)
    until_printed(running, "added      ab (canary)")
    until_deployed(running)
    ask = Ask("ab", "/v1/embeddings", {"model": "ab", "input": "a cat"})
    with Load(running.url, [ask]) as load:
        time.sleep(2)
        write(file, ab={**two, "traffic": {"stable": 100}, "variants": {"stable": MINILM}})
        until_printed(running, "removed    ab (canary)")
        until_deployed(running)
        time.sleep(1)
    assert load.failed() == []


def test_a_broken_fleet_is_refused_and_the_old_one_stays(running: Running, file: Path) -> None:
    write(file)
    until_deployed(running)
    before = pids(running)
    with Load(running.url, [EMBED, RERANK, CHAT]) as load:
        write(file, minilm={"engine": "no-such"})
        until_printed(running, "there is no engine 'no-such'")
        until_printed(running, "what ran before goes on")
        # Nothing shows it before it is tried: this folder is not there.
        write(file, minilm={"source": "file:///nowhere"}, more={"task": "embed", **MINILM})
        until_printed(running, "minilm could not start; the fleet of before is declared again", within=200)
        time.sleep(3)
    assert load.failed() == []
    assert pids(running) == before
    done = running.command("deploy", str(file), "--dry-run")
    assert "replaced   minilm" in done.stdout


def test_live_commands(running: Running, tmp_path: Path) -> None:
    """They move requests, and fail none of another model."""
    other = tmp_path / "canary.yaml"
    variants = {"stable": MINILM, "canary": MINILM, "broken": BROKEN}
    ab = {"task": "embed", "traffic": {"stable": 90, "canary": 10, "broken": 0}, "variants": variants}
    write(other, ab={**ab, "rollback": {"requests": 20, "window_s": 60}})
    running.deploy(other)
    assert abs(split(running, 200)["canary"] - 20) < 20
    with Load(running.url, [EMBED]) as load:
        done = running.command("traffic", "ab", "stable=20", "canary=80")
        assert (done.returncode, done.stderr) == (0, "")
        until_weight(running, "canary", 80)
        assert split(running, 200)["canary"] > 120
        assert running.command("promote", "ab", "canary").returncode == 0
        until_weight(running, "canary", 100)
        assert split(running, 50) == {"canary": 50}
        assert running.command("rollback", "ab").returncode == 0
        until_weight(running, "canary", 80)
    assert load.failed() == []
    # The broken one gets half, and loses it by itself.
    assert running.command("traffic", "ab", "stable=50", "broken=50").returncode == 0
    until_weight(running, "broken", 50)
    split(running, 150)
    until_weight(running, "broken", 0)
    assert set(split(running, 50)) == {"stable"}
    assert "broken did worse than stable" in running.status()


BROKEN = {
    "engine": "openai", "source": "builtin://openai", **HERE,
    "options": {"base_url": "http://127.0.0.1:9/v1", "connect_retries": 0},
}  # fmt: skip


def split(running: Running, times: int) -> Counter[str]:
    """Who answered."""
    with httpx2.Client(base_url=running.url, timeout=60) as http:
        answers = [http.post("/v1/embeddings", json={"model": "ab", "input": "x"}) for _ in range(times)]
    return Counter(answer.headers["x-motley-variant"] for answer in answers)


def until_weight(running: Running, variant: str, weight: int) -> None:
    deadline = time.monotonic() + 60
    while running.fleet()["ab"]["variants"][variant]["weight"] != weight:
        assert time.monotonic() < deadline, running.fleet()["ab"]
        time.sleep(0.2)


def until_printed(running: Running, said: str, within: float = 120) -> None:
    """… since the last change of the file was taken."""
    deadline = time.monotonic() + within
    while said not in running.printed().rpartition("fleet.yaml changed")[2]:
        assert time.monotonic() < deadline, running.printed()[-3000:]
        time.sleep(0.1)


def until_deployed(running: Running) -> None:
    time.sleep(1.5)  # until a change of this moment was taken
    until_printed(running, "\ndeployed")
