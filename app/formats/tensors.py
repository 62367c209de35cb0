"""The tensors of an answer, in the shape of the open inference protocol (V2)."""

from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson


@dataclass(frozen=True, slots=True)
class Output:
    """`data`: of FP32, little-endian; of BYTES, its elements: UTF-8, or where it is `opaque` what JSON tells
    in base64."""

    name: str
    datatype: Literal["BYTES", "FP32"]
    shape: tuple[int, ...]
    data: bytes | Sequence[bytes]
    opaque: bool = False

    @classmethod
    def texts(cls, name: str, *texts: str | bytes) -> "Output":
        data = [text.encode() if isinstance(text, str) else text for text in texts]
        return cls(name, "BYTES", (len(data),), data)

    @classmethod
    def numbers(cls, name: str, *numbers: float) -> "Output":
        return cls(name, "FP32", (len(numbers),), np.array(numbers, "<f4").tobytes())

    def packed(self) -> bytes:
        """As binary data: before each element of BYTES stands its length, in four bytes."""
        if isinstance(self.data, bytes):
            return self.data
        return b"".join(len(one).to_bytes(4, "little") + one for one in self.data)

    def listed(self) -> Any:
        """As JSON, flat; numpy arrays allowed."""
        if isinstance(self.data, bytes):
            return np.frombuffer(self.data, "<f4")
        return [b64encode(one).decode() if self.opaque else one.decode() for one in self.data]


def render(
    about: dict[str, Any], outputs: Sequence[Output], binary: Collection[str]
) -> tuple[bytes, int | None]:
    """The body, and how much of it is JSON; None where it is all of it. `about`: the answer but its
    outputs; `binary`: the names of those that come behind the JSON."""
    told, behind = [], []
    for one in outputs:
        head = {"name": one.name, "datatype": one.datatype, "shape": one.shape}
        if one.name in binary:
            behind.append(one.packed())
            told.append({**head, "parameters": {"binary_data_size": len(behind[-1])}})
        else:
            told.append({**head, "data": one.listed()})
    json = orjson.dumps({**about, "outputs": told}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join([json, *behind]), len(json) if behind else None
