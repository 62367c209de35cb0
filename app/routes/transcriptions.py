"""`POST /v1/audio/transcriptions`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from openai.types.audio import Transcription, TranscriptionVerbose
from starlette.responses import PlainTextResponse, Response

from app.errors import Json, need_form
from app.formats import transcript
from app.routes.desk import AtDesk
from app.streaming import answer_or_gone, collected
from app.telemetry.visit import Visit
from app.wire.transcription import TranscriptionForm
from backends.contract.errors import InvalidRequest
from backends.contract.tasks import TranscribeTask

router = APIRouter(tags=["audio"], dependencies=[Depends(need_form)])


@router.post(
    "/v1/audio/transcriptions",
    summary="Transcribe audio",
    response_model=None,
    responses={200: {"model": Transcription | TranscriptionVerbose, "content": {"text/plain": {}}}},
)
async def transcriptions(
    form: Annotated[TranscriptionForm, Form()], request: Request, desk: AtDesk
) -> Response:
    """What is said in a file of any common container, with times on `verbose_json`."""
    target = desk.target(request, "transcribe", form.model, form.user)
    visit = Visit.of(request.scope)
    sound = await form.file.read()
    if not sound:
        raise InvalidRequest("'file' is empty", param="file")
    task = TranscribeTask(
        visit.request_id, sound, form.language or None, form.prompt or None, form.temperature, form.words
    )
    heard = await answer_or_gone(request, collected(desk.upstream.stream(target, task)))
    match form.response_format:
        case "text":
            return PlainTextResponse(transcript.as_text(heard) + "\n")
        case "verbose_json":
            return Json(transcript.as_verbose_json(heard, segments=form.segments, words=form.words))
        case _:
            return Json(transcript.as_json(heard))
