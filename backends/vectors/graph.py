"""What an ONNX file holds, from its protobuf, without onnxruntime and without reading the weights.

Fields by number, as onnx.proto has them: ModelProto.graph 7; GraphProto.initializer 5;
TensorProto.dims 1, data_type 2, external_data 13; StringStringEntryProto.key 1, value 2.
"""

import mmap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from backends.contract.errors import EngineFailed

_TYPES = {1: "float32", 2: "int8", 3: "int8", 10: "float16", 11: "float64", 16: "bfloat16"}
_TYPES |= {17: "float8", 18: "float8", 19: "float8", 20: "float8", 21: "int4", 22: "int4"}

_Field = tuple[int, int, int]  # its number; where it begins and ends, or its value twice


class Graph(NamedTuple):
    """`dtype`: of most of its weights. `beside`: files of weights, relative to the graph's folder."""

    dtype: str
    beside: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "Graph":
        """Raises EngineFailed where that is no ONNX file."""
        sizes: Counter[str] = Counter()
        beside: set[str] = set()
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                for number, start, end in _fields(data, 0, len(data)):
                    if number == 7:
                        _weights(data, start, end, sizes, beside)
        except (ValueError, IndexError):
            raise EngineFailed(f"{path.name} is not an ONNX file") from None
        if not sizes:
            raise EngineFailed(f"{path.name} holds no weights")
        return cls(sizes.most_common(1)[0][0], tuple(sorted(beside)))


def _weights(data: mmap.mmap, start: int, end: int, sizes: Counter[str], beside: set[str]) -> None:
    for number, begin, stop in _fields(data, start, end):
        if number != 5:
            continue
        count, kind = 1, 0
        for field, value, after in _fields(data, begin, stop):
            match field:
                case 1:
                    count *= value
                case 2:
                    kind = value
                case 13:
                    said = {n: data[a:b].decode() for n, a, b in _fields(data, value, after)}
                    if said.get(1) == "location":
                        beside.add(said[2])
        if kind in _TYPES:
            sizes[_TYPES[kind]] += count


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[_Field]:
    """Raises ValueError, IndexError where the bytes are no protobuf."""
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value, value
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise ValueError("cut short")
            yield number, at, at + length
            at += length
        elif wire in {1, 5}:
            at += 8 if wire == 1 else 4
        else:
            raise ValueError("unknown wire type")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("too long a number")
