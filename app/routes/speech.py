"""`POST /v1/audio/speech`, and the voices to ask for."""

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.catalogue import readiness
from app.errors import Json, need_json
from app.formats import audio
from app.routes.desk import AtDesk, Desk
from app.streaming import Streamed, first_or_gone
from app.telemetry.visit import Visit
from app.wire.speech import SpeechRequest
from backends.contract.errors import TaskUnsupported
from backends.contract.tasks import SpeakTask

router = APIRouter(tags=["audio"])


@router.post(
    "/v1/audio/speech",
    summary="Speak a text",
    response_model=None,
    dependencies=[Depends(need_json)],
    responses={200: {"content": {kind: {} for kind in sorted(set(audio.MEDIA_TYPES.values()))}}},
)
async def speech(body: SpeechRequest, request: Request, desk: AtDesk) -> Response:
    """Audio as it is spoken. One that breaks off ends without the final chunk."""
    target = desk.target(request, "speak", body.model)
    visit = Visit.of(request.scope)
    task = SpeakTask(visit.request_id, body.input, body.voice, body.speed)
    spoken = desk.upstream.stream(target, task)
    # The first sound, not the first byte: encoders write headers before they have heard anything.
    begun = await first_or_gone(request, spoken)
    encoded = audio.encode(begun, body.response_format)
    return Streamed(encoded, visit, audio.MEDIA_TYPES[body.response_format], spoken)


@router.get("/v1/audio/voices", summary="List voices", response_model=None)
async def voices(desk: AtDesk, model: str | None = None) -> Response:
    """`{"voices": [{"id", "name", "model", …}]}` of one speaking model, or of all."""
    if model is None:
        fleet = desk.catalogue.fleet.models
        names = [name for name, entry in fleet.items() if entry.task == "speak"]
    else:
        name, entry = desk.catalogue.resolve(model)
        if entry.task != "speak":
            raise TaskUnsupported(f"The model `{model}` does not speak, it does {entry.task}", param="model")
        names = [name]
    return Json({"voices": [voice for name in names for voice in _voices(desk, name)]})


def _voices(desk: Desk, name: str) -> list[dict[str, Any]]:
    best = readiness(desk.catalogue.states(name, desk.upstream.states()))
    listed = best.facts.get("voices", ())
    plain = ({"id": voice, "name": voice} if isinstance(voice, str) else voice for voice in listed)
    return [{**voice, "model": name} for voice in plain]
