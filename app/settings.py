"""The process, from the environment; nothing about models (that is the fleet's).

Constructed once, in an entry point, and passed. Every variable is in `.env.example`.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MB = 1_000_000


def _place(where: str) -> str:
    """A door may run in any folder."""
    if where and "://" not in where and not where.startswith("/"):
        raise ValueError("must be a path that begins with a slash, or a URL")
    return where


def _folder(where: str) -> str:
    if where and not where.startswith("/"):
        raise ValueError("must be a path that begins with a slash")
    return where


class Settings(BaseSettings):
    """`MOTLEY_<FIELD>` in the environment or in `.env`; raises ValidationError on a bad value."""

    model_config = SettingsConfigDict(env_prefix="MOTLEY_", env_file=".env", extra="ignore", frozen=True)

    api_keys: SecretStr = Field(
        SecretStr(""), description="Comma-separated keys; clients send one as a bearer token. None: open."
    )
    max_body_mb: Annotated[float, Field(gt=0, description="The largest JSON body, in megabytes.")] = 20
    max_upload_mb: Annotated[float, Field(gt=0, description="The largest upload, in megabytes.")] = 64
    max_audio_s: Annotated[
        float, Field(gt=0, description="Seconds that an upload may play, however small it is.")
    ] = 14_400
    voices: Annotated[str, AfterValidator(_place)] = Field(
        "", description="Where voices made from recordings are kept, a folder or a URL. None: none are made."
    )
    hooks: Annotated[str, AfterValidator(_folder)] = Field(
        "", description="The folder of functions that chains may put around models. None: they may not."
    )
    keepalive_s: Annotated[
        float, Field(gt=0, description="Seconds of silence before an event stream sends a comment.")
    ] = 15
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="The least severe level logged.")
    ] = "info"
    log_format: Annotated[
        Literal["json", "text"], Field(description="json: one object per line; text: for people.")
    ] = "json"

    @property
    def keys(self) -> tuple[str, ...]:
        """The configured keys, blanks left out."""
        return tuple(key for part in self.api_keys.get_secret_value().split(",") if (key := part.strip()))
