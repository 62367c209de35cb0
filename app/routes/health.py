"""Is the process alive, are the models ready, what was counted."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from app.catalogue import readiness
from app.errors import Json
from app.routes.desk import AtDesk, Desk
from app.telemetry.page import Page
from app.telemetry.visit import Visit
from backends.contract.state import VariantState

router = APIRouter(tags=["health"])


@router.get("/health", summary="Alive")
async def health() -> dict[str, str]:
    """200 while the process answers, whatever the models do."""
    return {"status": "ok"}


@router.get("/-/healthz", summary="Alive, in plain text", response_class=PlainTextResponse)
async def healthz() -> str:
    """The word that Ray Serve's own proxies say."""
    return "success"


@router.get("/ready", summary="All models ready", response_model=None)
async def ready(request: Request, desk: AtDesk) -> Response:
    """200 when every model serves, or would load for a request, else 503; under an alias's path, that one
    model alone. The stage of one that waits for a place is what it lacks there, of one that is down why.
    Strangers, and keys that may not see a model, hear yes or no."""
    visit = Visit.of(request.scope)
    models, caller = asked_of(visit, desk), visit.caller
    all_ready = all(serves(desk, name, state) for name, state in models.items())
    if caller is None:
        return _answered(all_ready, {})
    seen = {
        name: {
            "state": state.readiness,
            "stage": (state.pending and state.message) or state.stage or state.message,
            "progress": state.progress,
            "seconds": round(state.seconds, 1),
        }
        for name, state in models.items()
        if caller.may_see(desk.catalogue.fleet.models[name].task, name)
    }
    return _answered(all_ready, {"models": seen})


def asked_of(visit: Visit, desk: Desk) -> dict[str, VariantState]:
    """The states of all models, or of the one under whose alias it was asked."""
    states, alias = desk.states(), visit.alias
    names = [desk.catalogue.resolve(alias)[0]] if alias else list(desk.catalogue.fleet.models)
    return {name: desk.catalogue.state(name, states) for name in names}


def _answered(ready: bool, told: dict[str, Any]) -> Response:
    body = {"status": "ready" if ready else "not ready", **told}
    return Json(body, 200 if ready else 503, None if ready else {"retry-after": "2"})


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
async def metrics(desk: AtDesk) -> Response:
    """Of all doors, each series with its `door`; and of the replicas."""
    counted, states = await asyncio.gather(desk.doors.counted(), desk.upstream.inspect())
    return Response(Page(counted, states).text(), media_type=CONTENT_TYPE_LATEST)


def serves(desk: Desk, name: str, state: VariantState) -> bool:
    """Of a model that keeps no replica one may ask at any time: else each load would take the door away."""
    if state.ready or state.readiness == "down":
        return state.ready
    catalogue, states = desk.catalogue, desk.upstream.states()
    return all(
        readiness(catalogue.states(below, states)).ready
        or any(one.scale.may_be_cold for one in catalogue.fleet.models[below].variants.values())
        for below in catalogue.below(name)
    )
