"""`motley render FLEET`: the configuration that a fleet stands for, as YAML."""

import sys
from typing import Annotated

import typer
import yaml

from app.cli.check import FleetFile
from backends.fleet.engines import check as check_fleet
from backends.fleet.problems import FleetError
from backends.render.helm import as_yaml, helm_values
from backends.render.serve import serve_config


def render(
    fleet: FleetFile,
    helm: Annotated[
        bool, typer.Option("--helm", help="Print values for the Helm chart (deploy/helm/motley) instead.")
    ] = False,
    host: Annotated[
        str | None, typer.Option(help="Where the door listens.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Where the door listens.", show_default="8000")] = None,
) -> None:
    """Print the Ray Serve config of a fleet, or values for Helm."""
    if helm and (host is not None or port is not None):
        raise typer.BadParameter("with --helm the door listens on port 8000 of its pods, always")
    try:
        checked = check_fleet(fleet)
    except FleetError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    if helm:
        print(as_yaml(helm_values(checked, fleet.read_text(encoding="utf-8"))), end="")
        return
    config = serve_config(checked, host=host or "127.0.0.1", port=8000 if port is None else port)
    print(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), end="")
