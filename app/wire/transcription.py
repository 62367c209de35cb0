"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: multipart forms, so every value
arrives as text. A field is honoured or refused, never ignored."""

import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import orjson
from fastapi import UploadFile
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from backends.contract.errors import InvalidRequest
from backends.contract.languages import CODES
from backends.contract.tasks import Vad

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_PARTS = re.compile(r"(\w+)\[(\w+)\]")
_TAG = re.compile(r"([a-z]{2,3})([-_][a-z0-9]{1,8})*")  # with a script or a region


def _file(given: Any) -> Any:
    if isinstance(given, str):  # curl's `-F file=NAME`, without the @
        raise InvalidRequest("'file' must be a file: a part of the form that has a filename", param="file")
    return given


def _format(given: Any) -> Any:
    if given == "diarized_json":
        raise InvalidRequest(
            "'response_format' diarized_json is not offered: no engine here tells speakers apart",
            param="response_format",
        )
    if given not in FORMATS:
        raise InvalidRequest(
            f"'response_format' must be one of {', '.join(FORMATS)}", param="response_format"
        )
    return given


def _some_of(name: str, *known: str) -> Callable[[list[str]], list[str]]:
    def check(given: list[str]) -> list[str]:
        if not set(known).issuperset(given):
            raise InvalidRequest(f"'{name}' can be {' and '.join(known)}", param=name)
        return given

    return check


def _code(given: str, param: str) -> str:
    """`de`, `DE`, `de-AT` and `german` are `de`."""
    name = given.strip().lower()
    if name in CODES:
        return CODES[name]
    tag = _TAG.fullmatch(name)
    if tag is None:
        raise InvalidRequest(f"'{param}' is an ISO 639-1 code such as `en`", param=param)
    return tag[1]


class ServerVad(BaseModel, extra="forbid"):
    """OpenAI's `VadConfig`, with its defaults: so `auto` is one, too."""

    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0, le=60_000)] = 300
    silence_duration_ms: Annotated[int, Field(ge=0, le=60_000)] = 200


def _chunking(given: Any) -> Any:
    """SDKs send an object as `chunking_strategy[type]` and so on, people as JSON."""
    if given == "auto":
        return {"type": "server_vad"}
    if isinstance(given, str) and given.lstrip().startswith("{"):
        try:
            return orjson.loads(given)
        except orjson.JSONDecodeError:
            raise InvalidRequest("'chunking_strategy' is not valid JSON", param="chunking_strategy") from None
    if isinstance(given, dict):
        return given
    raise InvalidRequest(
        "'chunking_strategy' must be auto or an object of type server_vad", param="chunking_strategy"
    )


class AudioForm(BaseModel):
    """What both endpoints take. `lists`: the fields that are lists, sent as `NAME[]`."""

    model_config = ConfigDict(extra="allow")
    lists: ClassVar[frozenset[str]] = frozenset()

    file: Annotated[UploadFile, BeforeValidator(_file)]
    model: str | None = None
    prompt: str | None = None
    response_format: Annotated[str, BeforeValidator(_format)] = "json"
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0
    user: str | None = None

    @model_validator(mode="after")
    def _nothing_unknown(self) -> "AudioForm":
        for name in self.model_extra or {}:
            plain = name.partition("[")[0]
            if plain in self.lists:
                raise InvalidRequest(f"'{plain}' is a list: send it as '{plain}[]'", param=plain)
            raise InvalidRequest(f"'{plain}' is not offered on this endpoint", param=plain)
        return self


class TranslationForm(AudioForm):
    """Into English."""


class TranscriptionForm(AudioForm):
    lists: ClassVar[frozenset[str]] = frozenset(
        {"include", "keywords", "languages", "timestamp_granularities"}
    )

    language: str | None = None
    languages: Annotated[list[str], Field(alias="languages[]")] = []
    keywords: Annotated[list[str], Field(alias="keywords[]")] = []
    timestamp_granularities: Annotated[
        list[str],
        AfterValidator(_some_of("timestamp_granularities", "word", "segment")),
        Field(alias="timestamp_granularities[]"),
    ] = []
    include: Annotated[
        list[str], AfterValidator(_some_of("include", "logprobs")), Field(alias="include[]")
    ] = []
    stream: bool = False
    chunking_strategy: Annotated[
        ServerVad | None, BeforeValidator(_chunking), Field(description="auto, or what is told of silences.")
    ] = None

    @property
    def words(self) -> bool:
        return "word" in self.timestamp_granularities

    @property
    def segments(self) -> bool:
        """The default, as OpenAI has it."""
        return not self.timestamp_granularities or "segment" in self.timestamp_granularities

    @property
    def logprobs(self) -> bool:
        return bool(self.include)

    @property
    def spoken(self) -> tuple[str, ...]:
        """ISO 639-1, each once. Raises InvalidRequest."""
        named = [_code(self.language, "language")] if self.language else []
        named += (_code(one, "languages") for one in self.languages)
        return tuple(dict.fromkeys(named))

    @property
    def vad(self) -> Vad | None:
        chosen = self.chunking_strategy
        if chosen is None:
            return None
        return Vad(chosen.threshold, chosen.prefix_padding_ms / 1000, chosen.silence_duration_ms / 1000)

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, given: Any) -> Any:
        """`chunking_strategy[threshold]` → `{"threshold": …}` of `chunking_strategy`."""
        gathered, parts = dict[str, Any](), dict[str, Any]()
        for name, value in given.items():
            found = _PARTS.fullmatch(name)
            if found and found[1] == "chunking_strategy":
                parts[found[2]] = value
            else:
                gathered[name] = value
        if parts and gathered.setdefault("chunking_strategy", parts) is not parts:
            raise InvalidRequest("'chunking_strategy' is there twice", param="chunking_strategy")
        return gathered

    @model_validator(mode="after")
    def _agrees(self) -> "TranscriptionForm":
        if self.language and self.languages:
            raise InvalidRequest("give either 'language' or 'languages'", param="languages")
        if self.timestamp_granularities and self.response_format != "verbose_json":
            raise InvalidRequest(
                "'timestamp_granularities' needs 'response_format' verbose_json",
                param="timestamp_granularities",
            )
        if self.logprobs and self.response_format != "json":
            raise InvalidRequest("'include' needs 'response_format' json", param="include")
        if self.stream and self.response_format not in ("json", "text"):
            raise InvalidRequest("'stream' needs 'response_format' json or text", param="response_format")
        return self
