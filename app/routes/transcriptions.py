"""`POST /v1/audio/transcriptions`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, UploadFile
from openai.types.audio import Transcription, TranscriptionVerbose
from starlette.responses import Response

from app.errors import Json, need_form
from app.formats import captions, transcript
from app.routes.desk import AtDesk, Desk
from app.streaming import EventStream, answer_or_gone, collected, first_or_gone
from app.telemetry.visit import Visit
from app.wire.transcription import TranscriptionForm
from backends.contract.audio import HELD, Audio, Spooled
from backends.contract.errors import InvalidRequest
from backends.contract.results import Heard
from backends.contract.tasks import TranscribeTask

router = APIRouter(tags=["audio"], dependencies=[Depends(need_form)])

# What a format other than JSON is sent as. SubRip has no registered type: this is the usual one.
KINDS = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}


@router.post(
    "/v1/audio/transcriptions",
    summary="Transcribe audio",
    response_model=None,
    responses={
        200: {
            "model": Transcription | TranscriptionVerbose,
            "content": {kind: {} for kind in (*KINDS.values(), "text/event-stream")},
        }
    },
)
async def transcriptions(
    form: Annotated[TranscriptionForm, Form(media_type="multipart/form-data")], request: Request, desk: AtDesk
) -> Response:
    """What is said in a file of any common container: as text or captions, with times on
    `verbose_json`, with `stream` as server-sent events while it is found."""
    heard, visit = await asked(form, request, desk), Visit.of(request.scope)
    if form.stream:
        begun = await first_or_gone(request, heard, desk.settings.keepalive_s)
        events = _events(begun, transcript.Events(logprobs=form.logprobs), visit)
        return EventStream(events, visit, desk.settings.keepalive_s, begun)
    return rendered(form, await finished(heard, request))


async def asked(form: TranscriptionForm, request: Request, desk: Desk) -> AsyncGenerator[Heard, None]:
    """What is heard, not begun yet."""
    target = desk.target(request, "transcribe", form.model, form.user)
    visit = Visit.of(request.scope)
    task = TranscribeTask(
        visit.request_id,
        await sound(form.file),
        languages=form.spoken,
        prompt=form.prompt or None,
        keywords=tuple(filter(None, form.keywords)),
        temperature=form.temperature,
        words=form.words,
        logprobs=form.logprobs,
        vad=form.vad,
        streams=form.stream,
        longest_s=desk.settings.max_audio_s,
    )
    return desk.upstream.stream(target, task)


async def finished(heard: AsyncGenerator[Heard, None], request: Request) -> list[Heard]:
    """All of it, noted on the visit."""
    whole = await answer_or_gone(request, collected(heard))
    Visit.of(request.scope).heard_s = whole[-1].position if whole else 0.0
    return whole


def rendered(form: TranscriptionForm, whole: list[Heard]) -> Response:
    match form.response_format:
        case "json":
            return Json(transcript.as_json(whole, logprobs=form.logprobs))
        case "verbose_json":
            return Json(transcript.as_verbose_json(whole, segments=form.segments, words=form.words))
        case other:
            return plain(whole, other)


async def sound(file: UploadFile) -> Audio:
    """The upload: left in the spool where it is large. FastAPI closes that, once the answer has been sent.
    Raises InvalidRequest when there is nothing in it."""
    if not file.size:
        raise InvalidRequest("'file' is empty", param="file")
    return Spooled(file.file, file.size) if file.size > HELD else await file.read()


def plain(heard: list[Heard], form: str, to: str | None = None) -> Response:
    """One of `KINDS`."""
    match form:
        case "srt":
            text = captions.as_srt(heard)
        case "vtt":
            text = captions.as_vtt(heard)
        case _:
            text = transcript.as_text(heard, to=to) + "\n"
    return Response(text, media_type=KINDS[form])


async def _events(
    heard: AsyncGenerator[Heard, None], events: transcript.Events, visit: Visit
) -> AsyncGenerator[bytes, None]:
    async with aclosing(heard):
        async for item in heard:
            visit.heard_s = item.position
            yield events.more(item)
    yield events.done()
