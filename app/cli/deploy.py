"""`motley deploy FLEET`: declare a fleet to a running cluster."""

import asyncio
import sys
from typing import Annotated

import aiohttp
import typer

from app.cli.at import ADDRESS, Address
from app.cli.check import FleetFile
from app.cli.rollout import Broken, drafted, rolled_out
from backends.fleet.engines import check as check_fleet
from backends.fleet.problems import FleetError
from backends.fleet.schema import Fleet
from backends.serve.rest import Cluster, DeployRefused


def deploy(
    fleet: FleetFile,
    address: Address = ADDRESS,
    port: Annotated[int, typer.Option(help="Where the door listens, if it does not run yet.")] = 8000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and stop.")] = False,
    wait: Annotated[
        bool,
        typer.Option(help="Wait until what changed is up, and go back where it cannot start."),
    ] = True,
) -> None:
    """Declare a fleet to a running cluster. What did not change is not touched; what can change in place
    does; what needs a new process gets it beside the old one, where there is room."""
    try:
        asyncio.run(_deploy(Cluster(address.rstrip("/")), check_fleet(fleet), port, dry_run, wait))
    except (FleetError, DeployRefused, Broken) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        print(f"no Ray dashboard answers at {address}: {type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from None


async def _deploy(cluster: Cluster, fleet: Fleet, port: int, dry_run: bool, wait: bool) -> None:
    rollout = await drafted(cluster, fleet, port=port)
    print("\n".join(rollout.lines()))
    if dry_run:
        return
    if wait:
        await rolled_out(cluster, rollout, print)
        print("deployed")
    else:
        await cluster.deploy(rollout.after)
        print("accepted; `motley status` shows how it goes")
