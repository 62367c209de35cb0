"""What a remote server is sent."""

import json
from collections.abc import Mapping
from typing import Any

from backends.contract.errors import InvalidRequest


def as_json(body: Mapping[str, Any]) -> bytes:
    """Python's own writer: whole numbers of any size stay what they are. Raises InvalidRequest."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise InvalidRequest("the body holds a number or a text that JSON cannot say") from None


# How the containers that people upload begin: some servers go by the file's name.
_BEGINNINGS = {
    b"RIFF": "wav", b"OggS": "ogg", b"fLaC": "flac", b"ID3": "mp3", b"\x1aE\xdf\xa3": "webm",
    b"\xff\xfb": "mp3", b"\xff\xf3": "mp3", b"\xff\xf2": "mp3", b"\xff\xf1": "aac", b"\xff\xf9": "aac",
}  # fmt: skip


def file_name(audio: bytes) -> str:
    """A name whose ending says what the bytes look like; `wav` where they say nothing."""
    if audio[4:8] == b"ftyp":
        return "audio.m4a"
    kind = next((kind for start, kind in _BEGINNINGS.items() if audio.startswith(start)), "wav")
    return f"audio.{kind}"
