"""`/v1/audio/voices`: the voices to ask for, and those made from a recording."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from openai.types.audio import Voice as OpenAIVoice
from openai.types.audio import VoiceDeleted
from starlette.responses import Response

from app.catalogue import readiness
from app.errors import Json, need_form
from app.guard.scopes import ANY
from app.routes.desk import AtDesk, Desk, caller
from app.streaming import answer_or_gone
from app.voices import Voice, Voices
from app.wire.voices import VoiceForm
from backends.contract.errors import (
    Forbidden,
    InvalidRequest,
    RouteNotFound,
    TaskUnsupported,
    TooLarge,
    VoiceNotFound,
)

router = APIRouter(tags=["audio"])

LARGEST_SAMPLE = 10 * 2**20  # OpenAI's limit


@router.get("/v1/audio/voices", summary="List voices", response_model=None)
async def list_voices(request: Request, desk: AtDesk, model: str | None = None) -> Response:
    """`{"voices": [{"id", "name", "model", …}]}` of one speaking model, or of all. A voice made from a
    recording stands there for every model that can speak in it, with `model: null` if none can."""
    may_see = partial(caller(request).may_see, "speak")
    if model is None:
        fleet = desk.catalogue.fleet.models
        names = [name for name, entry in fleet.items() if entry.task == "speak" and may_see(name)]
    else:
        name, entry = desk.catalogue.resolve(model)
        if not may_see(name):
            raise Forbidden(f"This API key may not use the model `{model}`", param="model")
        if entry.task != "speak":
            raise TaskUnsupported(f"The model `{model}` does not speak, it does {entry.task}", param="model")
        names = [name]
    able: list[str | None] = [name for name in names if _facts(desk, name).get("samples")]
    if model is None and not able and may_see(ANY):
        able = [None]
    made = await desk.voices.all() if desk.voices and able else []
    voices = [{**_resource(voice), "model": name} for name in able for voice in made]
    return Json({"voices": [*voices, *(voice for name in names for voice in _own(desk, name))]})


@router.post(
    "/v1/audio/voices",
    summary="Make a voice from a recording",
    response_model=None,
    dependencies=[Depends(need_form)],
    responses={200: {"model": OpenAIVoice}},
)
async def create_voice(form: Annotated[VoiceForm, Form()], request: Request, desk: AtDesk) -> Response:
    """Of 6 to 30 seconds of one person's speech, who consents. `language`: the speaker's, ISO 639-1."""
    voices = _store(desk)
    if (form.sample.size or 0) > LARGEST_SAMPLE:
        limit = f"{LARGEST_SAMPLE / 2**20:g} MiB"
        raise TooLarge(f"the recording is larger than {limit}, the limit here", param="audio_sample")
    upload = await form.sample.read()
    return Json(_resource(await answer_or_gone(request, _made(voices, form, upload))))


@router.get(
    "/v1/audio/voices/{voice_id}",
    summary="One voice made from a recording",
    response_model=None,
    responses={200: {"model": OpenAIVoice}},
)
async def retrieve_voice(voice_id: str, desk: AtDesk) -> Response:
    found = await _store(desk).find(voice_id)
    if found is None:
        raise _unknown(voice_id)
    return Json(_resource(found))


@router.delete(
    "/v1/audio/voices/{voice_id}",
    summary="Delete a voice made from a recording",
    response_model=None,
    responses={200: {"model": VoiceDeleted}},
)
async def delete_voice(voice_id: str, desk: AtDesk) -> Response:
    """The recording too. No request can name the voice any more, whatever a replica still knows."""
    if not await _store(desk).remove(voice_id):
        raise _unknown(voice_id)
    return Json({"id": voice_id, "deleted": True, "object": "audio.voice.deleted"})


async def _made(voices: Voices, form: VoiceForm, upload: bytes) -> Voice:
    try:
        seconds, sound = await voices.recordings.take(upload)
    except InvalidRequest as error:
        error.param = "audio_sample"
        raise
    return await voices.add(form.name, form.consent, form.language or None, seconds, sound)


def _store(desk: Desk) -> Voices:
    if desk.voices is None:
        raise RouteNotFound("No voices can be made here: the operator has set no place for them")
    return desk.voices


def _unknown(voice: str) -> VoiceNotFound:
    return VoiceNotFound(f"There is no voice {voice[:64]!r} made from a recording", param="voice_id")


def _resource(voice: Voice) -> dict[str, Any]:
    return {
        "object": "audio.voice",
        "id": voice.id,
        "name": voice.name,
        "created_at": voice.created_at,
        "type": "audio_sample",
    }


def _facts(desk: Desk, name: str) -> dict[str, Any]:
    """Of a chain: of what speaks in it."""
    states, catalogue = desk.upstream.states(), desk.catalogue
    speaks = [one for one in catalogue.below(name) if catalogue.fleet.models[one].task == "speak"]
    return dict(readiness(catalogue.states(speaks[-1], states)).facts)


def _own(desk: Desk, name: str) -> list[dict[str, Any]]:
    listed: Sequence[Any] = _facts(desk, name).get("voices", ())
    plain = ({"id": voice, "name": voice} if isinstance(voice, str) else voice for voice in listed)
    return [{**voice, "model": name} for voice in plain]
