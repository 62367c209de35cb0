"""Two doors: one of them is taken away under load, and nobody outside notices; one is killed, and what it
had in hand breaks."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.ray.faults import caller
from tests.running import Running

CHAT = "/v1/chat/completions"
WORDS, STEP_S, STREAMS, SHORT = 16, 0.5, 8, 2
WHOLE = [WORDS + 2] * STREAMS  # a last chunk, and [DONE]


def fleet(folder: Path, doors: int) -> Path:
    model = {"task": "chat", "engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}
    whole = {
        "version": 1,
        "nodes": {"here": {"vendor": "cpu", "cpus": 2}},
        "door": {"replicas": doors},
        "models": {"fake-chat": {**model, "scale": {"max_ongoing": 64, "max_queued": 256}}},
    }
    file = folder / f"{doors}-doors.yaml"
    file.write_text(yaml.safe_dump(whole, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("doors")


@pytest.fixture(scope="module")
def two(folder: Path) -> Iterator[Running]:
    running = Running(fleet(folder, 2))
    until_doors(running, 2)
    yield running
    running.stop()


def doors(running: Running) -> set[int]:
    """The processes of those that serve."""
    dashboard = re.search(r"http://\S+(?=\s+\(Ray's dashboard)", running.printed())
    assert dashboard is not None
    told = httpx2.get(f"{dashboard.group()}/api/serve/applications/", timeout=30).json()
    (deployment,) = told["applications"]["door"]["deployments"].values()
    return {one["pid"] for one in deployment["replicas"] if one["state"] == "RUNNING"}


def until_doors(running: Running, count: int, without: int = 0) -> None:
    deadline = time.monotonic() + 120
    while len(found := doors(running)) != count or without in found:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    time.sleep(2)  # until HAProxy has looked, too


def body(script: str) -> dict[str, Any]:
    return {"model": "fake-chat", "messages": [{"role": "user", "content": script}]}


def stream(url: str) -> int:
    """How many events came of a stream of some seconds; 0 where it did not end as it should."""
    asked = {**body(f"!slow {STEP_S} !words {WORDS}"), "stream": True}
    events: list[str] = []
    try:
        with httpx2.stream("POST", f"{url}{CHAT}", json=asked, timeout=60) as answer:
            events += [line for line in answer.iter_lines() if line.startswith("data:")]
    except httpx2.HTTPError:
        return 0
    return len(events) if events[-1:] == ["data: [DONE]"] else 0


class Load:
    """Long streams, which the doors share, and short requests one after the other."""

    def __init__(self, url: str) -> None:
        self._url, self._stop = url, threading.Event()
        self.short: list[int] = []
        self.streams: list[int] = []

    @contextmanager
    def running(self) -> Iterator["Load"]:
        with ThreadPoolExecutor(STREAMS + SHORT) as pool:
            long = [pool.submit(stream, self._url) for _ in range(STREAMS)]
            short = [pool.submit(self._ask) for _ in range(SHORT)]
            time.sleep(1)
            try:
                yield self
                self.streams = [one.result() for one in long]
            finally:
                self._stop.set()
            for one in short:
                one.result()

    def _ask(self) -> None:
        with caller() as client:
            while not self._stop.is_set():
                try:
                    answer = client.post(f"{self._url}{CHAT}", json=body("!words 1"))
                    self.short.append(answer.status_code)
                except httpx2.HTTPError:
                    self.short.append(0)
                time.sleep(0.02)


def test_one_is_taken_away_and_another_comes(two: Running, folder: Path) -> None:
    with Load(two.url).running() as load:
        two.deploy(fleet(folder, 1))
        until_doors(two, 1)
        two.deploy(fleet(folder, 2))
    until_doors(two, 2)
    assert len(load.short) > 10
    assert set(load.short) == {200}
    assert load.streams == WHOLE


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_one_is_killed(two: Running, number: signal.Signals) -> None:
    """SIGTERM is no better to a worker of Ray's: stopping in good order is asked of Serve, or of the node."""
    victim = min(doors(two))
    with Load(two.url).running() as load:
        os.kill(victim, number)
        killed = len(load.short)
    broken = [status for status in load.short if status != 200]
    print(
        f"\n{len(broken)} of {len(load.short)} short ones broke, {load.streams.count(0)} of {STREAMS} streams"
    )
    # The other one goes on with what it has, and takes what comes.
    assert load.streams.count(WORDS + 2) > 0
    assert set(load.streams) <= {0, WORDS + 2}
    assert len(broken) <= SHORT * 2
    assert set(load.short[killed + SHORT * 4 :]) == {200}
    until_doors(two, 2, without=victim)
