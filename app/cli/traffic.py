"""`motley traffic MODEL [VARIANT=PER_CENT …]`: how the requests for a model are split, and another split."""

from typing import Annotated

import typer

from app.cli.at import ADDRESS, Address, AsJson
from app.cli.changing import change
from app.cli.completing import models
from app.cli.completing import shares as shares_of
from backends.fleet.traffic import Public, shifted

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A model's name or alias.", show_default=False, autocompletion=models
    ),
]


def traffic(
    model: Model,
    shares: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VARIANT=PER_CENT",
            help="100 in all; who is not named gets nothing.",
            autocompletion=shares_of,
        ),
    ] = None,
    address: Address = ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Show how a model's requests are split, or split them anew.

    Over its variants, at once. The next deploy of a fleet file puts the file's own split in its place.
    """
    weights = _weights(shares or [])

    def edit(public: Public, now: float) -> Public:
        public.named(model)
        return shifted(public, model, weights, now) if weights else public

    change(address, model, edit, as_json, "traffic")


def _weights(shares: list[str]) -> dict[str, int]:
    weights: dict[str, int] = {}
    for share in shares:
        variant, _, number = share.partition("=")
        if not variant or not number.removesuffix("%").isascii() or not number.removesuffix("%").isdigit():
            raise typer.BadParameter(f"'{share}' is no share: write VARIANT=PER_CENT, as in canary=10")
        if variant in weights:
            raise typer.BadParameter(f"'{variant}' is named twice")
        weights[variant] = int(number.removesuffix("%"))
    return weights
