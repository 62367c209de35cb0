"""`motley usage`: what was used, by whom, of which model, when."""

import csv
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli.at import NO_KEY, URL, AsJson, Key, Url, told
from app.cli.completing import models_at_the_door
from app.cli.stdout import stdout
from app.usage.entries import ACCOUNT, SUMS
from app.wire.usage import MOST

_UNITS = {"h": "hours", "d": "days"}
_ALL = "key,model,verb,variant"


def usage(
    of: Annotated[str, typer.Option("--of", metavar="ID", help="Of one key, by its id.")] = "",
    model: Annotated[
        str, typer.Option(help="Of one model, by its own name.", autocompletion=models_at_the_door)
    ] = "",
    verb: Annotated[str, typer.Option(help="Of one verb.")] = "",
    variant: Annotated[str, typer.Option(help="Of one variant.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="From 2026-01-31 or 30d, 12h ago on.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Before then.")] = "",
    by: Annotated[str, typer.Option(help=f"What to keep apart, of {','.join(ACCOUNT)}.")] = _ALL,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: AsJson = False,
    url: Url = URL,
    key: Key = NO_KEY,
) -> None:
    """Show what was used, by whom, of which model.

    Requests, tokens, seconds, characters, GPU-seconds and errors, added up.
    """
    if as_csv and as_json:
        raise typer.BadParameter("give --csv or --json, not both")
    filters = {"key": of, "model": model, "verb": verb, "variant": variant}
    asked = {name: value for name, value in filters.items() if value}
    asked |= {name: _moment(value) for name, value in (("since", since), ("until", until)) if value}
    found = told(url, key, "/v1/usage", 30, by=by, limit=str(MOST), **asked)
    if found["has_more"]:
        print(f"there are more than these {MOST:,} rows: ask for less, or keep less apart", file=sys.stderr)
    columns = [name for name in ACCOUNT if name in by.split(",")]
    if as_json:
        print(json.dumps(found["data"], indent=2))
    elif as_csv:
        out = csv.DictWriter(sys.stdout, [*columns, *SUMS], lineterminator="\n")
        out.writeheader()
        out.writerows(found["data"])
    else:
        stdout(highlight=False, markup=False).print(_table(columns, found["data"]))


def _table(columns: list[str], rows: list[dict[str, Any]]) -> Table:
    table = Table(show_footer=len(rows) > 1)
    for name in columns:
        table.add_column(name, "in all" if name == columns[0] else "", overflow="fold")
    for name in SUMS:
        whole = _figure(sum(row[name] for row in rows))
        table.add_column(name.replace("_", " "), whole, justify="right")
    for row in rows:
        table.add_row(*(row[name] or "–" for name in columns), *(_figure(row[name]) for name in SUMS))
    return table


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _moment(given: str) -> str:
    """ISO 8601, of that or of a span before now."""
    ago = re.fullmatch(r"([0-9]{1,5})([hd])", given)
    if ago is None:
        return given
    return (datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
