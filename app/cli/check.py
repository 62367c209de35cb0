"""`motley check FLEET`: is this fleet fit to deploy, and what would run where?
`motley check --cluster FLEET`: would it run so on the nodes that are there?
`motley check --parity MODEL`: does a running model embed alike wherever it runs?"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from app.cli.at import NO_KEY, URL, AsJson, Key, Url, wrong
from app.cli.completing import models_at_the_door
from app.cli.parity import TOLERANCE, parity
from app.cli.stdout import stdout
from app.guard.shared import unshared
from app.settings import Settings
from backends.contract.engine import Memory
from backends.fleet.crowding import free_gpus
from backends.fleet.engines import check as check_fleet
from backends.fleet.engines import estimates
from backends.fleet.live import Node, lacking, on_these
from backends.fleet.placement import Placement, asks, machines, place_of, solve
from backends.fleet.problems import FleetError, Problem
from backends.fleet.schema import Fleet

FleetFile = Annotated[
    Path, typer.Argument(metavar="FLEET", help="The fleet file (YAML).", show_default=False)
]
GIB = 2**30


def check(
    fleet: Annotated[Path | None, typer.Argument(metavar="FLEET", help="The fleet file (YAML).")] = None,
    cluster: Annotated[bool, typer.Option("--cluster", help="Compare with the nodes of a cluster.")] = False,
    address: Annotated[str, typer.Option(help="With --cluster: Ray's dashboard.")] = "http://127.0.0.1:8265",
    model: Annotated[
        str | None,
        typer.Option(
            "--parity",
            metavar="MODEL",
            help="Whether its replicas embed alike.",
            autocompletion=models_at_the_door,
        ),
    ] = None,
    tolerance: Annotated[float, typer.Option(help="With --parity: how far apart.")] = TOLERANCE,
    url: Url = URL,
    key: Key = NO_KEY,
    as_json: AsJson = False,
) -> None:
    """Check a fleet file and show who would run where; or a model.

    With --parity: whether all replicas of a running model embed alike.
    """
    if not tolerance >= 0:
        raise typer.BadParameter("--tolerance must be 0 or more")
    if (fleet is None) == (model is None):
        raise typer.BadParameter("give a FLEET file, or --parity and a running MODEL")
    if model is not None:
        parity(url, key, model, tolerance, as_json)
        return
    assert fleet is not None
    try:
        checked = check_fleet(fleet)
        _must_share(fleet, checked)
    except FleetError as error:
        if as_json:
            print(json.dumps({"ok": False, "file": error.file, "problems": problems(error)}, indent=2))
        else:
            print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    missing: list[str] | None = None
    placed = solve(asks(checked), machines(checked))
    if cluster:
        nodes = _living(address)
        placed, waiting = on_these(checked, nodes)
        missing = [*lacking(checked, nodes), *waiting]
    _show(fleet, checked, placed, missing, as_json)
    if missing:
        raise typer.Exit(1)


def _must_share(file: Path, fleet: Fleet) -> None:
    """Raises FleetError for several doors that would each count for themselves."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise FleetError(str(file), [Problem(None, "", wrong(error))]) from None
    found = [Problem(None, "door.replicas", *said) for said in unshared(fleet.door.replicas, settings)]
    if found:
        raise FleetError(str(file), found)


def _living(address: str) -> list[Node]:
    from backends.serve.rest import Cluster, Unreachable

    try:
        return asyncio.run(Cluster(address.rstrip("/")).nodes())
    except Unreachable as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None


def _show(file: Path, fleet: Fleet, placed: Placement, missing: list[str] | None, as_json: bool) -> None:
    """`missing`: in the cluster; None where none was asked."""
    memory = estimates(fleet)
    rows = placement(fleet, memory)
    if as_json:
        told: dict[str, Any] = {"ok": not missing, "file": str(file), "placement": rows}
        told["seats"] = seats(fleet, placed, memory)
        told["chains"] = chains(fleet)
        print(json.dumps(told | ({} if missing is None else {"cluster": missing}), indent=2))
        return
    # A pipe has no width; folding there would only break what reads it.
    console = stdout(highlight=False)
    console.print(table(rows))
    for chain in chains(fleet):
        steps = ", ".join(f"{label}: {model}" for label, model in chain["steps"].items())
        console.print(f"{chain['model']} ({chain['task']}) is made of {steps}", markup=False)
    if any(seat.gpus for seat in placed.seats):
        console.print(cards(placed))
    for sentence in missing or ():
        console.print(sentence, markup=False, style="red")
    if not missing:
        console.print("ok" if missing is None else "ok: the cluster has all of it")


def problems(error: FleetError) -> list[dict[str, Any]]:
    return [
        {"line": one.line, "place": one.place, "message": one.message, "hint": one.hint}
        for one in error.problems
    ]


def placement(fleet: Fleet, memory: dict[tuple[str, str], Memory | None]) -> list[dict[str, Any]]:
    """One row per variant; `traffic` in per cent, `replicas` at least and at most. Bytes of a replica:
    `granted` of a card, `estimated` of the card or else of the machine (null: not known here)."""
    return [
        {
            "model": name,
            "task": model.task,
            "variant": variant,
            "engine": one.engine,
            "nodes": list(one.place.nodes),
            "share": one.place.share,
            "cpus": one.place.cpus,
            "granted": fleet.granted(one.place).granted,
            "estimated": known.total if (known := memory[name, variant]) else None,
            "slot": one.slot,
            "pin": one.pin,
            "replicas": list(one.scale.replicas),
            "traffic": model.weights.get(variant, 0),
            "aliases": list(model.aliases),
        }
        for name, model in fleet.models.items()
        for variant, one in model.variants.items()
    ]


def chains(fleet: Fleet) -> list[dict[str, Any]]:
    """One row per model that is made of others; `steps` as the file names them."""
    return [
        {
            "model": name,
            "task": model.task,
            "steps": {part.label: part.model for part in model.steps.parts(model.task)},
            "aliases": list(model.aliases),
        }
        for name, model in fleet.models.items()
        if model.steps is not None
    ]


def seats(
    fleet: Fleet, placed: Placement, memory: dict[tuple[str, str], Memory | None]
) -> list[dict[str, Any]]:
    """One row per replica that there is at least; `machine` counts the nodes of a kind from 1, `gpus`
    the cards of a machine from 0."""
    return [
        {
            "model": ask.model,
            "variant": ask.variant,
            "replica": ask.replica,
            "node": machine.kind,
            "machine": machine.number,
            "gpus": list(gpus),
            "share": ask.share,
            "granted": fleet.granted(place_of(fleet, ask)).granted,
            "estimated": known.total if (known := memory.get((ask.model, ask.variant))) else None,
        }
        for ask, machine, gpus in placed.seats
    ]


def table(rows: list[dict[str, Any]]) -> Table:
    shown = Table()
    for heading in ("model", "task", "variant", "engine", "node"):
        shown.add_column(heading, overflow="fold")
    for heading in ("share", "grants", "needs", "replicas", "traffic"):
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
            _share(row),
            _size(row["granted"]) if row["granted"] else "–",
            "unknown here" if row["estimated"] is None else _size(row["estimated"]),
            str(least) if least == most else f"{least}–{most}",
            f"{row['traffic']} %",
            ", ".join(row["aliases"]),
        )
    return shown


def _share(row: dict[str, Any]) -> str:
    share = f"{row['share']:g}" if row["share"] else "–"
    if row["slot"] is None:
        return share
    return f"{share} in {row['slot']}{', pinned' if row['pin'] else ''}"


def cards(placed: Placement) -> Table:
    """A row per GPU that somebody is on."""
    shown = Table()
    shown.add_column("node")
    shown.add_column("GPU", justify="right")
    shown.add_column("who", overflow="fold")
    shown.add_column("free", justify="right")
    several = {seat.machine.kind for seat in placed.seats if seat.machine.number > 1}
    for machine in dict.fromkeys(seat.machine for seat in placed.seats):
        there = [seat for seat in placed.seats if seat.machine == machine]
        name = f"{machine.kind} {machine.number}" if machine.kind in several else machine.kind
        for gpu, free in enumerate(free_gpus(machine, there)):
            who = [f"{seat.ask.model} {min(seat.ask.share, 1):g}" for seat in there if gpu in seat.gpus]
            if who:
                shown.add_row(name, str(gpu), ", ".join(who), f"{free:g}")
    return shown


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB"
