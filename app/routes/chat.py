"""`POST /v1/chat/completions`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from openai.types.chat import ChatCompletion
from starlette.responses import Response

from app.catalogue import Target
from app.routes.body import JsonRoute
from app.routes.desk import AtDesk, Desk
from app.streaming import (
    DONE,
    EventStream,
    NumberedEvents,
    answer_or_gone,
    collected,
    first_or_gone,
)
from app.telemetry.visit import Visit
from app.upstream import Upstream
from app.wire.base import Wire
from app.wire.chat import ChatRequest
from backends.contract.errors import EngineFailed
from backends.contract.results import ChatChunk
from backends.contract.tasks import ChatTask, Surface

router = APIRouter(tags=["chat"], route_class=JsonRoute)

# Another model's tokens say nothing about this one's: no fallback answers for it.
ALONE: frozenset[Surface] = frozenset({"tokenize", "detokenize"})


@router.post(
    "/v1/chat/completions",
    summary="Chat",
    response_model=None,
    responses={200: {"model": ChatCompletion, "content": {"text/event-stream": {}}}},
)
async def chat(body: ChatRequest, request: Request, desk: AtDesk) -> Response:
    """An answer in one document, or with `stream` as server-sent events ending in `[DONE]`."""
    return await answered(body, request, desk, "chat", body.user)


async def answered(
    body: Wire, request: Request, desk: Desk, surface: Surface, user: str | None = None
) -> Response:
    """The body as it came, to whoever does `chat`; back comes what they make of it."""
    target = desk.target(request, "chat", body.model, user)
    if surface in ALONE:
        target.alone()
    visit = Visit.of(request.scope)
    task = await asked(await request.json(), len(await request.body()), desk, visit, surface)
    if task.streams:
        chunks = desk.upstream.stream(target, task)
        begun = await first_or_gone(request, chunks, desk.settings.keepalive_s)
        stream, end = (NumberedEvents, b"") if surface == "responses" else (EventStream, DONE)
        return stream(_events(begun, visit, end), visit, desk.settings.keepalive_s, begun)
    answer = await answer_or_gone(request, document(desk.upstream, target, task))
    visit.usage = answer.usage or visit.usage
    return Response(answer.events, media_type="application/json")


async def asked(
    raw: dict[str, Any], length: int, desk: Desk, visit: Visit, surface: Surface = "chat"
) -> ChatTask:
    """The task of a body that is `length` bytes long, its media in it."""
    length = await desk.media.inlined(raw, length)
    return ChatTask(visit.request_id, {**raw, "model": visit.asked}, length, surface)


async def document(upstream: Upstream, target: Target, task: ChatTask) -> ChatChunk:
    """The whole answer to a task that does not stream. Raises EngineFailed where there is none."""
    answer = await collected(upstream.stream(target, task))
    if not answer:
        raise EngineFailed("the engine answered nothing")
    return ChatChunk.joined(answer)


async def _events(
    chunks: AsyncGenerator[ChatChunk, None], visit: Visit, end: bytes
) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        async for chunk in chunks:
            visit.usage = chunk.usage or visit.usage
            visit.got_tokens(chunk.tokens)
            yield chunk.events
    yield end
