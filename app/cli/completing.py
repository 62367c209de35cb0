"""What a shell is told on TAB: names, where they are cheap to come by; nothing where they are not."""

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import typer
import yaml

from app.cli.at import ADDRESS, URL
from backends.fleet.schema import Model
from backends.serve.declared import config_of, public_of
from backends.serve.rest import Cluster

Found = TypeVar("Found")
PATIENCE_S = 1.0


def models(context: typer.Context, incomplete: str) -> list[str]:
    """Of the cluster that the command speaks to: names and aliases."""
    found = _declared(context)
    return _begun((word for name, one in found.items() for word in (name, *one.aliases)), incomplete)


def variants(context: typer.Context, incomplete: str) -> list[str]:
    """Of the model that was named before."""
    return _begun(_variants(context), incomplete)


def shares(context: typer.Context, incomplete: str) -> list[str]:
    """As `variants`, to be followed by a number."""
    return _begun((f"{one}=" for one in _variants(context)), incomplete)


def models_at_the_door(context: typer.Context, incomplete: str) -> list[str]:
    """Of the door that the command speaks to: names."""
    return _begun(
        _quickly(_listed(context.params.get("url") or URL, context.params.get("key"))) or (), incomplete
    )


def models_of_file(context: typer.Context, incomplete: str) -> list[str]:
    """Of the fleet file that was named before."""
    return _begun(_file(context).get("models") or (), incomplete)


def nodes_of_file(context: typer.Context, incomplete: str) -> list[str]:
    return _begun(_file(context).get("nodes") or (), incomplete)


def _begun(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _file(context: typer.Context) -> dict[str, Any]:
    """As it is written, right or wrong."""
    named = context.params.get("fleet") or context.params.get("what")
    # An option that still waits for its value keeps arguments from being told apart.
    named = named or next(iter(context.args), "")
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError, TypeError):
        found = yaml.safe_load(Path(named).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _variants(context: typer.Context) -> Iterable[str]:
    named, found = context.params.get("model"), _declared(context)
    return next((one.variants for name, one in found.items() if named in (name, *one.aliases)), ())


def _declared(context: typer.Context) -> dict[str, Model]:
    cluster = Cluster((context.params.get("address") or ADDRESS).rstrip("/"))
    details = _quickly(cluster.details())
    public = public_of(config_of(details)) if details else None
    return public.fleet.models if public else {}


async def _listed(url: str, key: str | None) -> list[str]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{url}/v1/models") as answer:
        return [one["id"] for one in (await answer.json())["data"]]


def _quickly(asked: Awaitable[Found]) -> Found | None:
    """None for whatever does not answer, or not in this way: nobody waits for a TAB."""

    async def awaited() -> Found:
        return await asyncio.wait_for(asked, PATIENCE_S)

    with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError):
        return asyncio.run(awaited())
    return None
