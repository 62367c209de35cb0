"""`POST /v1/audio/voices`: a multipart form."""

from typing import Annotated, Any

from fastapi import UploadFile
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from backends.contract.errors import InvalidRequest
from backends.contract.languages import LANGUAGES


def _file(given: Any) -> Any:
    if isinstance(given, str):  # curl's `-F audio_sample=NAME`, without the @
        raise InvalidRequest(
            "'audio_sample' must be a file: a part of the form that has a filename", param="audio_sample"
        )
    return given


def _said(given: str) -> str:
    return given.strip()


def _language(given: str) -> str:
    code = given.strip().lower()
    if code and code not in LANGUAGES:
        raise InvalidRequest("'language' must be a code of two letters such as en", param="language")
    return code


class VoiceForm(BaseModel):
    """A field is honoured or refused, never ignored. `file` is another name of `audio_sample`."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, AfterValidator(_said), Field(max_length=100)]
    consent: Annotated[str, AfterValidator(_said), Field(max_length=2000)]
    audio_sample: Annotated[UploadFile, BeforeValidator(_file)] | None = None
    file: Annotated[UploadFile, BeforeValidator(_file)] | None = None
    language: Annotated[str, AfterValidator(_language)] = ""
    type: str = "audio_sample"

    @property
    def sample(self) -> UploadFile:
        found = self.audio_sample or self.file
        assert found is not None
        return found

    @model_validator(mode="after")
    def _nothing_ignored(self) -> "VoiceForm":
        for name in ("name", "consent"):
            if not getattr(self, name):
                raise InvalidRequest(f"'{name}' must not be empty", param=name)
        if self.type != "audio_sample":
            raise InvalidRequest("voices are made from an audio_sample alone", param="type")
        if self.audio_sample is None and self.file is None:
            raise InvalidRequest("'audio_sample' is required", param="audio_sample")
        if self.audio_sample is not None and self.file is not None:
            raise InvalidRequest("'file' and 'audio_sample' are two names of one field", param="file")
        for name in self.model_extra or {}:
            raise InvalidRequest(f"'{name}' is not offered on this endpoint", param=name)
        return self
