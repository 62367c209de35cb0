"""A fleet on several Ray nodes of this machine: what a death costs, and that there is no false alarm.

    python -m bench.fleet deaths [--kills N]
    python -m bench.fleet calm [--minutes M]

`deaths`: the raylet of one node is killed under load on all five verbs, and the node comes back, so many
times over. `calm`: every core is kept busy for minutes; no model may be called anything but ready.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import httpx2
import psutil

from bench import results
from tests.ray.faults import BOTH, FAR, NEAR, ROOMS, Death, Load, burning, kill
from tests.ray.nodes import Nodes, serving

MODELS = (*FAR, *NEAR, BOTH)
# The load that goes beside: about what two busy cores still answer.
CALM_EVERY_S = 2.0


def main(part: str, arguments: list[str]) -> None:
    asked = argparse.ArgumentParser(prog=f"python -m bench.fleet {part}", description=__doc__)
    asked.add_argument("--kills", type=int, default=5, help="deaths")
    asked.add_argument("--minutes", type=float, default=10, help="calm")
    given = asked.parse_args(arguments)
    with serving(ROOMS) as nodes:
        good = deaths(nodes, given.kills) if part == "deaths" else calm(nodes, given.minutes)
    sys.exit(0 if good else 1)


def deaths(nodes: Nodes, kills: int) -> bool:
    all_of_them: list[Death] = []
    for number in range(kills):
        nodes.until_ready(ROOMS)
        time.sleep(5)
        all_of_them.append(kill(nodes, "far"))
        print(f"kill {number + 1}: {all_of_them[-1].told()}", flush=True)

    def median(of: Callable[[Death], float]) -> float:
        return statistics.median(of(one) for one in all_of_them)

    refused, hung = median(lambda one: one.refused), median(lambda one: one.hung)
    late = median(lambda one: one.back - one.loads)
    errors = sum(len(one.errors) for one in all_of_them)
    print(f"\n| median of {kills} | aimed at | here |\n|---|---|---|")
    print(f"| first 503 after the kill | ≤ 3 s | {refused:.2f} s |")
    print(f"| the longest that a request took past the kill | ≤ 5 s | {hung:.2f} s |")
    print(f"| back after the node, less what loading takes | ≤ 20 s | {late:.1f} s |")
    answers = sum(one.strangers for one in all_of_them)
    rows = {
        "first 503 after the kill": {"Motley": refused, "aimed at": 3},
        "longest request past the kill": {"Motley": hung, "aimed at": 5},
        "back after the node, less loading": {"Motley": late, "aimed at": 20},
    }
    results.kept("fleet-deaths", "A node that dies under load", "s", rows, rounds=kills, enough=5)
    print(f"| errors of other nodes' models (all kills) | 0 | {errors} of {answers} |")
    return refused <= 3 and hung <= 5 and late <= 20 and not errors


def calm(nodes: Nodes, minutes: float) -> bool:
    cores, alarms, looks = psutil.cpu_count() or 2, set[tuple[str, str]](), 0
    load = Load(nodes.url)
    with burning(cores), load.running(every=CALM_EVERY_S):
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            time.sleep(0.5)
            try:
                told = httpx2.get(f"{nodes.url}/ready", timeout=60).json()["models"]
            except httpx2.HTTPError as error:
                print(f"the door did not answer: {error!r}", flush=True)
                continue
            looks += 1
            alarms |= {(name, one["state"]) for name, one in told.items() if one["state"] != "ready"}
    answers = load.of(*MODELS)
    failed = [one for one in answers if one.status != 200]
    print(
        f"{minutes:g} minutes with {cores} processes that only burn: "
        f"{len(alarms)} false alarms in {looks} looks {sorted(alarms)}, "
        f"{len(failed)} of {len(answers)} requests failed {sorted({str(one.code) for one in failed})}"
    )
    return not alarms and not failed
