"""What an audio chat asks for, and the conversation it is about. Pure."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.formats.audio import Format
from app.upstream.chain.memory import recalled
from backends.contract.errors import InvalidRequest

# OpenAI's names of formats in chat.
FORMATS: Mapping[str, Format] = {
    "wav": "wav", "mp3": "mp3", "flac": "flac", "opus": "opus", "aac": "aac", "pcm16": "pcm",
}  # fmt: skip
HEARD = ("wav", "mp3")
MODALITIES = ("text", "audio")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The sound of the answer."""

    voice: str
    form: Format


@dataclass(frozen=True, slots=True)
class Part:
    """An `input_audio` part; `at`: where it stands, such as `messages[0].content[1].input_audio`."""

    at: str
    data: str


def read(body: Mapping[str, Any]) -> Wanted | None:
    """None: text alone. Raises InvalidRequest."""
    modalities = body.get("modalities")
    if modalities is None:
        modalities = ["text"]
    known = isinstance(modalities, list) and all(one in MODALITIES for one in modalities)
    if not known or "text" not in modalities:
        raise InvalidRequest('\'modalities\' must be ["text"] or ["text", "audio"]', param="modalities")
    given = body.get("audio")
    if "audio" not in modalities:
        if given is not None:
            raise InvalidRequest("'audio' needs 'modalities' with \"audio\"", param="audio")
        return None
    if body.get("n") not in (None, 1):
        raise InvalidRequest("'n' must be 1 where the answer is spoken", param="n")
    if not isinstance(given, dict):
        raise InvalidRequest("'audio' is required: its 'voice' and 'format'", param="audio")
    for name, value in given.items():
        if name not in ("voice", "format") and value is not None:
            raise InvalidRequest(f"'audio.{name}' is not offered here", param=f"audio.{name}")
    return Wanted(_voice(given.get("voice")), _format(given.get("format")))


def _voice(given: Any) -> str:
    voice = given["id"] if isinstance(given, dict) and set(given) == {"id"} else given
    if not isinstance(voice, str) or not voice:
        raise InvalidRequest(
            "'audio.voice' must be a voice's name, or its id in an object", param="audio.voice"
        )
    return voice


def _format(given: Any) -> Format:
    if not isinstance(given, str) or given not in FORMATS:
        raise InvalidRequest(f"'audio.format' must be one of {', '.join(FORMATS)}", param="audio.format")
    return FORMATS[given]


class Conversation:
    """Messages, and the sounds in them. `told` puts what was heard in their place. Raises InvalidRequest for
    a sound that is none, and for an answer that is not known."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self._messages = [_remembered(message, f"messages[{at}]") for at, message in enumerate(messages)]
        self.parts: list[Part] = []
        for at, message in enumerate(self._messages):
            self.parts += _sounds(message, f"messages[{at}].content")

    def told(self, heard: list[str]) -> list[dict[str, Any]]:
        texts = iter(heard)
        return [
            {**message, "content": [_text(part, texts) for part in message["content"]]}
            if isinstance(message.get("content"), list)
            else message
            for message in self._messages
        ]


def sound_of(part: Part) -> bytes:
    """Raises InvalidRequest."""
    try:
        data = b64decode(part.data, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise InvalidRequest(f"'{part.at}.data' must be base64 of a sound", param=f"{part.at}.data")
    return data


def _remembered(message: dict[str, Any], at: str) -> dict[str, Any]:
    """An answer that was spoken, as the text it was."""
    given = message.get("audio")
    if given is None:
        return {name: value for name, value in message.items() if name != "audio"}
    if (
        message.get("role") != "assistant"
        or not isinstance(given, dict)
        or not isinstance(given.get("id"), str)
    ):
        raise InvalidRequest(f"'{at}.audio' must be the 'id' of an assistant's answer", param=f"{at}.audio")
    told = recalled(given["id"], f"{at}.audio.id")
    return {**{name: value for name, value in message.items() if name != "audio"}, "content": told}


def _sounds(message: dict[str, Any], at: str) -> list[Part]:
    content = message.get("content")
    found = []
    for number, part in enumerate(content if isinstance(content, list) else ()):
        if part["type"] != "input_audio":
            continue
        here, given = f"{at}[{number}].input_audio", part.get("input_audio")
        if message["role"] != "user":
            raise InvalidRequest(f"'{here}': only what a user says is heard", param=here)
        if not isinstance(given, dict) or not isinstance(given.get("data"), str):
            raise InvalidRequest(f"'{here}' must be an object with 'data' and 'format'", param=here)
        if given.get("format") not in HEARD:
            raise InvalidRequest(f"'{here}.format' must be one of {', '.join(HEARD)}", param=f"{here}.format")
        found.append(Part(here, given["data"]))
    return found


def _text(part: dict[str, Any], heard: Any) -> dict[str, Any]:
    return {"type": "text", "text": next(heard)} if part["type"] == "input_audio" else part
