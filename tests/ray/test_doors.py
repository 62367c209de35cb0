"""Two doors: one of them is taken away under load, and nobody outside notices; one is killed, and what it
had in hand breaks."""

import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from backends.serve.janitor import MARK
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
        # The 5 s of `motley up` would cut the streams of a machine that deploys faster than they end.
        "drain_s": 30,
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
    running = Running(fleet(folder, 2), usage_url=f"sqlite:///{folder}/usage.db")
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


def test_what_both_counted_is_what_was_sent(two: Running) -> None:
    """Wherever a scrape comes to. Each request on a connection of its own, so that both get some."""
    sent = 40
    for _ in range(sent):
        assert httpx2.post(f"{two.url}{CHAT}", json=body("!words 1"), timeout=60).status_code == 200
    for _ in range(4):
        series = counted(two.url, "motley_requests_total")
        assert len({labels["door"] for labels, _ in series}) == 2
        assert sum(value for _, value in series) == sent


def counted(url: str, name: str) -> list[tuple[dict[str, str], float]]:
    """Labels and values of a metric, as Prometheus reads them."""
    text = httpx2.get(f"{url}/metrics", timeout=60).raise_for_status().text
    families = text_string_to_metric_families(text)
    return [(one.labels, one.value) for family in families for one in family.samples if one.name == name]


def test_the_log_of_the_replica_has_the_requests_id(two: Running) -> None:
    """In the cluster's folder, with what the engine failed of."""
    answer = httpx2.post(
        f"{two.url}{CHAT}", json=body("!bug"), headers={"x-request-id": "look-for-me"}, timeout=60
    )
    assert (answer.status_code, answer.headers["x-request-id"]) == (502, "look-for-me")
    home = Path(psutil.Process(min(doors(two))).environ()[MARK])
    logs = [file.read_text() for file in home.glob("session_latest/logs/worker-*.err")]
    (told,) = (log for log in logs if "backends.host [look-for-me]" in log)
    assert "Traceback" in told.partition("[look-for-me]")[2]


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


def test_no_usage_is_lost_at_the_end(two: Running, folder: Path) -> None:
    """What came last was in the doors' memory when they were told to end. Nothing comes after this test."""

    def booked() -> int:
        with closing(sqlite3.connect(folder / "usage.db")) as database:
            return int(database.execute("select coalesce(sum(requests), 0) from motley_usage").fetchone()[0])

    time.sleep(2)  # what came before is written
    before, sent = booked(), 0
    with caller() as client:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert client.post(f"{two.url}{CHAT}", json=body("!words 1")).status_code == 200
            sent += 1
    in_memory = before + sent - booked()
    assert two.stop(signal.SIGTERM) == 0
    print(f"\n{in_memory} of {sent} were not written yet")
    assert booked() == before + sent
