"""What all request bodies share."""

from pydantic import BaseModel, ConfigDict, model_validator

from backends.contract.errors import InvalidRequest


class Wire(BaseModel):
    """Lossless: what we do not know is kept. `model` may come from the path's alias instead.

    JSON types are taken as they are: `"1"` is no number and `"yes"` no boolean.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    model: str | None = None


class Closed(Wire):
    """For endpoints that forward nothing: a field is honoured or refused, never ignored."""

    @model_validator(mode="after")
    def _nothing_unknown(self) -> "Closed":
        for name, value in (self.model_extra or {}).items():
            if value is not None:
                raise InvalidRequest(f"'{name}' is not offered on this endpoint", param=name)
        return self
