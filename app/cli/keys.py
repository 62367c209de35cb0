"""`motley keys create|list|revoke|rotate`: who may use the door, in a file that every door reads."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.table import Table

from app.cli.at import AsJson, wrong
from app.cli.stdout import stdout
from app.guard import keyfile
from app.guard.keyfile import Key, KeysError
from app.guard.keyring import pepper_of
from app.guard.scopes import Priority
from app.settings import Settings
from app.telemetry.audit import by_command

keys = typer.Typer(help="Make, show and take back API keys.", no_args_is_help=True)

File = Annotated[
    Path | None, typer.Option("--file", help="The keys file; else MOTLEY_KEYS_FILE.", show_default=False)
]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="As `list` shows it (not the key).", show_default=False)
]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _span(given: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", given)
    if found is None:
        raise typer.BadParameter(f"'{given}' is no time: write 90d, 12h, 30m or 10s")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _amount(given: str) -> tuple[str, int]:
    name, _, number = given.partition("=")
    if not number.isascii() or not number.isdigit():
        raise typer.BadParameter(f"'{given}' is no limit: write KIND/PERIOD=N, as in tokens/day=100000")
    return name, int(number)


@keys.command()
def create(
    owner: Annotated[str, typer.Option(help="Whose it is: a person, a team.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="What it may do; again for more.",
            show_default="*:*",
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="After how long: 90d, 12h.", show_default="never")
    ] = "",
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIMIT",
            help="How much it may do; again for more.",
        ),
    ] = None,
    weight: Annotated[int, typer.Option(help="Its part where requests wait, 1 to 1000.")] = 1,
    priority: Annotated[
        Priority, typer.Option(metavar="LEVEL", help="low, normal or high: goes first.")
    ] = "normal",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once: the file has a digest of it.

    A scope: VERB:MODEL (`*` is any; `*:*` is no operator), observer, operator.
    A limit: KIND/PERIOD=N, as in requests/minute=60, or concurrency=N. Kinds:
    requests, tokens, audio_seconds, characters, gpu_seconds.
    """
    if not 1 <= weight <= 1000:
        raise typer.BadParameter("--weight is 1 to 1000")
    lasts, amounts = _span(expires) if expires else None, dict(map(_amount, limit or ()))
    with _told(file) as (settings, where):
        pepper = pepper_of(settings)
        with keyfile.changing(where) as held:
            key, plain = keyfile.created(
                owner, scope or ["*:*"], pepper, keyfile.now(), lasts, amounts, weight, priority
            )
            held.append(held[0].with_one(key))
        by_command("keys create", key=key.id, owner=key.owner, scopes=list(key.scopes))
    _show(key, plain, as_json)


@keys.command("list")
def list_(file: File = None, as_json: AsJson = False) -> None:
    """Show ids, owners, scopes, limits: not what the keys read."""
    with _told(file) as (_, where):
        found = keyfile.read(where).keys
    now = keyfile.now()
    if as_json:
        print(json.dumps([_facts(key, now) for key in found], indent=2))
        return
    table = Table()
    for heading in ("id", "owner", "scopes", "limits", "turns", "created", "expires", "state"):
        table.add_column(heading, overflow="fold")
    for key in found:
        limits = ", ".join(f"{name} {amount}" for name, amount in key.limits.items()) or "–"
        days = (_day(key.created), _day(key.expires))
        turns = f"{key.weight}, {key.priority}"
        table.add_row(key.id, key.owner, ", ".join(key.scopes), limits, turns, *days, key.state(now))
    stdout(highlight=False, markup=False).print(table)


@keys.command()
def revoke(key: Id, file: File = None, as_json: AsJson = False) -> None:
    """Take a key back, for good.

    Doors refuse it a second after they see the file.
    """
    with _told(file) as (_, where), keyfile.changing(where) as held:
        revoked = keyfile.revoked(held[0].named(key), keyfile.now())
        held.append(held[0].with_one(revoked))
    by_command("keys revoke", key=key)
    print(json.dumps(_facts(revoked, keyfile.now()), indent=2) if as_json else f"{key} is revoked")


@keys.command()
def rotate(
    key: Id,
    overlap: Annotated[
        str, typer.Option(metavar="TIME", help="How long what it read before works on.")
    ] = "24h",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Give a key another text, and print that, this once.

    Its id, owner and scopes stay.
    """
    span = _span(overlap)
    with _told(file) as (settings, where):
        pepper = pepper_of(settings)
        with keyfile.changing(where) as held:
            changed, plain = keyfile.rotated(held[0].named(key), pepper, keyfile.now(), span)
            held.append(held[0].with_one(changed))
        by_command("keys rotate", key=key)
    _show(changed, plain, as_json)


@contextmanager
def _told(file: Path | None) -> Iterator[tuple[Settings, Path]]:
    """The settings and the file. What goes wrong is said in a sentence."""
    try:
        settings = Settings()
        yield settings, file or _set(settings)
    except KeysError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except ValidationError as error:
        print(wrong(error), file=sys.stderr)
        raise typer.Exit(1) from None


def _set(settings: Settings) -> Path:
    if not settings.keys_file:
        raise KeysError("which file? Set MOTLEY_KEYS_FILE, or give --file")
    return Path(settings.keys_file)


def _show(key: Key, plain: str, as_json: bool) -> None:
    """The key alone on stdout, for pipes; about it on stderr."""
    if as_json:
        print(json.dumps({**_facts(key, keyfile.now()), "key": plain}, indent=2))
        return
    print(plain)
    print(f"{key.id}, of {key.owner}: {', '.join(key.scopes)}. It is not shown again.", file=sys.stderr)


def _facts(key: Key, now: datetime) -> dict[str, object]:
    facts = key.model_dump(mode="json", exclude={"secrets"})
    return {**facts, "state": key.state(now), "texts": len(key.secrets)}


def _day(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
