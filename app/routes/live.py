"""`GET /v1/fleet/events`: the fleet as it changes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.routes.desk import AtDesk, Desk, caller
from app.routes.fleet import described
from app.streaming import EventStream
from app.telemetry.live import Live, Pace
from app.telemetry.visit import Visit

router = APIRouter(tags=["fleet"])

# Of memory: what moves by less is no news.
GRAIN = 1 << 20


def made(desk: Desk) -> Live:
    """What all who watch a door share."""
    pace = Pace(desk.doors)

    async def look() -> bytes:
        state, told = described(desk, await desk.inspect()), await pace.now()
        for sizes in _sizes(state):
            sizes.update({name: size and size // GRAIN * GRAIN for name, size in sizes.items()})
        return b"event: fleet\ndata: " + orjson.dumps({**state, "figures": told}) + b"\n\n"

    return Live(look)


@router.get(
    "/v1/fleet/events",
    summary="What runs where, as it changes",
    response_model=None,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(request: Request, desk: AtDesk) -> Response:
    """An event `you` (whether the key is an operator's), then `fleet` events: all of `GET /v1/fleet`, memory
    in whole MiB, and `figures` of each variant over the last minutes in which somebody watched; another one
    when something is otherwise. All who watch share one look a second. Ends after 20 s: come again."""
    visit, live = Visit.of(request.scope), request.app.state.live
    you = {"operator": "operator" in caller(request).scopes.offices, "version": request.app.version}
    stream = _told(you, live.watch())
    return EventStream(stream, visit, desk.settings.keepalive_s, stream)


async def _told(you: dict[str, Any], states: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(states):
        yield b"event: you\ndata: " + orjson.dumps(you) + b"\n\n"
        async for state in states:
            yield state


def _sizes(state: dict[str, Any]) -> list[dict[str, int | None]]:
    variants = [one for model in state["models"].values() for one in model["variants"].values()]
    return [replica["memory"] for variant in variants for replica in variant["replicas"]]
