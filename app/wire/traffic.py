"""What `POST /v1/models/{model}/traffic` takes."""

from pydantic import Field

from app.wire.base import Strict


class Split(Strict):
    shares: dict[str, int] = Field(description="Per cent per variant, 100 in all.")
