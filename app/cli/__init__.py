"""`motley`: one file a command."""

import typer

from app.cli.check import check
from app.cli.deploy import deploy
from app.cli.keys import keys
from app.cli.promote import promote
from app.cli.pull import pull
from app.cli.render import render
from app.cli.rollback import rollback
from app.cli.status import status
from app.cli.traffic import traffic
from app.cli.try_ import try_
from app.cli.up import up

main = typer.Typer(
    name="motley",
    help="One OpenAI-compatible endpoint for a motley fleet of GPUs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
main.command()(up)
main.command("try")(try_)
main.command()(status)
main.command()(check)
main.command()(render)
main.command()(pull)
main.command()(deploy)
main.command()(traffic)
main.command()(promote)
main.command()(rollback)
main.add_typer(keys, name="keys")
