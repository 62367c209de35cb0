"""`GET /v1/fleet/parity`: do all replicas of a model embed alike?"""

import asyncio
from dataclasses import dataclass
from itertools import chain
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.errors import Json
from app.parity import PROBES, apart, rows
from app.routes.desk import AtDesk, Desk
from app.streaming import answer_or_gone
from app.telemetry.visit import Visit
from backends.contract.errors import GatewayError, TaskUnsupported
from backends.contract.results import Vectors
from backends.contract.state import Origin
from backends.contract.tasks import EmbedTask
from backends.fleet.schema import app_name

router = APIRouter(tags=["fleet"])


@dataclass(frozen=True, slots=True)
class Told:
    """What one replica made of the probes, or why a variant made nothing."""

    variant: str
    origin: Origin | None = None
    vectors: Vectors | None = None
    error: str | None = None

    def shown(self, difference: float | None) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "node": self.origin and self.origin.node,
            "pid": self.origin and self.origin.pid,
            "fingerprint": self.origin and self.origin.fingerprint,
            "dimensions": self.vectors and self.vectors.dimensions,
            "difference": difference,
            "error": self.error,
        }


@router.get("/v1/fleet/parity", summary="Do all replicas embed alike?", response_model=None)
async def parity(model: str, request: Request, desk: AtDesk) -> Response:
    """Every replica of every variant embeds the same fixed texts. `difference`: the largest of any
    component to that of any other replica; `largest`: of them all, null where one gave no vectors or
    such as do not compare."""
    name, found = desk.catalogue.resolve(model)
    if found.task != "embed":
        raise TaskUnsupported(f"The model `{model}` does {found.task}; only vectors compare", param="model")
    if found.steps is not None:
        raise TaskUnsupported(f"The model `{model}` is made of others: compare those", param="model")
    task = EmbedTask(Visit.of(request.scope).request_id, PROBES)
    told = await answer_or_gone(request, _told(desk, name, task))
    differences = iter(apart([rows(each.vectors) for each in told if each.vectors is not None]))
    replicas = [each.shown(None if each.vectors is None else next(differences)) for each in told]
    known = [each["difference"] for each in replicas if each["difference"] is not None]
    largest = max(known) if len(known) == len(replicas) else None
    return Json({"model": name, "probes": len(PROBES), "largest": largest, "replicas": replicas})


async def _told(desk: Desk, name: str, task: EmbedTask) -> list[Told]:
    variants = desk.catalogue.fleet.models[name].variants
    return list(chain(*await asyncio.gather(*(_variant(desk, name, one, task) for one in variants))))


async def _variant(desk: Desk, name: str, variant: str, task: EmbedTask) -> list[Told]:
    state = desk.catalogue.states(name, desk.upstream.states())[variant]
    if not state.ready:
        return [Told(variant, error=f"it is {state.readiness}")]
    try:
        async with asyncio.timeout(desk.catalogue.fleet.models[name].timeout_s):
            answers = await desk.upstream.each(app_name(name, variant), task)
    except GatewayError as error:
        return [Told(variant, error=error.message)]
    except TimeoutError:
        return [Told(variant, error="it did not answer in time")]
    return [Told(variant, origin, vectors) for origin, vectors in answers]
