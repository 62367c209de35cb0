"""`motley render FLEET`: the configuration that a fleet stands for, as YAML."""

import sys
from typing import Annotated

import typer
import yaml

from app.cli.check import FleetFile
from backends.fleet.engines import check as check_fleet
from backends.fleet.problems import FleetError
from backends.render.serve import serve_config


def render(
    fleet: FleetFile,
    host: Annotated[str, typer.Option(help="Where the door listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where the door listens.")] = 8000,
) -> None:
    """Print the Ray Serve config of a fleet."""
    try:
        config = serve_config(check_fleet(fleet), host=host, port=port)
    except FleetError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    print(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), end="")
