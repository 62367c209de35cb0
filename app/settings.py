"""The process, from the environment; nothing about models (that is the fleet's).

Constructed once, in an entry point, and passed. Every variable is in `.env.example`.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MB = 1_000_000


def _place(where: str) -> str:
    """A door may run in any folder."""
    if where and "://" not in where and not where.startswith("/"):
        raise ValueError("must be a path that begins with a slash, or a URL")
    return where


def _path(where: str) -> str:
    if where and not where.startswith("/"):
        raise ValueError("must be a path that begins with a slash")
    return where


def _sink(where: str) -> str:
    if "://" not in where:
        return _path(where)
    scheme, _, rest = where.partition("://")
    if scheme not in ("http", "https") or not rest:
        raise ValueError("must be a path that begins with a slash, or an http(s) URL")
    return where


def _origins(given: str) -> str:
    for origin in _listed(given):
        scheme, _, host = origin.partition("://")
        if origin != "*" and (scheme not in ("http", "https") or not host or "/" in host or "*" in host):
            raise ValueError("must be origins as browsers send them (https://chat.example.com), or *")
    return given


def _listed(given: str) -> tuple[str, ...]:
    return tuple(part for each in given.split(",") if (part := each.strip()))


def _database(given: SecretStr) -> SecretStr:
    url = given.get_secret_value()
    if url not in ("", "none") and not url.startswith(("sqlite:////", "postgresql://", "postgres://")):
        raise ValueError("must be sqlite:////PATH (from the root), postgresql://USER@HOST/NAME, or none")
    return given


def _counters(given: SecretStr) -> SecretStr:
    url = given.get_secret_value()
    if url and not url.startswith(("redis://", "rediss://", "valkey://", "valkeys://")):
        raise ValueError("must begin with redis://, rediss://, valkey:// or valkeys://")
    return given


class Settings(BaseSettings):
    """`MOTLEY_<FIELD>` in the environment or in `.env`; raises ValidationError on a bad value."""

    model_config = SettingsConfigDict(env_prefix="MOTLEY_", env_file=".env", extra="ignore", frozen=True)

    api_keys: SecretStr = Field(
        SecretStr(""), description="Comma-separated keys that may do everything. No keys at all: open."
    )
    keys_file: Annotated[str, AfterValidator(_path)] = Field(
        "", description="The file of keys that `motley keys` writes, with scopes and expiry; re-read live."
    )
    keys_pepper: SecretStr = Field(
        SecretStr(""), description="A secret that the keys file's digests were made with; kept apart from it."
    )
    limits_url: Annotated[SecretStr, AfterValidator(_counters)] = Field(
        SecretStr(""), description="A Redis or Valkey in which several doors count limits together."
    )
    usage_url: Annotated[SecretStr, AfterValidator(_database)] = Field(
        SecretStr(""), description="The database of usage. Empty: none, but `motley up` keeps a file."
    )
    open_to_all: bool = Field(
        False, description="Serve everyone who can reach the door without a key, beyond loopback too."
    )
    open_docs: bool = Field(True, description="Whether /docs and /openapi.json need no key.")
    cors_origins: Annotated[str, AfterValidator(_origins)] = Field(
        "", description="Comma-separated origins of web pages that may use the door. `*`: all; needs keys."
    )
    max_body_mb: Annotated[float, Field(gt=0, description="The largest JSON body, in megabytes.")] = 20
    max_upload_mb: Annotated[float, Field(gt=0, description="The largest upload, in megabytes.")] = 64
    max_audio_s: Annotated[
        float, Field(gt=0, description="Seconds that an upload may play, however small it is.")
    ] = 14_400
    body_s: Annotated[
        float, Field(gt=0, description="Seconds that any body may take to come; large ones get more.")
    ] = 30
    fetch_media: bool = Field(
        False, description="Whether the door fetches images and audio that a chat names by https address."
    )
    voices: Annotated[str, AfterValidator(_place)] = Field(
        "", description="Where voices made from recordings are kept, a folder or a URL. None: none are made."
    )
    hooks: Annotated[str, AfterValidator(_path)] = Field(
        "", description="The folder of functions that chains may put around models. None: they may not."
    )
    keepalive_s: Annotated[
        float, Field(gt=0, description="Seconds of silence before an event stream sends a comment.")
    ] = 15
    capture: Annotated[str, AfterValidator(_sink)] = Field(
        "", description="Where redacted requests and answers go: a file, or an https URL. None: nowhere."
    )
    capture_share: Annotated[
        float, Field(ge=0, le=1, description="The part of all requests that is captured, 0 to 1.")
    ] = 0.01
    capture_hide: str = Field(
        "", description="Comma-separated names of JSON fields that are captured without their values."
    )
    audit: Annotated[str, AfterValidator(_path)] = Field(
        "", description="The file that gets a line for each thing an operator does. None: the log alone."
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="The least severe level logged.")
    ] = "info"
    log_format: Annotated[
        Literal["json", "text"], Field(description="json: one object per line; text: for people.")
    ] = "json"

    @property
    def keys(self) -> tuple[str, ...]:
        """The configured keys, blanks left out."""
        return _listed(self.api_keys.get_secret_value())

    @property
    def usage(self) -> str:
        """The URL of the database of usage; empty where none is kept."""
        url = self.usage_url.get_secret_value()
        return "" if url == "none" else url.replace("postgres://", "postgresql://", 1)

    @property
    def hidden(self) -> tuple[str, ...]:
        """Fields that are captured without their values."""
        return _listed(self.capture_hide)

    @property
    def origins(self) -> tuple[str, ...]:
        """Of web pages that may use the door."""
        return _listed(self.cors_origins)

    @model_validator(mode="after")
    def _pages_need_keys(self) -> Self:
        if "*" in self.origins and not (self.keys or self.keys_file):
            raise ValueError("MOTLEY_CORS_ORIGINS=* without keys would let any web page use this door")
        return self
