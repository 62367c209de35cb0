"""`/v1/models`: what there is, and how it is doing."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request
from openai.types import Model as OpenAIModel
from pydantic import BaseModel
from starlette.responses import Response

from app.catalogue import CHAIN, readiness
from app.errors import Json
from app.routes.desk import AtDesk, Desk, caller
from backends.contract.errors import Forbidden
from backends.contract.space import fingerprint
from backends.contract.state import VariantState

router = APIRouter(tags=["models"])


class Entry(OpenAIModel):
    """OpenAI's entry, with what Motley and the engine say besides (context_length, dimensions …).

    `progress` (0…1) and `message`, how far it loads or why it is down, are left out of one that is ready.
    `fingerprint`: in which space the vectors of the model lie, and `fingerprints` per variant; an
    answer's header `x-motley-fingerprint` says whose it is. Left out where that is not known. `steps`: of a
    chain alone, the model of each.
    """

    task: str
    engine: str
    state: str
    aliases: list[str]
    description: str
    progress: float | None = None
    message: str | None = None
    fingerprint: str | None = None
    fingerprints: dict[str, str] | None = None
    steps: dict[str, str] | None = None


class Entries(BaseModel):
    object: Literal["list"]
    data: list[Entry]


@router.get("/v1/models", summary="List models", response_model=None, responses={200: {"model": Entries}})
async def list_models(request: Request, desk: AtDesk) -> Response:
    """Every model that the key may use, by its own name; `aliases` are answered wherever a name is."""
    states, may_see = desk.upstream.states(), caller(request).may_see
    models = desk.catalogue.fleet.models
    seen = [entry(desk, name, states) for name, model in models.items() if may_see(model.task, name)]
    return Json({"object": "list", "data": seen})


@router.get(
    "/v1/models/{model:path}", summary="One model", response_model=None, responses={200: {"model": Entry}}
)
async def retrieve_model(model: str, request: Request, desk: AtDesk) -> Response:
    """By name or alias; a name may hold slashes, encoded or not. 403 for one that the key may not use."""
    name, found = desk.catalogue.resolve(model)
    if not caller(request).may_see(found.task, name):
        raise Forbidden(f"This API key may not use the model `{model}`", param="model")
    return Json({**entry(desk, name, desk.upstream.states()), "id": model})


def entry(desk: Desk, name: str, states: Mapping[str, VariantState]) -> dict[str, Any]:
    model, state = desk.catalogue.fleet.models[name], desk.catalogue.state(name, states)
    told = {
        "id": name,
        "object": "model",
        "created": desk.catalogue.since,
        "owned_by": "motley",
        "task": model.task,
        "state": state.readiness,
        **({} if state.ready else _trouble(state)),
        "aliases": list(model.aliases),
        "description": model.description,
    }
    if model.steps is not None:
        steps = {part.label: part.model for part in desk.catalogue.parts(name)}
        return {**told, "engine": CHAIN, "steps": steps}
    variants = desk.catalogue.states(name, states)
    best = readiness(variants)
    engines = {label: variant.engine for label, variant in model.variants.items()}
    # Voices can be hundreds: they have a route of their own.
    facts = {key: value for key, value in best.facts.items() if key != "voices"}
    spaces = {label: found for label, state in variants.items() if (found := fingerprint(state.facts))}
    if spaces:
        facts |= {"fingerprint": fingerprint(best.facts), "fingerprints": spaces}
    return {**facts, **told, "engine": engines[max(model.weights, key=model.weights.__getitem__)]}


def _trouble(state: VariantState) -> dict[str, Any]:
    return {"progress": state.progress, "message": state.stage or state.message}
