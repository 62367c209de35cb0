"""`motley deploy FLEET`: declare a fleet to a running cluster."""

import asyncio
import sys
from typing import Annotated

import typer

from app.cli.check import FleetFile
from backends.fleet.engines import check as check_fleet
from backends.fleet.problems import FleetError
from backends.render.serve import serve_config


def deploy(
    fleet: FleetFile,
    address: Annotated[str, typer.Option(help="Ray's dashboard, whose REST API takes the config.")],
    port: Annotated[int, typer.Option(help="Where the door listens.")] = 8000,
) -> None:
    """Declare a fleet to a running cluster: what changed is updated in place, nothing else moves."""
    from backends.serve.cluster import Cluster, DeployRefused

    try:
        asyncio.run(Cluster(address.rstrip("/")).deploy(serve_config(check_fleet(fleet), port=port)))
    except (FleetError, DeployRefused) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    print("accepted; `motley status` shows how it goes")
