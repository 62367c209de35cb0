"""`POST /v1/audio/translations`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from openai.types.audio import Translation, TranslationVerbose
from starlette.responses import Response

from app.errors import Json, need_form
from app.formats import transcript
from app.routes.desk import AtDesk
from app.routes.transcriptions import KINDS, plain, sound
from app.streaming import answer_or_gone, collected
from app.telemetry.visit import Visit
from app.wire.transcription import TranslationForm
from backends.contract.tasks import TranscribeTask

router = APIRouter(tags=["audio"], dependencies=[Depends(need_form)])


@router.post(
    "/v1/audio/translations",
    summary="Translate audio into English",
    response_model=None,
    responses={
        200: {"model": Translation | TranslationVerbose, "content": {kind: {} for kind in KINDS.values()}}
    },
)
async def translations(
    form: Annotated[TranslationForm, Form(media_type="multipart/form-data")], request: Request, desk: AtDesk
) -> Response:
    """What is said in a file, in English, whatever is spoken. A 400 where the model cannot."""
    target = desk.target(request, "transcribe", form.model, form.user)
    visit = Visit.of(request.scope)
    task = TranscribeTask(
        visit.request_id,
        await sound(form.file),
        prompt=form.prompt or None,
        temperature=form.temperature,
        to="en",
        longest_s=desk.settings.max_audio_s,
    )
    heard = await answer_or_gone(request, collected(desk.upstream.stream(target, task)))
    visit.heard_s = heard[-1].position if heard else 0.0
    match form.response_format:
        case "json":
            return Json(transcript.as_json(heard, to=task.to))
        case "verbose_json":
            return Json(transcript.as_verbose_json(heard, to=task.to))
        case other:
            return plain(heard, other, task.to)
