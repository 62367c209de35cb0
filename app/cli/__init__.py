"""`motley`: one file a command."""

from typing import Any

import typer
from typer.core import TyperGroup

from app.cli.check import check
from app.cli.deploy import deploy
from app.cli.doctor import doctor
from app.cli.keys import keys
from app.cli.promote import promote
from app.cli.pull import pull
from app.cli.render import render
from app.cli.rollback import rollback
from app.cli.status import status
from app.cli.traffic import traffic
from app.cli.try_ import try_
from app.cli.up import up
from app.cli.usage import usage


class Commands(TyperGroup):
    """Its help is the commands alone: with the options of every typer program it would not fit a screen."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        params: list[Any] = self.get_params(ctx)
        for one in params:
            one.hidden = True
        super().format_help(ctx, formatter)


main = typer.Typer(
    name="motley",
    cls=Commands,
    help="One OpenAI-compatible endpoint for a motley fleet of GPUs. "
    "(--install-completion teaches your shell.)",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_HERE, _RUNNING = "On this machine", "Of a running Motley"
main.command(rich_help_panel=_HERE)(up)
main.command(rich_help_panel=_HERE)(doctor)
main.command(rich_help_panel=_HERE)(check)
main.command(rich_help_panel=_HERE)(pull)
main.command(rich_help_panel=_HERE)(render)
main.add_typer(keys, name="keys", rich_help_panel=_HERE)
main.command("try", rich_help_panel=_RUNNING)(try_)
main.command(rich_help_panel=_RUNNING)(status)
main.command(rich_help_panel=_RUNNING)(usage)
main.command(rich_help_panel=_RUNNING)(deploy)
main.command(rich_help_panel=_RUNNING)(traffic)
main.command(rich_help_panel=_RUNNING)(promote)
main.command(rich_help_panel=_RUNNING)(rollback)
