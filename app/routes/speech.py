"""`POST /v1/audio/speech`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.formats import audio
from app.formats.speech import as_events
from app.routes.body import JsonRoute
from app.routes.desk import AtDesk, Desk
from app.streaming import EventStream, Streamed, first_or_gone
from app.telemetry.visit import Visit
from app.wire.speech import SpeechRequest
from backends.contract.results import Pcm
from backends.contract.tasks import SpeakTask

router = APIRouter(tags=["audio"], route_class=JsonRoute)

KINDS = (*sorted(set(audio.MEDIA_TYPES.values())), "text/event-stream")


@router.post(
    "/v1/audio/speech",
    summary="Speak a text",
    response_model=None,
    responses={200: {"content": {kind: {} for kind in KINDS}}},
)
async def speech(body: SpeechRequest, request: Request, desk: AtDesk) -> Response:
    """Audio as it is spoken, or (`stream_format: sse`) events with pieces of it.

    A file that breaks off ends without the final chunk; events end with one that says why.
    """
    spoken = await asked(body, request, desk)
    visit = Visit.of(request.scope)
    form = body.response_format or "mp3"
    # The first sound, not the first byte: encoders write headers before they have heard anything.
    told = body.stream_format == "sse"
    begun = await first_or_gone(request, spoken, desk.settings.keepalive_s if told else None)
    visit.characters = len(body.input)
    sound = counted(begun, visit)
    if told:
        events = as_events(sound, form, body.input)
        return EventStream(events, visit, desk.settings.keepalive_s, begun)
    return Streamed(audio.encode(sound, form), visit, audio.MEDIA_TYPES[form], begun)


async def asked(body: SpeechRequest, request: Request, desk: Desk) -> AsyncGenerator[Pcm, None]:
    """What is spoken, not begun yet."""
    target = desk.target(request, "speak", body.model)
    task = SpeakTask(
        Visit.of(request.scope).request_id, body.input, body.voice, body.speed or 1.0,
        body.instructions or None,
        await desk.voices.sample(body.voice) if desk.voices else None,
    )  # fmt: skip
    return desk.upstream.stream(target, task)


async def counted(sound: AsyncGenerator[Pcm, None], visit: Visit) -> AsyncGenerator[Pcm, None]:
    async with aclosing(sound):
        async for piece in sound:
            visit.spoken_s += piece.seconds
            yield piece
