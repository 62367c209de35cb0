"""`POST /v1/audio/speech`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from app.formats.audio import FORMATS, Format
from app.wire.base import Closed
from backends.contract.errors import InvalidRequest


def _voice(given: Any) -> Any:
    """`"alloy"` or `{"id": "alloy"}`."""
    return given["id"] if isinstance(given, dict) and set(given) == {"id"} else given


def _format(given: Any) -> Any:
    if given not in FORMATS:
        raise InvalidRequest(
            f"'response_format' must be one of {', '.join(FORMATS)}", param="response_format"
        )
    return given


def _audio(given: Any) -> Any:
    if given == "sse":
        raise InvalidRequest("'stream_format' sse is not offered yet: use audio", param="stream_format")
    return given


class SpeechRequest(Closed):
    input: Annotated[str, Field(min_length=1, max_length=4096)]
    voice: Annotated[str, BeforeValidator(_voice), Field(min_length=1)]
    response_format: Annotated[Format, BeforeValidator(_format)] = "mp3"
    speed: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    stream_format: Annotated[Literal["audio"], BeforeValidator(_audio)] | None = None
