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


class SpeechRequest(Closed):
    """null is as good as nothing; so are empty instructions."""

    input: Annotated[str, Field(min_length=1, max_length=4096)]
    voice: Annotated[str, BeforeValidator(_voice), Field(min_length=1)]
    instructions: Annotated[str, Field(max_length=4096)] | None = None
    response_format: Annotated[Format, BeforeValidator(_format)] | None = "mp3"
    speed: Annotated[float, Field(ge=0.25, le=4)] | None = 1.0
    stream_format: Literal["audio", "sse"] | None = "audio"
