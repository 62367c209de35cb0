"""`motley status`: how every model is, and where it runs."""

import json
import sys
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.table import Table

from app.cli.at import NO_KEY, URL, Key, Url


def status(
    url: Url = URL,
    key: Key = NO_KEY,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show state, replicas, node, share and queue of every model."""
    try:
        fleet = httpx2.get(f"{url}/v1/fleet", headers={"authorization": f"Bearer {key}"}, timeout=10)
    except httpx2.HTTPError as error:
        print(f"nothing answers at {url}: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if fleet.is_error:
        print(f"{url} answers {fleet.status_code}: {fleet.text}", file=sys.stderr)
        raise typer.Exit(1)
    if as_json:
        print(json.dumps(fleet.json(), indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(_table(fleet.json()))
    for name, model in fleet.json()["models"].items():
        if (model["traffic"] or {}).get("why"):
            console.print(f"{name}: {model['traffic']['why']}", markup=False)


def _table(fleet: dict[str, Any]) -> Table:
    table = Table()
    for heading in ("model", "task", "variant", "engine", "state", "node"):
        table.add_column(heading)
    for heading in ("traffic", "share", "replicas", "running", "queued", "loaded in"):
        table.add_column(heading, justify="right")
    for name, model in fleet["models"].items():
        for label, variant in model["variants"].items():
            replicas = variant["replicas"]
            table.add_row(
                name,
                model["task"],
                label,
                variant["engine"],
                variant["state"],
                ", ".join(sorted({replica["node"] for replica in replicas})) or "–",
                f"{variant['weight']} %",
                f"{variant['share']:g}" if variant["share"] else "–",
                str(len(replicas)),
                str(sum(replica["ongoing"] for replica in replicas)),
                str(sum(replica["queued"] for replica in replicas)),
                f"{variant['seconds']:.1f} s",
            )
    return table
