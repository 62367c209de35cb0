"""The options that say which running Motley a command speaks to: its door, or the cluster it runs on."""

from typing import Annotated

import typer

Url = Annotated[str, typer.Option("--url", envvar="MOTLEY_URL", help="Where Motley answers.")]
Key = Annotated[str, typer.Option("--key", envvar="MOTLEY_API_KEY", help="The API key, where one is asked.")]
Address = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="RAY_DASHBOARD_ADDRESS",
        help="Ray's dashboard, whose REST API says what runs and takes changes.",
    ),
]

URL = "http://127.0.0.1:8000"
ADDRESS = "http://127.0.0.1:8265"
# The SDKs refuse to start without one; a Motley that has none configured asks for none.
NO_KEY = "none"
