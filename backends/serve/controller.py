"""Serve's controller, as the doors speak to it. Its methods are no public API; Ray is pinned."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.serve.schema import ServeDeploySchema

from backends.fleet.traffic import withdrawn
from backends.serve.declared import config_of, must_be_told, with_public


async def details() -> dict[str, Any]:
    """What Serve's REST API shows, from where it gets it (`ServeInstanceDetails` as a dict)."""
    found: dict[str, Any] = await (await _controller()).get_serve_instance_details.remote()
    return found


async def shift(model: str, judged: Mapping[str, int], weights: Mapping[str, int], why: str) -> bool:
    """As `app.upstream.trials.Shift`: declared, so that every door takes it, and doors to come."""
    config = config_of(await details())
    before = must_be_told(config)
    after = withdrawn(before, model, judged, weights, time.time(), why)
    if after is before:
        return False
    await (await _controller()).apply_config.remote(
        ServeDeploySchema.model_validate(with_public(config, after))
    )
    return True


async def _controller() -> Any:
    """In a thread: it waits for Ray's GCS, which has other things to do when a node dies."""
    return await asyncio.to_thread(ray.get_actor, "SERVE_CONTROLLER_ACTOR", namespace="serve")
