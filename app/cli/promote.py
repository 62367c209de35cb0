"""`motley promote MODEL VARIANT`: all traffic to one variant."""

from typing import Annotated

import typer

from app.cli.at import ADDRESS, Address, AsJson
from app.cli.changing import change
from app.cli.completing import variants
from app.cli.traffic import Model
from backends.fleet.traffic import promoted


def promote(
    model: Model,
    variant: Annotated[str, typer.Argument(metavar="VARIANT", show_default=False, autocompletion=variants)],
    address: Address = ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Send all requests of a model to one of its variants."""
    change(address, model, lambda public, now: promoted(public, model, variant, now), as_json, "promote")
