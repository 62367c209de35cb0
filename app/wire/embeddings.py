"""`POST /v1/embeddings`, and TEI's `/embed`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from app.vocabulary import Ids, Texts, stranger
from app.wire.base import Closed
from backends.contract.errors import InvalidRequest
from backends.contract.tasks import InputType

MOST = 2048

_KINDS: dict[type, str] = {str: "a string", int: "a token id", list: "an array of token ids"}


def _input(given: Any) -> Texts:
    """The four shapes → a list of strings, or of lists of token ids; the rest is refused by name."""
    if isinstance(given, str):
        return _strings([given], "input")
    if not isinstance(given, list):
        raise InvalidRequest("'input' must be a string, token ids, or an array of either", param="input")
    if not given:
        raise InvalidRequest("'input' must not be empty", param="input")
    kinds = set(map(type, given))
    if kinds == {int}:
        return [_ids(given, "input")]
    if len(given) > MOST:
        raise InvalidRequest(f"'input' must have at most {MOST:,} items", param="input")
    if kinds == {str}:
        return _strings(given, "input[{}]")
    if kinds == {list}:
        return [_ids(item, f"input[{number}]") for number, item in enumerate(given)]
    raise _mixed(given)


def _strings(given: list[str], at: str) -> list[str]:
    for number, text in enumerate(given):
        if not text:
            param = at.format(number)
            raise InvalidRequest(f"'{param}' must not be an empty string", param=param)
    return given


def _ids(given: Ids, at: str) -> Ids:
    if not given:
        raise InvalidRequest(f"'{at}' must not be empty", param=at)
    if set(map(type, given)) != {int}:
        raise InvalidRequest(f"'{at}' must hold token ids, which are integers, alone", param=at)
    if (place := stranger(given)) is not None:
        raise InvalidRequest(
            f"'{at}' must hold ids of cl100k_base, OpenAI's tokens: that at {place} (from 0) is none",
            param=at,
        )
    return given


def _mixed(given: list[Any]) -> InvalidRequest:
    first = type(given[0])
    wanted = _KINDS.get(first, "a string or an array of token ids")
    number = 0
    if first in _KINDS:
        number = next(number for number, item in enumerate(given) if type(item) is not first)
        wanted += ", as 'input[0]' is"
    return InvalidRequest(f"'input[{number}]' must be {wanted}", param=f"input[{number}]")


class EmbeddingsRequest(Closed):
    input: Annotated[
        Texts,
        PlainValidator(_input),
        WithJsonSchema(
            {
                "description": f"A string, or 1 to {MOST} of them; or, for strings, arrays of token ids "
                "of OpenAI's `cl100k_base`, which are decoded.",
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string"}},
                    {"type": "array", "items": {"type": "integer"}},
                    {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
                ],
            }
        ),
    ]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: (
        Annotated[int, Field(ge=1, description="Vectors are cut to that many and normalised anew.")] | None
    ) = None
    input_type: (
        Annotated[
            InputType, Field(description="What the texts are, for models that embed questions otherwise.")
        ]
        | None
    ) = None
    user: str | None = None


def _inputs(given: Any) -> Any:
    """TEI's: strings alone, since its token ids are those of the model that it happens to serve."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest("'inputs' must be a string or an array of strings", param="inputs")
    if not 1 <= len(texts) <= MOST:
        raise InvalidRequest(f"'inputs' must have 1 to {MOST:,} items", param="inputs")
    return _strings(texts, "inputs" if isinstance(given, str) else "inputs[{}]")


class EmbedRequest(Closed):
    """TEI's."""

    inputs: Annotated[
        list[str],
        BeforeValidator(_inputs),
        Field(
            description=f"A string, or 1 to {MOST} of them.", json_schema_extra={"type": ["string", "array"]}
        ),
    ]
    dimensions: Annotated[int, Field(ge=1)] | None = None
    normalize: bool | None = None
    truncate: (
        Annotated[bool, Field(description="Whatever it says, a text that is too long is refused.")] | None
    ) = None

    @model_validator(mode="after")
    def _offered(self) -> "EmbedRequest":
        if self.normalize is False:
            raise InvalidRequest("'normalize' cannot be false: vectors have length 1", param="normalize")
        return self
