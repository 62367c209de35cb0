"""`motley deploy FLEET`: declare a fleet to a running cluster."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Annotated

import aiohttp
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.at import ADDRESS, Address, AsJson
from app.cli.check import FleetFile
from app.cli.rollout import Broken, Rollout, drafted, rolled_out
from app.cli.stdout import stdout
from app.telemetry.audit import by_command
from backends.fleet.engines import check as check_fleet
from backends.fleet.problems import FleetError
from backends.fleet.schema import Fleet
from backends.serve.rest import Cluster, DeployRefused


def deploy(
    fleet: FleetFile,
    address: Address = ADDRESS,
    port: Annotated[int, typer.Option(help="Of the door, if none runs yet.")] = 8000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and stop.")] = False,
    wait: Annotated[
        bool,
        typer.Option(help="Wait until all is up; go back where one cannot start.", show_default=False),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Declare a fleet to a running cluster.

    What did not change is not touched; what needs a new process gets it beside
    the old one, where there is room.
    """
    try:
        asyncio.run(_deploy(Cluster(address.rstrip("/")), check_fleet(fleet), port, dry_run, wait, as_json))
    except (FleetError, DeployRefused, Broken) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        print(f"no Ray dashboard answers at {address}: {type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from None


async def _deploy(
    cluster: Cluster, fleet: Fleet, port: int, dry_run: bool, wait: bool, as_json: bool
) -> None:
    rollout = await drafted(cluster, fleet, port=port)
    if not as_json:
        print("\n".join(rollout.lines()))
    if dry_run:
        _tell("planned", rollout, as_json, "")
        return
    about = {"models": sorted(fleet.models), "address": cluster.dashboard}
    if wait:
        try:
            await _shown(cluster, rollout, as_json)
        except Broken:
            by_command("deploy", outcome="taken back", **about)
            _tell("failed", rollout, as_json, "")
            raise
        by_command("deploy", **about)
        _tell("deployed", rollout, as_json, "deployed")
    else:
        await cluster.deploy(rollout.after)
        by_command("deploy", outcome="accepted", **about)
        _tell("accepted", rollout, as_json, "accepted; `motley status` shows how it goes")


async def _shown(cluster: Cluster, rollout: Rollout, quiet: bool) -> None:
    """Roll it out: with a bar on a terminal, elsewhere with a line for each that is done."""
    console = stdout(highlight=False, quiet=quiet)
    columns = (
        TextColumn("waiting for {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("what changed", total=len(rollout.changed))

        def say(line: str) -> None:
            console.print(line, markup=False, soft_wrap=True)
            bars.advance(bar)

        await rolled_out(cluster, rollout, say)


def _tell(outcome: str, rollout: Rollout, as_json: bool, line: str) -> None:
    if as_json:
        steps = [asdict(step) for step in rollout.steps]
        print(json.dumps({"outcome": outcome, "steps": steps, "doors": rollout.told}, indent=2))
    elif line:
        print(line)
