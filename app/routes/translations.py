"""`POST /v1/audio/translations`."""

from collections.abc import AsyncGenerator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Request
from openai.types.audio import Translation, TranslationVerbose
from starlette.responses import Response

from app.errors import Json, need_form
from app.formats import transcript
from app.routes.desk import AtDesk, Desk
from app.routes.transcriptions import KINDS, finished, plain, sound
from app.telemetry.visit import Visit
from app.wire.transcription import TranslationForm
from backends.contract.results import Heard
from backends.contract.tasks import TranscribeTask

router = APIRouter(tags=["audio"], dependencies=[Depends(need_form)])

TO: Literal["en"] = "en"


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
    return rendered(form, await finished(await asked(form, request, desk), request))


async def asked(form: TranslationForm, request: Request, desk: Desk) -> AsyncGenerator[Heard, None]:
    """What is heard, not begun yet."""
    target = desk.target(request, "transcribe", form.model, form.user)
    task = TranscribeTask(
        Visit.of(request.scope).request_id,
        await sound(form.file),
        prompt=form.prompt or None,
        temperature=form.temperature,
        to=TO,
        longest_s=desk.settings.max_audio_s,
    )
    return desk.upstream.stream(target, task)


def rendered(form: TranslationForm, heard: list[Heard]) -> Response:
    match form.response_format:
        case "json":
            return Json(transcript.as_json(heard, to=TO))
        case "verbose_json":
            return Json(transcript.as_verbose_json(heard, to=TO))
        case other:
            return plain(heard, other, TO)
