"""`POST /v1/models/{model}/load` and `/unload`: for operators, who know what will be asked next."""

import asyncio
from contextlib import suppress

from fastapi import APIRouter
from starlette.responses import Response

from app.catalogue import not_ready
from app.errors import Json
from app.routes.desk import AtDesk, Desk
from app.routes.models import Entry, entry
from backends.contract.errors import InvalidRequest
from backends.fleet.schema import app_name

router = APIRouter(tags=["models"])

# A load that is over sooner is told as done.
AT_ONCE_S = 0.2


@router.post(
    "/v1/models/{model:path}/load",
    summary="Load a model",
    response_model=None,
    status_code=202,
    responses={202: {"model": Entry}, 200: {"model": Entry}},
)
async def load(model: str, desk: AtDesk) -> Response:
    """The model, 200 when it is loaded and 202 while it loads. That counts as a use of it: one that keeps
    no replica stays for its `idle_s`. Every variant that has traffic is loaded; of a chain, every step."""
    name, loaded = await brought(model, desk, AT_ONCE_S)
    return _shown(desk, name, model, 200 if loaded else 202)


async def brought(model: str, desk: Desk, within_s: float) -> tuple[str, bool]:
    """The model's own name, and whether it was loaded in that time. Raises ModelNotFound and ModelDown."""
    name, _ = desk.catalogue.resolve(model)
    below = {one: desk.catalogue.fleet.models[one] for one in desk.catalogue.below(name)}
    apps = [
        app_name(one, variant)
        for one, found in below.items()
        for variant in found.variants
        if found.variants[variant].scale.may_be_cold and found.weights.get(variant)
    ]
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await asyncio.gather(*map(desk.upstream.load, apps))
    states = desk.upstream.states()
    best = desk.catalogue.state(name, states)
    if best.readiness == "down":
        raise not_ready(model, best)
    return name, all(
        state.ready
        for one, found in below.items()
        for variant, state in desk.catalogue.states(one, states).items()
        if found.weights.get(variant)
    )


@router.post(
    "/v1/models/{model:path}/unload",
    summary="Unload a model",
    response_model=None,
    status_code=202,
    responses={202: {"model": Entry}, 200: {"model": Entry}},
)
async def unload(model: str, desk: AtDesk) -> Response:
    """The model, 200 when nothing of it is loaded and 202 where it goes as soon as nothing runs. A request
    that comes before is answered, one that comes after loads it anew. Only what may have no replica goes."""
    name, found = desk.catalogue.resolve(model)
    if found.steps is not None:
        raise InvalidRequest(
            f"The model `{model}` is made of others, which may serve alone too: unload those", param="model"
        )
    states = desk.catalogue.states(name, desk.upstream.states())
    states = {label: state for label, state in states.items() if found.variants[label].scale.may_be_cold}
    if not states:
        least = min(one.scale.replicas[0] for one in found.variants.values())
        keeps = f"keeps at least {least} replica{'s' if least > 1 else ''} (`scale.replicas` in the fleet)"
        if any(one.pin for one in found.variants.values()):
            keeps = "is pinned in its slot (`pin` in the fleet)"
        raise InvalidRequest(
            f"The model `{model}` {keeps}, so it cannot be unloaded",
            param="model",
            code="model_kept",
        )
    for state in states.values():
        if state.readiness in ("loading", "waiting"):
            raise not_ready(model, state)
    going = [variant for variant, state in states.items() if state.ready]
    await asyncio.gather(*(desk.upstream.unload(app_name(name, variant)) for variant in going))
    return _shown(desk, name, model, 202 if going else 200)


def _shown(desk: Desk, name: str, asked: str, status: int) -> Response:
    return Json({**entry(desk, name, desk.upstream.states()), "id": asked}, status)
