"""`motley check FLEET`: is this fleet fit to deploy, and what would run where?
`motley check --parity MODEL`: does a running model embed alike wherever it runs?"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.cli.at import NO_KEY, URL, Key, Url
from app.cli.parity import TOLERANCE, parity
from backends.fleet.engines import check as check_fleet
from backends.fleet.problems import FleetError
from backends.fleet.schema import Fleet

FleetFile = Annotated[
    Path, typer.Argument(metavar="FLEET", help="The fleet file (YAML).", show_default=False)
]


def check(
    fleet: Annotated[Path | None, typer.Argument(metavar="[FLEET]", help="The fleet file (YAML).")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--parity", metavar="MODEL", help="Ask a running Motley whether all replicas embed alike."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="With --parity: how far components may lie apart.")
    ] = TOLERANCE,
    url: Url = URL,
    key: Key = NO_KEY,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check a fleet file and show what it would place where; or check a running model."""
    if (fleet is None) == (model is None):
        raise typer.BadParameter("give a FLEET file, or --parity and a running MODEL")
    if model is not None:
        parity(url, key, model, tolerance, as_json)
        return
    assert fleet is not None
    try:
        rows = placement(check_fleet(fleet))
    except FleetError as error:
        if as_json:
            print(json.dumps({"ok": False, "file": error.file, "problems": problems(error)}, indent=2))
        else:
            print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps({"ok": True, "file": str(fleet), "placement": rows}, indent=2))
        return
    # A pipe has no width; folding there would only break what reads it.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table(rows))
    console.print("ok")


def problems(error: FleetError) -> list[dict[str, Any]]:
    return [
        {"line": one.line, "place": one.place, "message": one.message, "hint": one.hint}
        for one in error.problems
    ]


def placement(fleet: Fleet) -> list[dict[str, Any]]:
    """One row per variant; `traffic` in per cent, `replicas` at least and at most."""
    return [
        {
            "model": name,
            "task": model.task,
            "variant": variant,
            "engine": one.engine,
            "nodes": list(one.place.nodes),
            "share": one.place.share,
            "cpus": one.place.cpus,
            "replicas": list(one.scale.replicas),
            "traffic": model.weights.get(variant, 0),
            "aliases": list(model.aliases),
        }
        for name, model in fleet.models.items()
        for variant, one in model.variants.items()
    ]


def table(rows: list[dict[str, Any]]) -> Table:
    shown = Table()
    for heading in ("model", "task", "variant", "engine", "node"):
        shown.add_column(heading, overflow="fold")
    for heading in ("share", "replicas", "traffic"):
        shown.add_column(heading, justify="right")
    shown.add_column("aliases", overflow="fold")
    for row in rows:
        least, most = row["replicas"]
        shown.add_row(
            row["model"],
            row["task"],
            row["variant"],
            row["engine"],
            ", ".join(row["nodes"]),
            f"{row['share']:g}" if row["share"] else "–",
            str(least) if least == most else f"{least}–{most}",
            f"{row['traffic']} %",
            ", ".join(row["aliases"]),
        )
    return shown
