"""Starting, changing and ending, beside another Motley on the same machine."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
import yaml

from tests.running import MOTLEY, ROOT, Running

SMALL = ROOT / "tests" / "data" / "fleets" / "small.yaml"


@pytest.fixture(scope="module")
def second(motley: Running) -> Iterator[Running]:
    running = Running(SMALL)
    yield running
    running.stop()


def test_a_long_answer_outlives_the_start(second: Running) -> None:
    """HAProxy starts anew when the routes settle; what the first one carries goes on to its end."""
    body = {"model": "fake-chat", "messages": [{"role": "user", "content": "!slow 0.5 !words 28"}]}
    with httpx2.stream(
        "POST", f"{second.url}/v1/chat/completions", json={**body, "stream": True}, timeout=60
    ) as answer:
        events = [line for line in answer.iter_lines() if line.startswith("data:")]
    assert events[-1] == "data: [DONE]"
    assert len(events) == 30


def ask(running: Running, model: str, script: str = "hello") -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": script}]}
    return httpx2.post(f"{running.url}/v1/chat/completions", json=body, timeout=60)


def test_two_clusters_side_by_side(motley: Running, second: Running) -> None:
    assert ask(motley, "motley-demo-chat").status_code == 200
    assert ask(second, "fake-chat").status_code == 200
    assert ask(motley, "fake-chat").status_code == 404
    assert ask(second, "motley-demo-chat").status_code == 404


def test_a_new_fleet_is_taken_in_place(second: Running, tmp_path: Path) -> None:
    """A new alias and a new model: the processes that were there stay, and drop nothing."""
    fleet = yaml.safe_load(SMALL.read_text())
    fleet["models"]["fake-chat"]["aliases"] = ["llm", "renamed"]
    fleet["models"]["fake-embed"] = {**fleet["models"]["fake-chat"], "task": "embed", "aliases": []}
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(fleet))
    before = second.replica("fake-chat")["pid"]
    door = _pids(second, "ServeReplica:door")
    answers: list[int] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            answers.append(ask(second, "fake-chat").status_code)

    loading = threading.Thread(target=load)
    loading.start()
    second.deploy(changed)
    deadline = time.monotonic() + 60
    while ask(second, "renamed").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    body = {"model": "fake-embed", "input": "x"}
    while httpx2.post(f"{second.url}/v1/embeddings", json=body, timeout=60).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    stop.set()
    loading.join()
    assert second.replica("fake-chat")["pid"] == before
    assert _pids(second, "ServeReplica:door") == door
    assert set(answers) == {200}
    assert len(answers) > 10


def test_ctrl_c_lets_a_request_finish_and_leaves_no_process(motley: Running, second: Running) -> None:
    family = second.family()
    answers: list[httpx2.Response] = []
    asking = threading.Thread(target=lambda: answers.append(ask(second, "fake-chat", "!words 4 !slow 1")))
    asking.start()
    while not second.replica("fake-chat").get("busy"):
        time.sleep(0.05)
    began = time.monotonic()
    assert second.stop() == 0
    took = time.monotonic() - began
    asking.join()
    print(f"\nended in {took:.1f} s")
    assert answers[0].status_code == 200
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert took < 30
    # The neighbour did not notice.
    assert ask(motley, "motley-demo-chat").status_code == 200


def test_a_taken_port_is_said_at_once(motley: Running) -> None:
    done = subprocess.run(
        [MOTLEY, "up", SMALL, "--port", str(motley.port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"port {motley.port} is taken" in done.stderr


def test_killed_outright_it_leaves_no_process() -> None:
    third = Running(SMALL)
    family = third.family()
    os.kill(third.process.pid, signal.SIGKILL)
    third.process.wait()
    _, left = psutil.wait_procs(family, timeout=30)
    left = [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    names = [" ".join(one.cmdline())[:80] for one in left]
    for one in left:
        one.kill()
    assert not names


def _pids(running: Running, title: str) -> list[int]:
    return [one.pid for one in running.family() if title in " ".join(one.cmdline())]
