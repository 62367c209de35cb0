"""The options that say which running Motley a command speaks to."""

from typing import Annotated

import typer

Url = Annotated[str, typer.Option("--url", envvar="MOTLEY_URL", help="Where Motley answers.")]
Key = Annotated[str, typer.Option("--key", envvar="MOTLEY_API_KEY", help="The API key, where one is asked.")]

URL = "http://127.0.0.1:8000"
# The SDKs refuse to start without one; a Motley that has none configured asks for none.
NO_KEY = "none"
