"""What a remote server is sent."""

import json
from collections.abc import Mapping
from typing import Any

from backends.contract.audio import Audio, opened
from backends.contract.errors import InvalidRequest
from backends.contract.tasks import TranscribeTask, Vad


def as_json(body: Mapping[str, Any]) -> bytes:
    """Python's own writer: whole numbers of any size stay what they are. Raises InvalidRequest."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise InvalidRequest("the body holds a number or a text that JSON cannot say") from None


def transcription(task: TranscribeTask, model: str, form: str) -> dict[str, Any]:
    """The fields of the form beside the file. `form`: the response format to ask for.

    Raises InvalidRequest for what OpenAI's translations do not take.
    """
    fields: dict[str, Any] = {
        "model": model,
        "response_format": form,
        "temperature": str(task.temperature),
        **({} if task.prompt is None else {"prompt": task.prompt}),
    }
    more: dict[str, Any] = {}
    if len(task.languages) == 1:
        more["language"] = task.languages[0]
    elif task.languages:
        more["languages[]"] = task.languages
    if task.keywords:
        more["keywords[]"] = task.keywords
    if task.words:
        more["timestamp_granularities[]"] = ["segment", "word"]
    if task.logprobs:
        more["include[]"] = ["logprobs"]
    if task.vad is not None:
        more |= _chunking(task.vad)
    if task.to is not None and more:
        param = next(iter(more)).partition("[")[0]
        raise InvalidRequest(f"'{param}' is not offered for translations", param=param)
    return fields | more


def _chunking(vad: Vad) -> dict[str, str]:
    if vad == Vad():
        return {"chunking_strategy": "auto"}
    return {
        "chunking_strategy[type]": "server_vad",
        "chunking_strategy[threshold]": str(vad.threshold),
        "chunking_strategy[prefix_padding_ms]": str(round(vad.padding_s * 1000)),
        "chunking_strategy[silence_duration_ms]": str(round(vad.silence_s * 1000)),
    }


# How the containers that people upload begin: some servers go by the file's name.
_BEGINNINGS = {
    b"RIFF": "wav", b"OggS": "ogg", b"fLaC": "flac", b"ID3": "mp3", b"\x1aE\xdf\xa3": "webm",
    b"\xff\xfb": "mp3", b"\xff\xf3": "mp3", b"\xff\xf2": "mp3", b"\xff\xf1": "aac", b"\xff\xf9": "aac",
}  # fmt: skip


def file_name(audio: Audio) -> str:
    """A name whose ending says what the bytes look like; `wav` where they say nothing."""
    with opened(audio) as file:
        head = file.read(8)
    if head[4:] == b"ftyp":
        return "audio.m4a"
    kind = next((kind for start, kind in _BEGINNINGS.items() if head.startswith(start)), "wav")
    return f"audio.{kind}"
