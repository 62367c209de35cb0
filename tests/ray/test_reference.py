"""The reference fleet's shape on five Ray nodes: every variant on its node, every share right, and what has
no place told in the fleet's words. The cards are declared, and the engines those of the CPU."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from backends.fleet.load import load
from tests.clients import programs
from tests.ray.nodes import Nodes, serving
from tests.running import MOTLEY, ROOT

FLEET = ROOT / "tests" / "data" / "fleets" / "five_nodes.yaml"
REFERENCE = ROOT / "deploy" / "fleets" / "reference.yaml"
SENTENCE = "I would like to order a cup of coffee please."


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with serving(FLEET, Nodes.put) as nodes:
        yield nodes


def changed(folder: Path, **models: Any) -> Path:
    """The fleet with these models, too."""
    fleet = yaml.safe_load(FLEET.read_text())
    fleet["models"] |= models
    (folder / "changed.yaml").write_text(yaml.safe_dump(fleet, sort_keys=False))
    return folder / "changed.yaml"


def checked(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MOTLEY, "check", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def eventually(told: Callable[[], Any], within: float = 120) -> tuple[float, float]:
    """Seconds until it is so, and the longest that the machine let one look at it wait."""
    began, longest = time.monotonic(), 0.0
    while True:
        before = time.monotonic()
        found = told()
        longest = max(longest, time.monotonic() - before)
        if found:
            return time.monotonic() - began, longest
        assert time.monotonic() - began < within
        time.sleep(0.1)


def answers(url: str) -> dict[str, httpx2.Response]:
    """Each verb asked once, by the model that answers it."""
    with httpx2.Client(base_url=f"{url}/v1", timeout=120) as http:
        hello = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8}
        said = {"voice": "nova", "input": SENTENCE, "response_format": "wav"}
        spoken = http.post("/audio/speech", json={"model": "xtts-v2", **said})
        texts = {"query": "who barks?", "documents": ["a cat", "a dog"]}
        return {
            "llama-3.3-70b": http.post("/chat/completions", json={"model": "llama-3.3-70b", **hello}),
            "xtts-v2": spoken,
            "whisper-large-v3": http.post(
                "/audio/transcriptions",
                data={"model": "whisper-large-v3"},
                files={"file": ("said.wav", spoken.content, "audio/wav")},
            ),
            "bge-large-en-v1.5": http.post(
                "/embeddings", json={"model": "bge-large-en-v1.5", "input": "a cat"}
            ),
            "bge-reranker-large": http.post("/rerank", json={"model": "bge-reranker-large", **texts}),
        }


def test_the_shape_is_that_of_the_reference_fleet() -> None:
    def shape(file: Path) -> set[tuple[object, ...]]:
        return {
            (name, model.task, variant, one.place)
            for name, model in load(file).models.items()
            for variant, one in model.variants.items()
        }

    assert shape(FLEET) == shape(REFERENCE)
    ours, theirs = load(FLEET).nodes, load(REFERENCE).nodes
    assert {name: (node.vendor, node.vram, node.gpus) for name, node in ours.items()} == {
        name: (node.vendor, node.vram, node.gpus) for name, node in theirs.items()
    }


def test_every_verb_is_answered_from_its_node(nodes: Nodes) -> None:
    fleet = load(FLEET)
    for model, answer in answers(nodes.url).items():
        assert answer.status_code == 200, f"{model}: {answer.text}"
        (variant,) = fleet.models[model].variants.values()
        assert answer.headers["x-motley-node"] == variant.place.node


def test_every_share_is_granted_by_ray_and_in_the_ledger(nodes: Nodes) -> None:
    told = httpx2.get(f"{nodes.url}/v1/fleet", timeout=60).json()
    actors = httpx2.get(f"{nodes.dashboard}/api/v0/actors?detail=1&limit=1000", timeout=60).json()
    living = [one for one in actors["data"]["result"]["result"] if one["state"] == "ALIVE"]
    by_pid = {(one["node_id"], one["pid"]): one["required_resources"] for one in living}
    for name, model in load(FLEET).models.items():
        (variant,) = model.variants.values()
        (replica,) = told["models"][name]["variants"]["main"]["replicas"]
        assert replica["node"] == variant.place.node
        assert by_pid[replica["machine"], replica["pid"]].get("GPU", 0) == variant.place.share
        assert replica["memory"]["ram"] > 2**20
        assert replica["memory"]["estimated"] > 2**20
    ledger = {card["node"]: card for card in told["gpus"]}
    assert {node: card["share"] for node, card in ledger.items()} == {
        "khelben": 0.95, "elminster": 1.0, "drizzt": 0.8, "danilo": 0.8,
    }  # fmt: skip
    shared = ledger["elminster"]
    assert (shared["gpu"], shared["vram"]) == (0, 8 * 2**30)
    assert {entry["model"]: entry["granted"] for entry in shared["entries"]} == {
        "whisper-large-v3": 4 * 2**30, "xtts-v2": 4 * 2**30,
    }  # fmt: skip
    metrics = httpx2.get(f"{nodes.url}/metrics", timeout=60).text
    assert 'motley_replica_memory_bytes{app="xtts-v2--main",node="elminster",of="granted"' in metrics


def test_what_is_rendered_runs_as_it_is(nodes: Nodes) -> None:
    """All of it was declared by REST, as KubeRay does it."""
    rendered = subprocess.run(
        [MOTLEY, "render", FLEET], cwd=ROOT, capture_output=True, check=True, timeout=120
    )
    names = {one["name"] for one in yaml.safe_load(rendered.stdout)["applications"]}
    told = httpx2.get(f"{nodes.dashboard}/api/serve/applications/", timeout=60).json()["applications"]
    assert {name: one["status"] for name, one in told.items()} == dict.fromkeys(names, "RUNNING")


def test_kserves_clients_are_answered(nodes: Nodes) -> None:
    """Triton's, and those that know a predictor's name, through the one port."""
    asked = {"url": nodes.url, "key": "none", "model": "llama-3.3-70b", "vectors_model": "bge-large-en-v1.5"}
    triton = programs.told("with_triton.py", "chat", "embed", **asked)
    assert "Tokyo" in triton["chat"]["prompt"][0]
    assert triton["embed"]["shape"] == [3, 384]
    hello = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 4}
    bodies = {"llm": ("chat/completions", hello), "embeddings": ("embeddings", {"input": "a cat"})}
    for name, (path, body) in bodies.items():
        predictor = {"host": f"{name}-predictor.ai-ml.svc.cluster.local"}
        by_host = httpx2.post(f"{nodes.url}/v1/{path}", json=body, headers=predictor, timeout=60)
        by_path = httpx2.post(f"{nodes.url}/{name}/v1/{path}", json=body, timeout=60)
        assert (by_host.status_code, by_path.status_code) == (200, 200), by_host.text
        assert by_host.headers["x-motley-engine"] == by_path.headers["x-motley-engine"]


def test_the_cluster_is_what_the_fleet_says(nodes: Nodes) -> None:
    done = checked(FLEET, "--cluster", "--address", nodes.dashboard)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok: the cluster has all of it" in done.stdout


def test_a_third_half_is_refused_and_where_it_is_forced_told(nodes: Nodes, tmp_path: Path) -> None:
    third = {
        "task": "speak", "engine": "espeak-ng", "source": "builtin://espeak-ng",
        "place": {"node": "elminster", "share": 0.5},
    }  # fmt: skip
    file = changed(tmp_path, third=third)
    why = "needs 0.5 of a GPU on elminster; whisper-large-v3 0.5 and xtts-v2 0.5 fill it"
    done = checked(file, "--json")
    assert done.returncode == 1
    [problem] = json.loads(done.stdout)["problems"]
    assert problem["message"] == f"third, variant main: {why}"
    nodes.force(file)

    def waits() -> bool:
        """In Serve's own books."""
        told = httpx2.get(f"{nodes.dashboard}/api/serve/applications/", timeout=60).json()["applications"]
        deployments = told.get("third--main", {}).get("deployments", {}).values()
        return any(replica["state"] == "STARTING" for one in deployments for replica in one["replicas"])

    def told() -> bool:
        ready = httpx2.get(f"{nodes.url}/ready", timeout=60).json()["models"].get("third", {})
        variant = nodes.models().get("third", {}).get("variants", {}).get("main", {})
        return (ready.get("stage"), variant.get("message")) == (why, why)

    eventually(waits)
    took, stalled = eventually(told)
    print(f"\ntold after {took:.1f} s")
    assert took <= 5 + stalled
    status = subprocess.run(
        [MOTLEY, "status", "--url", nodes.url], capture_output=True, text=True, timeout=60, check=True
    )
    assert f"third, variant main: {why}" in status.stdout
    assert all(answer.status_code == 200 for answer in answers(nodes.url).values())
    nodes.deploy(FLEET)
    eventually(lambda: "third" not in nodes.models())


def test_a_model_over_its_share_is_down_with_figures(nodes: Nodes, tmp_path: Path) -> None:
    """Its files are known on the node alone, so that `check` elsewhere let it pass."""
    big = {
        "task": "embed", "engine": "fake", "source": "builtin://fake", "options": {"needs": 5 * 2**30},
        "place": {"node": "khelben", "share": 0.05},
    }  # fmt: skip
    nodes.force(changed(tmp_path, big=big))
    why = "the model needs about 5.0 GiB of the card (weights 5.0); its share of 0.05 is 4.8 GiB"

    def told() -> bool:
        variant = nodes.models().get("big", {}).get("variants", {}).get("main", {})
        return (variant.get("state"), variant.get("message")) == ("down", why)

    eventually(told)
    nodes.deploy(FLEET)
    eventually(lambda: "big" not in nodes.models())


def test_a_node_that_is_gone_is_told_and_serves_when_it_is_back(nodes: Nodes) -> None:
    nodes.kill("drizzt")
    why = "no node drizzt in the cluster"

    def told() -> bool:
        models = httpx2.get(f"{nodes.url}/ready", timeout=60).json()["models"]
        return bool(models["bge-large-en-v1.5"]["stage"] == why)

    took, _ = eventually(told)
    print(f"\ntold {took:.1f} s after the end of the node")
    done = checked(FLEET, "--cluster", "--address", nodes.dashboard)
    assert done.returncode == 1
    assert why in done.stdout
    assert "bge-large-en-v1.5, variant main, replica 1: no node drizzt in the cluster" in done.stdout
    nodes.start("drizzt")
    nodes.until_ready(FLEET)
    answer = answers(nodes.url)["bge-large-en-v1.5"]
    assert (answer.status_code, answer.headers["x-motley-node"]) == (200, "drizzt")
