"""`motley pull FLEET [MODEL …]`, `motley pull SOURCE`: bring models to this node before they are needed."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from app.cli.at import AsJson
from app.cli.completing import models_of_file, nodes_of_file
from app.cli.stdout import stdout
from backends.contract.errors import GatewayError, SourceFailed
from backends.fleet.engines import check as check_fleet
from backends.fleet.problems import FleetError, did_you_mean
from backends.fleet.schema import Fleet
from backends.sources import addressed, locate, pickles
from backends.sources.errand import Errand, Told
from backends.sources.store import Hold, Store
from backends.sources.unfetched import Pace

LINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of one source. `path`: of the model on this node, None for what has no files of its own;
    `revision`: the hub's commit; `why`: a word for programs, None where all is well."""

    source: str
    allow_pickle: bool
    models: tuple[str, ...]
    path: str | None = None
    revision: str = ""
    seconds: float = 0.0
    why: str | None = None
    message: str = ""


def pull(
    what: Annotated[
        str, typer.Argument(metavar="FLEET|SOURCE", help="A fleet file, or hf://… and the like.")
    ],
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL", help="Only these models of the fleet.", autocompletion=models_of_file
        ),
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(
            "--node",
            help="Only what may run on this kind of node of the fleet.",
            autocompletion=nodes_of_file,
        ),
    ] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="With a SOURCE: take weights that are pickles, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the models of a fleet, or one source, to this node.

    What is here already takes no time, what was cut is gone on with.
    Exits with 1 where any of them cannot be had.
    """
    load_dotenv(".env")
    if "://" in what:
        if models or node:
            raise typer.BadParameter("MODEL and --node need a FLEET file")
        asked = [Pulled(what, allow_pickle, ())]
    else:
        if allow_pickle:
            raise typer.BadParameter("--allow-pickle needs a SOURCE: a fleet says it per model")
        asked = _asked(_checked(Path(what)), models or (), node)
    told = asyncio.run(_all(asked, as_json))
    if as_json:
        print(json.dumps([asdict(one) for one in told], indent=2))
    if any(one.why is not None for one in told):
        raise typer.Exit(1)


def _checked(file: Path) -> Fleet:
    try:
        return check_fleet(file)
    except FleetError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None


def _asked(fleet: Fleet, models: Iterable[str], node: str | None) -> list[Pulled]:
    """One per source, in the order of the fleet."""
    named = {alias: name for name, model in fleet.models.items() for alias in (name, *model.aliases)}
    for model in models:
        if model not in named:
            raise typer.BadParameter(f"there is no model '{model}' ({did_you_mean(model, named)})")
    if node is not None and node not in fleet.nodes:
        raise typer.BadParameter(f"there is no node '{node}' ({did_you_mean(node, fleet.nodes)})")
    only = {named[model] for model in models} or fleet.models.keys()
    wanted: dict[tuple[str, bool], tuple[str, ...]] = {}
    for name in fleet.models:
        for one in fleet.models[name].variants.values():
            if name in only and (node is None or node in one.place.nodes):
                key = one.source, one.allow_pickle
                wanted[key] = tuple(dict.fromkeys((*wanted.get(key, ()), name)))
    return [Pulled(*key, names) for key, names in wanted.items()]


async def _all(asked: list[Pulled], quiet: bool) -> list[Pulled]:
    """One after the other (the files of each come together). All are held until the last is here, so that
    none makes room for another."""
    console = stdout(highlight=False, quiet=quiet)
    columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    holds: list[Hold] = []
    told = []
    try:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *columns,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as bars:
            for one in asked:
                bar = bars.add_task(_name(one), total=None)
                begun = time.monotonic()
                show: Told = Lines(_name(one), partial(console.print, markup=False))
                if console.is_terminal:
                    show = lambda have, size, bar=bar: bars.update(bar, completed=have, total=size)  # type: ignore[misc]  # noqa: E731
                found = await _one(one, holds, show)
                bars.remove_task(bar)
                told.append(replace(found, seconds=round(time.monotonic() - begun, 1)))
                _show(console, told[-1])
    finally:
        for hold in holds:
            hold.close()
    return told


async def _one(one: Pulled, holds: list[Hold], progress: Told) -> Pulled:
    try:
        address = addressed(one.source)
        if not address.far:
            path = locate(one.source)
            if path is not None and not one.allow_pickle:
                pickles.refuse(path)
            return replace(one, path=str(path) if path else None)
        holds.append(await Errand(address, one.allow_pickle).run(progress))
        record = Store.of(os.environ).record(address.key(one.allow_pickle))
        return replace(one, path=str(holds[-1].path), revision=record.revision if record else "")
    except SourceFailed as failed:
        return replace(one, why=failed.why, message=failed.message)
    except GatewayError as failed:
        return replace(one, why="not_found", message=failed.message)


class Lines:
    """In the place of a bar, a line now and then: for logs. `clock`: seconds."""

    def __init__(
        self, name: str, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._say, self._clock = name, say, clock
        self._pace, self._next = Pace(clock), clock()

    def __call__(self, have: int, size: int | None) -> None:
        stage = self._pace.told(have, size)[0]
        if (now := self._clock()) >= self._next:
            self._next = now + LINE_S
            self._say(f"{self._name}: {stage}")


def _name(one: Pulled) -> str:
    return ", ".join(one.models) or one.source


def _show(console: Console, one: Pulled) -> None:
    if one.why is not None:
        print(f"{_name(one)}: {one.message}", file=sys.stderr)
    else:
        console.print(
            f"{_name(one)}: {one.path or 'has no files of its own'} ({one.seconds} s)", markup=False
        )
