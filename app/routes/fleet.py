"""`GET /v1/fleet`: the operator's view, down to the process."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from app.errors import Json
from app.routes.desk import AtDesk, Desk
from backends.contract.state import VariantState
from backends.fleet.ledger import ledger
from backends.fleet.schema import Node
from backends.sizes import size_in_bytes

router = APIRouter(tags=["fleet"])


@router.get("/v1/fleet", summary="What runs where", response_model=None)
async def fleet(desk: AtDesk) -> Response:
    """Per model and variant: state, progress, seconds, share (of its slot, where it is in one), weight, each
    replica with its memory, and what those lack that have no place. `steps`: of a chain, each with its model.
    `traffic`: how the weights were before their last change, when that was, and why, where a variant lost it
    by itself. Per GPU: who is on it, and what of it each has. `nodes`: what the fleet says of each kind.
    Bytes."""
    return Json(described(desk, await desk.inspect()))


def described(desk: Desk, states: Mapping[str, VariantState]) -> dict[str, Any]:
    of = desk.catalogue.fleet
    return {
        "models": {name: _model(desk, name, states) for name in of.models},
        "gpus": [{**asdict(card), "share": card.share} for card in ledger(of, states)],
        "nodes": {name: _node(node) for name, node in of.nodes.items()},
    }


def _node(node: Node) -> dict[str, Any]:
    """Per node of the kind, of which there are `count`."""
    return {
        **node.model_dump(include={"vendor", "card", "gpus", "cpus", "count"}),
        "vram": size_in_bytes(node.vram or "0"),
        "memory": size_in_bytes(node.memory or "0"),
    }


def _model(desk: Desk, name: str, states: Mapping[str, VariantState]) -> dict[str, Any]:
    model = desk.catalogue.fleet.models[name]
    state = desk.catalogue.state(name, states)
    weights, change = model.weights, desk.catalogue.public.traffic.get(name)
    return {
        "task": model.task,
        "aliases": list(model.aliases),
        "fallback": list(model.fallback),
        "steps": {part.label: part.model for part in desk.catalogue.parts(name)},
        "state": state.readiness,
        "message": state.message,
        "traffic": None if change is None else change.model_dump(),
        "variants": {
            label: {
                "engine": model.variants[label].engine,
                "nodes": list(model.variants[label].place.nodes),
                "share": model.variants[label].place.share,
                "slot": model.variants[label].slot,
                "weight": weights.get(label, 0),
                "may_be_cold": model.variants[label].scale.may_be_cold,
                "state": state.readiness,
                "stage": state.stage,
                "progress": state.progress,
                "seconds": round(state.seconds, 1),
                "message": state.message,
                "pending": state.pending,
                "circuit": state.circuit,
                "replicas": [
                    {
                        "node": replica.node,
                        "pid": replica.pid,
                        "ongoing": replica.ongoing,
                        "queued": replica.queued,
                        "busy": replica.busy,
                        "machine": replica.machine,
                        "gpus": list(replica.gpus),
                        "memory": asdict(replica.footprint),
                    }
                    for replica in state.replicas
                ],
            }
            for label, state in desk.catalogue.states(name, states).items()
        },
    }
