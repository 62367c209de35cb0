"""`POST /v1/chat/completions`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Depends, Request
from openai.types.chat import ChatCompletion
from starlette.responses import Response

from app.errors import need_json
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
from app.wire.base import Wire
from app.wire.chat import ChatRequest
from backends.contract.errors import EngineFailed
from backends.contract.results import ChatChunk
from backends.contract.tasks import ChatTask, Surface

router = APIRouter(tags=["chat"], dependencies=[Depends(need_json)])

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
    raw: dict[str, Any] = await request.json()
    whole = {**raw, "model": visit.asked}
    task = ChatTask(visit.request_id, whole, len(await request.body()), surface)
    chunks = desk.upstream.stream(target, task)
    if task.streams:
        begun = await first_or_gone(request, chunks, desk.settings.keepalive_s)
        stream, end = (NumberedEvents, b"") if surface == "responses" else (EventStream, DONE)
        return stream(_events(begun, visit, end), visit, desk.settings.keepalive_s, begun)
    answer = await answer_or_gone(request, collected(chunks))
    if not answer:
        raise EngineFailed("the engine answered nothing")
    visit.usage = answer[-1].usage or visit.usage
    return Response(b"".join(chunk.events for chunk in answer), media_type="application/json")


async def _events(
    chunks: AsyncGenerator[ChatChunk, None], visit: Visit, end: bytes
) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        async for chunk in chunks:
            visit.usage = chunk.usage or visit.usage
            visit.tokens += chunk.tokens
            yield chunk.events
    yield end
