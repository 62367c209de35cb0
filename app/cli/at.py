"""The options that say which running Motley a command speaks to: its door, or the cluster it runs on."""

import sys
from typing import Annotated, Any

import httpx2
import typer
from pydantic import ValidationError

Url = Annotated[
    str,
    typer.Option(
        "--url", envvar="MOTLEY_URL", show_envvar=False, help="Where Motley answers; else MOTLEY_URL."
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        envvar="MOTLEY_API_KEY",
        show_envvar=False,
        show_default=False,
        help="The API key; else MOTLEY_API_KEY.",
    ),
]
Address = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="RAY_DASHBOARD_ADDRESS",
        show_envvar=False,
        help="Ray's dashboard; else RAY_DASHBOARD_ADDRESS.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

URL = "http://127.0.0.1:8000"
ADDRESS = "http://127.0.0.1:8265"
# The SDKs refuse to start without one; a Motley that has none configured asks for none.
NO_KEY = "none"


def wrong(error: ValidationError) -> str:
    """What is wrong with a setting, without its value."""
    found = error.errors()[0]
    name = "_".join(map(str, found["loc"])).upper()
    return f"MOTLEY_{name}: {found['msg']}" if name else str(found["msg"])


def told(url: str, key: str, path: str, timeout: float, /, **params: str) -> Any:
    """The JSON that a door answers a GET with. Raises typer.Exit, having said why, where it does not."""
    try:
        answer = httpx2.get(
            f"{url}{path}", params=params, headers={"authorization": f"Bearer {key}"}, timeout=timeout
        )
    except httpx2.HTTPError as error:
        print(f"nothing answers at {url}: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if answer.is_error:
        print(f"{url} answers {answer.status_code}: {answer.text}", file=sys.stderr)
        raise typer.Exit(1)
    return answer.json()
