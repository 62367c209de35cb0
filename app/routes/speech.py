"""`POST /v1/audio/speech`."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.errors import need_json
from app.formats import audio
from app.formats.speech import as_events
from app.routes.desk import AtDesk
from app.streaming import EventStream, Streamed, first_or_gone
from app.telemetry.visit import Visit
from app.wire.speech import SpeechRequest
from backends.contract.tasks import SpeakTask

router = APIRouter(tags=["audio"])

KINDS = (*sorted(set(audio.MEDIA_TYPES.values())), "text/event-stream")


@router.post(
    "/v1/audio/speech",
    summary="Speak a text",
    response_model=None,
    dependencies=[Depends(need_json)],
    responses={200: {"content": {kind: {} for kind in KINDS}}},
)
async def speech(body: SpeechRequest, request: Request, desk: AtDesk) -> Response:
    """Audio as it is spoken, or (`stream_format: sse`) events with pieces of it.

    A file that breaks off ends without the final chunk; events end with one that says why.
    """
    target = desk.target(request, "speak", body.model)
    visit = Visit.of(request.scope)
    form = body.response_format or "mp3"
    task = SpeakTask(
        visit.request_id, body.input, body.voice, body.speed or 1.0, body.instructions or None,
        await desk.voices.sample(body.voice) if desk.voices else None,
    )  # fmt: skip
    spoken = desk.upstream.stream(target, task)
    # The first sound, not the first byte: encoders write headers before they have heard anything.
    told = body.stream_format == "sse"
    begun = await first_or_gone(request, spoken, desk.settings.keepalive_s if told else None)
    visit.characters = len(body.input)
    if told:
        events = as_events(begun, form, body.input)
        return EventStream(events, visit, desk.settings.keepalive_s, begun)
    return Streamed(audio.encode(begun, form), visit, audio.MEDIA_TYPES[form], begun)
