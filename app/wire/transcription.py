"""`POST /v1/audio/transcriptions`: a multipart form, so every value arrives as text."""

from typing import Annotated, Any

from fastapi import UploadFile
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from backends.contract.errors import InvalidRequest

FORMATS = ("json", "text", "verbose_json")


def _file(given: Any) -> Any:
    if isinstance(given, str):  # curl's `-F file=NAME`, without the @
        raise InvalidRequest("'file' must be a file: a part of the form that has a filename", param="file")
    return given


def _format(given: Any) -> Any:
    if given not in FORMATS:
        raise InvalidRequest(
            f"'response_format' must be one of {', '.join(FORMATS)}: others are not offered yet",
            param="response_format",
        )
    return given


def _granularities(given: list[str]) -> list[str]:
    if not {"word", "segment"}.issuperset(given):
        raise InvalidRequest(
            "'timestamp_granularities' are word and segment", param="timestamp_granularities"
        )
    return given


class TranscriptionForm(BaseModel):
    """A field is honoured or refused, never ignored."""

    model_config = ConfigDict(extra="allow")

    file: Annotated[UploadFile, BeforeValidator(_file)]
    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    response_format: Annotated[str, BeforeValidator(_format)] = "json"
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0
    timestamp_granularities: Annotated[
        list[str], AfterValidator(_granularities), Field(alias="timestamp_granularities[]")
    ] = []
    stream: bool = False
    chunking_strategy: str | None = None
    user: str | None = None

    @property
    def words(self) -> bool:
        return "word" in self.timestamp_granularities

    @property
    def segments(self) -> bool:
        """The default, as OpenAI has it."""
        return not self.timestamp_granularities or "segment" in self.timestamp_granularities

    @model_validator(mode="after")
    def _nothing_ignored(self) -> "TranscriptionForm":
        if self.stream:
            raise InvalidRequest("'stream' is not offered for transcriptions yet", param="stream")
        if self.chunking_strategy not in (None, "", "auto"):
            raise InvalidRequest("'chunking_strategy' must be auto", param="chunking_strategy")
        if self.timestamp_granularities and self.response_format != "verbose_json":
            raise InvalidRequest(
                "'timestamp_granularities' needs 'response_format' verbose_json",
                param="timestamp_granularities",
            )
        for name in self.model_extra or {}:
            plain = name.partition("[")[0]
            if name == "timestamp_granularities":
                raise InvalidRequest(f"'{name}' is a list: send it as '{name}[]'", param=name)
            raise InvalidRequest(f"'{plain}' is not offered on this endpoint", param=plain)
        return self
