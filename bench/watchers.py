"""What consoles that only look at the fleet cost: CPU with so many open, less that with none.

    python -m bench.watchers [--consoles 20] [--seconds 20] [--rounds 5]

`motley up` of the embedded fleet, at rest. A console does what its page does there: `GET /v1/fleet/events`,
and again when that ends. Sides take turns; each round is the difference of two neighbours, in parts of a
core, of the door's process, of the replicas' (each look asks them), and of HAProxy. Ends with status 1 where
the median of the door's misses the aim.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator

import httpx2
import psutil

from tests.running import ROOT, Running

FLEET = ROOT / "deploy" / "fleets" / "embedded.yaml"
AIM = 0.03
WHO = {"door": "ServeReplica:door", "replicas": "ServeReplica:", "HAProxy": "haproxy"}


def spent(running: Running) -> dict[tuple[str, int], float]:
    """CPU seconds by who and process; each process under the first name that fits."""
    found = {}
    for one in running.family():
        with contextlib.suppress(psutil.NoSuchProcess):  # HAProxy is replaced by another at times
            line = " ".join(one.cmdline())
            name = next((name for name, part in WHO.items() if part in line), None)
            if name is not None:
                found[name, one.pid] = sum(one.cpu_times()[:2])
    return found


async def watch(client: httpx2.AsyncClient, url: str) -> None:
    while True:
        async with client.stream("GET", f"{url}/v1/fleet/events") as answer:
            answer.raise_for_status()
            async for _ in answer.aiter_raw():
                pass


@contextlib.asynccontextmanager
async def consoles(url: str, count: int) -> AsyncIterator[None]:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(timeout=60, limits=limits) as client:
        watching = [asyncio.create_task(watch(client, url)) for _ in range(count)]
        await asyncio.sleep(2)  # what coming costs is not what looking costs
        yield
        broken = [one for one in watching if one.done()]
        for one in watching:
            one.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        if broken:
            raise RuntimeError(f"{len(broken)} of {count} consoles saw their stream fail")


async def used(running: Running, seconds: float) -> dict[str, float]:
    """Parts of a core, by who used them."""
    before, began = spent(running), time.monotonic()
    await asyncio.sleep(seconds)
    after, took = spent(running), time.monotonic() - began
    return {
        who: sum(after[key] - before[key] for key in before.keys() & after.keys() if key[0] == who) / took
        for who in WHO
    }


async def measure(running: Running, count: int, seconds: float, rounds: int) -> bool:
    more: dict[str, list[float]] = {name: [] for name in WHO}
    for number in range(rounds):
        alone = await used(running, seconds)
        async with consoles(running.url, count):
            watched = await used(running, seconds)
        for name in WHO:
            more[name].append(watched[name] - alone[name])
        told = ", ".join(f"{name} {alone[name]:.2%} → {watched[name]:.2%}" for name in WHO)
        print(f"{number + 1}: {told}", flush=True)
    medians = {name: statistics.median(found) for name, found in more.items()}
    told = ", ".join(f"{name} {part:+.2%}" for name, part in medians.items())
    print(f"{count} consoles, medians of {rounds}, of a core: {told} (aimed at: the door's < {AIM:.0%})")
    return medians["door"] < AIM


def main() -> int:
    asked = argparse.ArgumentParser()
    asked.add_argument("--consoles", type=int, default=20)
    asked.add_argument("--seconds", type=float, default=20)
    asked.add_argument("--rounds", type=int, default=5)
    given = asked.parse_args()
    running = Running(FLEET)
    try:
        return 0 if asyncio.run(measure(running, given.consoles, given.seconds, given.rounds)) else 1
    finally:
        running.stop()


if __name__ == "__main__":
    sys.exit(main())
