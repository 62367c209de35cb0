"""An inference request of the open inference protocol (V2): JSON, and behind it what its tensors hold, if
they are sent as binary data. Every tensor that is sent here is of BYTES.

With the header `Inference-Header-Content-Length` the JSON is so long; the rest of the body is the tensors'
that say a `binary_data_size`, in their order. An element of BYTES is four bytes, its length (little-endian),
and the element. Without it all stands in the JSON, where an element is a string.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field, StrictBool

from app.errors import checked
from app.guard.body import must_be_shallow
from app.wire.base import Strict
from backends.contract.errors import InvalidRequest

BYTES = "BYTES"
# Elements of a tensor: as many as documents can be ranked.
MOST = 10_000
_PREFIX = 4

Parameters = dict[str, Any]


class Given(Strict):
    """`data`: the elements, nested as `shape` says or not. `parameters`: `binary_data_size`, in its place."""

    name: Annotated[str, Field(min_length=1)]
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=8)]
    datatype: str
    parameters: Parameters = Field(default_factory=dict)
    data: list[Any] | None = None


class Wanted(Strict):
    """`parameters`: `binary_data`, whether it comes behind the JSON."""

    name: Annotated[str, Field(min_length=1)]
    parameters: Parameters = Field(default_factory=dict)


class InferRequest(Strict):
    """`parameters`: those of the model's task by their OpenAI names, and `binary_data_output`, whether all
    outputs come behind the JSON. `outputs`: those that are wanted; all, if it is left out."""

    id: str | None = None
    parameters: Parameters = Field(default_factory=dict)
    inputs: Annotated[list[Given], Field(min_length=1, max_length=16)]
    outputs: Annotated[list[Wanted], Field(max_length=16)] | None = None


class InferResponse(BaseModel):
    """`parameters`: the tokens that were used, where the model counts some."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: Parameters = Field(default_factory=dict)
    outputs: list[Given]


def described() -> dict[str, Any]:
    """The schema of `InferRequest`, without references: it stands in another document."""
    schema = InferRequest.model_json_schema()
    parts = schema.pop("$defs")
    schema["properties"]["inputs"]["items"] = parts["Given"]
    schema["properties"]["outputs"]["anyOf"][0]["items"] = parts["Wanted"]
    return schema


@dataclass(frozen=True, slots=True)
class Tensor:
    """`elements`: in the order of the rows; of one that came in the JSON (not `binary`), UTF-8."""

    name: str
    elements: tuple[bytes, ...]
    binary: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """`tensors`: by name. `binary`: the outputs that are wanted as binary data; None: all of them."""

    request: InferRequest
    tensors: Mapping[str, Tensor]
    parameters: Mapping[str, Any]
    binary: frozenset[str] | None


def read(body: bytes, header: str | None) -> Asked:
    """`header`: what `Inference-Header-Content-Length` says, if it is there. Raises InvalidRequest."""
    length = len(body) if header is None else _length(header, len(body))
    must_be_shallow(body[:length])
    try:
        given = orjson.loads(body[:length])
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}") from None
    request = checked(InferRequest, given)
    parameters = dict(request.parameters)
    everything = checked(
        _Output, {"binary_data_output": parameters.pop("binary_data_output", False)}, "parameters"
    )
    return Asked(
        request,
        _tensors(request.inputs, memoryview(body)[length:]),
        parameters,
        _wanted(request, everything.binary_data_output),
    )


class _Output(Strict):
    binary_data_output: StrictBool


class _Binary(Strict):
    binary_data: StrictBool | None = None


class _Size(Strict):
    binary_data_size: Annotated[int, Field(ge=0)] | None = None


def _length(header: str, whole: int) -> int:
    if not (header.isascii() and header.isdecimal()) or len(header) > 12 or not 0 < int(header) <= whole:
        raise InvalidRequest(
            f"'Inference-Header-Content-Length' must say how many of the body's {whole} bytes are JSON",
            param="Inference-Header-Content-Length",
        )
    return int(header)


def _wanted(request: InferRequest, everything: bool) -> frozenset[str] | None:
    if request.outputs is None:
        return None if everything else frozenset()
    told = [
        (one.name, checked(_Binary, one.parameters, f"outputs[{number}].parameters").binary_data)
        for number, one in enumerate(request.outputs)
    ]
    return frozenset(name for name, binary in told if (everything if binary is None else binary))


def _tensors(inputs: list[Given], rest: memoryview) -> dict[str, Tensor]:
    """Of the inputs, with what is binary of them in `rest`, to its last byte."""
    found: dict[str, Tensor] = {}
    at = 0
    for number, one in enumerate(inputs):
        where = f"inputs[{number}]"
        size = checked(_Size, one.parameters, f"{where}.parameters").binary_data_size
        count = _count(one, where)
        if one.name in found:
            raise InvalidRequest(f"'{where}.name': '{one.name}' is there twice", param=f"{where}.name")
        if (size is None) == (one.data is None):
            said = f"'{where}' must have either 'data' or a 'binary_data_size'"
            raise InvalidRequest(said, param=where)
        if size is None:
            elements = tuple(_strings(one.data, f"{where}.data"))
        elif size > len(rest) - at:
            raise _binary(where, f"{len(rest) - at} bytes of binary data are left, not {size}")
        else:
            elements = _cut(rest[at : at + size], count, where)
            at += size
        if len(elements) != count:
            said = f"'{where}.data' has {len(elements):,} elements, and by its shape {count:,}"
            raise InvalidRequest(said, param=f"{where}.data")
        found[one.name] = Tensor(one.name, elements, size is not None)
    if at != len(rest):
        said = f"{len(rest) - at} bytes of binary data belong to no tensor: see 'binary_data_size'"
        raise InvalidRequest(said, param="inputs")
    return found


def _count(one: Given, where: str) -> int:
    if one.datatype != BYTES:
        raise InvalidRequest(f"'{where}.datatype' must be {BYTES}", param=f"{where}.datatype")
    count = math.prod(one.shape)
    if not 1 <= count <= MOST:
        raise InvalidRequest(f"'{where}.shape' must be of 1 to {MOST:,} elements", param=f"{where}.shape")
    return count


def _strings(data: list[Any] | None, where: str) -> Iterator[bytes]:
    """What nested arrays hold, row by row."""
    for number, item in enumerate(data or ()):
        if isinstance(item, str):
            yield item.encode()
        elif isinstance(item, list):
            yield from _strings(item, f"{where}[{number}]")
        else:
            raise InvalidRequest(f"'{where}[{number}]' must be a string", param=f"{where}[{number}]")


def _cut(data: memoryview, count: int, where: str) -> tuple[bytes, ...]:
    elements, at = [], 0
    for number in range(count):
        begin = at + _PREFIX
        size = int.from_bytes(data[at:begin], "little")
        if begin > len(data) or size > len(data) - begin:
            raise _binary(where, f"element {number} of {count} is longer than what is left")
        at = begin + size
        elements.append(bytes(data[begin:at]))
    if at != len(data):
        raise _binary(where, f"{len(data) - at} bytes follow the last of its {count} elements")
    return tuple(elements)


def _binary(where: str, why: str) -> InvalidRequest:
    at = f"{where}.parameters.binary_data_size"
    return InvalidRequest(f"'{at}' does not fit the binary data: {why}", param=at)
