"""`motley doctor [FLEET]`: would Motley run on this machine, and what would have to be done first?"""

import json
import stat
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv
from pydantic import ValidationError
from rich.text import Text

from app.cli.at import AsJson
from app.cli.at import wrong as about_settings
from app.cli.completing import nodes_of_file
from app.cli.stdout import stdout
from app.doctor import examined
from app.doctor.finding import Finding, ok, warning, wrong
from app.doctor.machine import Machine
from app.guard.keyfile import KeysError
from app.guard.keyring import Keyring
from app.settings import Settings
from backends.fleet.engines import check as check_fleet
from backends.fleet.problems import FleetError, did_you_mean
from backends.fleet.schema import Fleet

_COLOURS = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def doctor(
    context: typer.Context,
    fleet: Annotated[
        Path | None, typer.Argument(metavar="FLEET", help="The fleet that shall run here.")
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(
            help="Which kind of node of the fleet this machine is.",
            show_default="the only one",
            autocompletion=nodes_of_file,
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Where the door shall listen.")] = 8000,
    as_json: AsJson = False,
) -> None:
    """Tell what is wrong with this machine, and what mends it.

    Looks at drivers, cards, packages, Ray, ports, memory and disks.
    Changes nothing. Exits with 1 where something is wrong.
    """
    if node is not None and fleet is None:
        raise typer.BadParameter("--node needs a FLEET file")
    load_dotenv(".env")
    machine = context.find_object(Machine) or Machine()
    found = [*_settings(machine), *_found(machine, fleet, node, port)]
    bad = sum(one.state == "wrong" for one in found)
    if as_json:
        print(json.dumps({"ok": not bad, "findings": [asdict(one) for one in found]}, indent=2))
    else:
        _show(found, bad)
    if bad:
        raise typer.Exit(1)


def _settings(machine: Machine) -> Iterator[Finding]:
    """Those of the door, as `motley up` reads them. Values are never told."""
    try:
        settings = Settings()
        keys = Keyring.of(settings)
    except ValidationError as error:
        yield wrong("settings", about_settings(error), "correct it in the environment or in .env")
    except KeysError as error:
        fix = "motley keys create --owner NAME, or correct MOTLEY_KEYS_FILE and MOTLEY_KEYS_PEPPER"
        yield wrong("settings", str(error), fix)
    else:
        said = (
            "keys are asked for" if keys.on else "nobody is asked for a key, so the door stays on 127.0.0.1"
        )
        yield ok("settings", said)
    file = machine.here / ".env"
    if file.is_file() and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning(
            "settings", ".env may hold keys, and other users of this machine may read it", "chmod 600 .env"
        )


def _found(machine: Machine, file: Path | None, node: str | None, port: int) -> Iterator[Finding]:
    """About the fleet, and then about the machine: with it, where it is one."""
    fleet = None
    if file is not None:
        try:
            fleet = check_fleet(file)
        except FleetError as error:
            for problem in error.problems:
                place = f"{file}:{problem.line}: {problem.place}" if problem.line else str(file)
                yield wrong("fleet", f"{place}: {problem.message}", problem.hint or f"edit {file}")
            node = None
    if fleet is not None:
        node = _mine(fleet, node)
        models = f"{len(fleet.models)} model{'s' if len(fleet.models) != 1 else ''}"
        if node is None:
            kinds = ", ".join(fleet.nodes)
            said = (
                f"{file} has several kinds of node ({kinds}), and which this machine is decides what it needs"
            )
            yield warning("fleet", said, f"motley doctor {file} --node {next(iter(fleet.nodes))}")
        else:
            yield ok("fleet", f"{models}; this machine is its node {node}")
    yield from examined(machine, fleet, node, port)


def _mine(fleet: Fleet, node: str | None) -> str | None:
    if node is not None and node not in fleet.nodes:
        raise typer.BadParameter(f"there is no node '{node}' ({did_you_mean(node, fleet.nodes)})")
    return node or (next(iter(fleet.nodes)) if len(fleet.nodes) == 1 else None)


def _show(found: list[Finding], bad: int) -> None:
    """A sentence each, and below it what mends it, unfolded: it is there to be copied."""
    console = stdout(highlight=False, markup=False)
    wide = max(len(one.about) for one in found)
    indent = 7 + 2 + wide + 2
    for one in found:
        head = Text.assemble((f"{one.state:<7}  ", _COLOURS[one.state]), f"{one.about:<{wide}}  ")
        for line in Text(one.message).wrap(console, max(20, console.width - indent)):
            console.print(head + line, soft_wrap=True)
            head = Text(" " * indent)
        if one.fix:
            console.print(f"{'':<{indent}}→ {one.fix}", style="bold", soft_wrap=True)
    mild = sum(one.state == "warning" for one in found)
    parts = [f"{count} {word}" for count, word in ((bad, "wrong"), (mild, "to know of")) if count]
    console.print(f"\n{', '.join(parts) or 'nothing is wrong'}")
