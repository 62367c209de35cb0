"""Deploys, one after the other, under load: does the door grow, is anybody failed, what is left behind?

Each cycle is one change of a small fleet on a cluster of its own: an option in place, a model that
comes, another split of the traffic, an option that needs a new process, a model that goes.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import psutil
import yaml

from app.cli.rollout import drafted, rolled_out
from backends.fleet.engines import check
from backends.serve.janitor import MARK
from backends.serve.rest import Cluster
from bench import results
from tests.load import Ask, Load, percentile
from tests.running import Running

HERE = {"place": {"node": "laptop"}}
MINILM = {"engine": "onnx", "source": "builtin://minilm", **HERE}
FLEET: dict[str, Any] = {
    "version": 1,
    "nodes": {"laptop": {"cpus": 8}},
    "models": {
        "minilm": {"task": "embed", **MINILM},
        "ab": {
            "task": "embed",
            "traffic": {"stable": 90, "canary": 10},
            "rollback": {},
            "variants": {"stable": MINILM, "canary": MINILM},
        },
    },
}
ASKS = [Ask(name, "/v1/embeddings", {"model": name, "input": "a cat on a sofa"}) for name in ("minilm", "ab")]


def fleet(cycle: int) -> dict[str, Any]:
    """The fleet of a cycle: each differs from the one before in one way, in turn."""
    raw = deepcopy(FLEET)
    models = raw["models"]
    done, kind = divmod(cycle, 5)
    models["minilm"]["options"] = {
        "max_waiting": 1000 + (cycle + 4) // 5,
        "threads": 1 + (done + (kind > 3)) % 2,
    }
    if kind in (2, 3, 4):
        models["more"] = {"task": "embed", **MINILM}
    share = 10 + (done + (kind > 2)) % 50
    models["ab"]["traffic"] = {"stable": 100 - share, "canary": share}
    return raw


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet cycles", description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp())
    file = folder / "fleet.yaml"
    file.write_text(yaml.safe_dump(fleet(0)))
    running = Running(file)
    try:
        with Load(running.url, ASKS, given.rate) as load:
            time.sleep(5)
            seen = [look(running)]
            took = []
            for cycle in range(1, given.cycles + 1):
                file.write_text(yaml.safe_dump(fleet(cycle)))
                began = time.monotonic()
                said = asyncio.run(deploy(running, file))
                took.append(time.monotonic() - began)
                seen.append(look(running))
                print(f"{cycle:3} {took[-1]:5.1f} s  door {seen[-1].door / 2**20:5.1f} MiB  "
                      f"{sum(seen[-1].processes.values()):3} processes  {said}", flush=True)  # fmt: skip
            time.sleep(35)  # what was stopped may drain for half a minute
            seen.append(look(running))
        report(load, seen, took)
    finally:
        running.stop()


async def deploy(running: Running, file: Path) -> str:
    cluster = Cluster(running.address)
    rollout = await drafted(cluster, check(file), port=running.port)
    await rolled_out(cluster, rollout)
    return "; ".join(rollout.lines()[:-1])


class Look:
    """What is there: the door's memory (its own, in bytes), processes by what they are, applications."""

    def __init__(self, door: int, processes: Counter[str], declared: set[str]) -> None:
        self.door, self.processes, self.declared = door, processes, declared


def look(running: Running) -> Look:
    home = next(one.environ()[MARK] for one in running.family() if MARK in one.environ())
    processes: Counter[str] = Counter()
    door = 0
    for one in psutil.process_iter():
        try:
            if one.environ().get(MARK) != home or one.status() == psutil.STATUS_ZOMBIE:
                continue
            name = kind(" ".join(one.cmdline()) or one.name())
            processes[name] += 1
            if name.startswith("ServeReplica:door"):
                door += one.memory_full_info().uss
        except psutil.Error:
            continue
    details = asyncio.run(Cluster(running.address).details())
    return Look(door, processes, set(details["applications"]))


def kind(line: str) -> str:
    """A process by its title, or the program it runs."""
    if line.startswith("ray::"):
        return line.removeprefix("ray::").split(" ")[0].partition(".")[0]
    for known in ("haproxy", "raylet", "gcs_server", "dashboard", "agent", "janitor", "log_monitor"):
        if known in line:
            return known
    return os.path.basename(line.split(" ", maxsplit=1)[0])


def report(load: Load, seen: list[Look], took: list[float]) -> None:
    early, late = seen[min(10, len(seen) - 2)], seen[-1]
    print(f"\n{len(took)} deploys, {percentile(sorted(took), 0.5):.1f} s each (median)")
    failed = Counter((one.status, one.told[:80]) for one in load.failed())
    print(f"{len(load.seen)} requests, {sum(failed.values())} failed {dict(failed) or ''}")
    growth = late.door / early.door - 1
    print(
        f"door: {early.door / 2**20:.1f} MiB after cycle 10, {late.door / 2**20:.1f} at last: {growth:+.1%}"
    )
    memory = {"after 10 deploys": early.door / 2**20, f"after {len(took)}": late.door / 2**20}
    title = "Memory of the door over deploys under load"
    results.kept("fleet-cycles", title, "MiB", {"the door's own": memory}, rounds=len(took), enough=50)
    print(f"processes then: {dict(early.processes)}")
    print(f"processes now:  {dict(late.processes)}")
    raw = fleet(len(took))
    wanted = {"door"} | {
        f"{name}--{variant}"
        for name, model in raw["models"].items()
        for variant in model.get("variants", {"main": None})
    }
    print(
        f"applications: {sorted(late.declared)}"
        + ("" if late.declared == wanted else f", WANTED {sorted(wanted)}")
    )
