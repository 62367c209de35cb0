"""How a command changes the traffic of what runs: read what the doors were told, declare it anew."""

import asyncio
import json
import sys
import time
from collections.abc import Callable

import aiohttp
import typer

from app.telemetry.audit import by_command
from backends.fleet.traffic import Public, TrafficRefused, complete
from backends.serve.declared import config_of, must_be_told, with_public
from backends.serve.rest import Cluster, DeployRefused

# What is in force and the time, Unix seconds → what shall be. Raises TrafficRefused.
Edit = Callable[[Public, float], Public]


def change(address: str, model: str, edit: Edit, as_json: bool, action: str) -> None:
    """Declare it, and print how a model's traffic was and is. Exits with 1 where it cannot be.
    `action`: what it is called in the audit file."""
    try:
        before, after = asyncio.run(_declared(Cluster(address.rstrip("/")), edit))
        name, was = before.named(model)
    except (TrafficRefused, DeployRefused) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        print(f"no Ray dashboard answers at {address}: {type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from None
    now, then = complete(after.fleet.models[name]), complete(was)
    if after is not before:
        by_command(action, model=name, traffic=now, before=then)
    if as_json:
        told = {"model": name, "traffic": now, "before": then, "changed": after is not before}
        print(json.dumps(told, indent=2))
    elif after is before:
        print(f"{name}: {shown(now)}")
    else:
        print(f"{name}: {shown(now)} (it was {shown(then)})")


def shown(weights: dict[str, int]) -> str:
    return ", ".join(f"{variant} {share} %" for variant, share in weights.items())


async def _declared(cluster: Cluster, edit: Edit) -> tuple[Public, Public]:
    """What was in force, and what is."""
    config = config_of(await cluster.details())
    before = must_be_told(config)
    after = edit(before, time.time())
    if after is not before:
        await cluster.deploy(with_public(config, after))
    return before, after
