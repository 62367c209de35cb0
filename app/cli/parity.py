"""`motley check --parity MODEL`: do all variants and replicas of a running model embed alike?"""

import json
from typing import Any

import typer
from rich.table import Table

from app.cli.at import told
from app.cli.stdout import stdout

# Vectors are of length 1. In float32 two vendors differ by about 1e-6, in half precision by 1e-3;
# eight-bit weights by 1e-2, which already changes what is found.
TOLERANCE = 1e-3


def parity(url: str, key: str, model: str, tolerance: float, as_json: bool) -> None:
    """Print how far the vectors of all replicas lie apart. Exits with 1 unless that is within
    `tolerance`, a difference of components."""
    found: dict[str, Any] = told(url, key, "/v1/fleet/parity", 600, model=model)
    largest = found["largest"]
    agree = largest is not None and largest <= tolerance
    if as_json:
        print(json.dumps({"ok": agree, "tolerance": tolerance, **found}, indent=2))
    else:
        console = stdout()
        console.print(_table(found["replicas"]))
        console.print(_verdict(found, tolerance, agree))
    if not agree:
        raise typer.Exit(1)


def _table(replicas: list[dict[str, Any]]) -> Table:
    table = Table()
    for heading in ("variant", "node", "process", "fingerprint", "dimensions", "difference", "error"):
        table.add_column(heading, justify="right" if heading in ("dimensions", "difference") else "left")
    for one in replicas:
        difference = one["difference"]
        shown = (one["variant"], one["node"], one["pid"], one["fingerprint"], one["dimensions"])
        apart = "–" if difference is None else f"{difference:.1e}"
        table.add_row(*("–" if each is None else str(each) for each in shown), apart, one["error"] or "")
    return table


def _verdict(found: dict[str, Any], tolerance: float, agree: bool) -> str:
    if found["largest"] is None:
        return f"{found['model']}: not all of it could be compared"
    said = f"{found['model']}: the largest difference is {found['largest']:.1e}"
    return (
        f"{said}, at most {tolerance:g}: they agree" if agree else f"{said}, over {tolerance:g}: they differ"
    )
