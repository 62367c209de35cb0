"""`motley up --watch`: a fleet file that is deployed whenever it changed."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

from app.cli.rollout import Broken, drafted, rolled_out
from backends.fleet.engines import check as check_fleet
from backends.fleet.problems import FleetError
from backends.fleet.schema import Fleet
from backends.serve.rest import Cluster, DeployRefused

LOOK_S = 0.5
Stamp = tuple[int, int] | None


def stamp(file: Path) -> Stamp:
    """By which a change shows; None where there is no file, as while an editor replaces it."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


async def watch(
    file: Path, seen: Stamp, running: Fleet, cluster: Cluster, console: Console, **serving: Any
) -> None:
    """Until cancelled. `seen`: the stamp of what was deployed last. A change is taken when the file has
    stood still for one look; one that comes while another is rolled out takes its place."""
    rolling: asyncio.Task[None] | None = None
    last = seen
    try:
        while True:
            await asyncio.sleep(LOOK_S)
            now = stamp(file)
            if now is not None and now == last and now != seen:
                seen = now
                if rolling is not None:
                    rolling.cancel()
                rolling = asyncio.create_task(_renew(file, running, cluster, console, serving))
            last = now
    finally:
        if rolling is not None:
            rolling.cancel()


async def _renew(
    file: Path, running: Fleet, cluster: Cluster, console: Console, serving: dict[str, Any]
) -> None:
    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    say(f"\n{file} changed")
    try:
        fleet = await asyncio.to_thread(check_fleet, file)
        _same_nodes(fleet, running)
        rollout = await drafted(cluster, fleet, **serving)
        for line in rollout.lines():
            say(line)
        await rolled_out(cluster, rollout, say)
    except (FleetError, DeployRefused, Broken, aiohttp.ClientError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        say("what ran before goes on")
    else:
        say("deployed")


def _same_nodes(fleet: Fleet, running: Fleet) -> None:
    if fleet.nodes != running.nodes:
        raise Broken("`nodes` differ from those that Ray was started with: start `motley up` anew")
