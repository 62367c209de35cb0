"""A Whisper as CTranslate2 keeps it: is it all there, and how much memory will it take? Reads no weights.

`model.bin` is a version, the name of the architecture, and the variables one after another: name,
dimensions, type, length, data (`ctranslate2/specs/model_spec.py`, binary version 6).
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backends.contract.errors import EngineFailed

VERSION = 6
FRAMES = 1500  # what the encoder makes of 30 s
TOKENS = 448  # what the decoder can hold
# Bytes of one weight. Norms and biases stay wider: they are a thousandth of the whole.
BYTES = {"int8": 1, "int16": 2, "float16": 2, "bfloat16": 2, "float32": 4}


@dataclass(frozen=True, slots=True)
class Shape:
    """`numbers`: weights in all; `size`: bytes of the file; `width`: of a layer."""

    numbers: int
    size: int
    width: int
    layers: int
    vocabulary: int

    def weights(self, compute_type: str) -> int:
        """Bytes once loaded. `compute_type` as CTranslate2 names them: `int8_float16` are weights
        of one byte and sums of two."""
        each = BYTES.get(compute_type.partition("_")[0])
        return self.size if each is None else self.numbers * each

    def working(self, beam: int, half: bool) -> int:
        """Bytes that one clip takes while it is heard, at most: what the layers remember of the
        sound and of each beam's text, and the encoder at its widest."""
        each = 2 if half else 4
        sound = self.layers * 2 * FRAMES * self.width
        text = beam * self.layers * 2 * TOKENS * self.width
        encoder = 12 * FRAMES * self.width + (self.width // 64 + 1) * FRAMES**2
        return each * (sound + text + encoder) + 8 * beam * self.vocabulary


def read(folder: Path | None) -> Shape:
    """Raises EngineFailed, with a sentence for the operator, where this is no such model."""
    if folder is None:
        raise EngineFailed("this engine needs a model's folder: its source is file:///…")
    file = folder / "model.bin"
    if not file.is_file():
        if any(folder.glob("*.safetensors")):
            raise EngineFailed(
                "the source is a checkpoint of transformers: convert it with ct2-transformers-converter"
            )
        raise EngineFailed("the source is no CTranslate2 model: it has no model.bin")
    # Without it the library would fetch one, not always the right one, from the network.
    if not (folder / "tokenizer.json").is_file():
        raise EngineFailed("the source has no tokenizer.json: add --copy_files tokenizer.json on converting")
    try:
        with file.open("rb") as stream:
            return _shape(stream, file.stat().st_size)
    except (struct.error, UnicodeDecodeError) as error:
        raise EngineFailed("the model.bin of the source is damaged") from error


def _shape(stream: BinaryIO, size: int) -> Shape:
    (version,) = _unpack(stream, "<I")
    if version != VERSION:
        raise EngineFailed(
            f"the model.bin of the source is of version {version}, not {VERSION}: convert it anew"
        )
    name = _string(stream)
    if name != "WhisperSpec":
        raise EngineFailed("the source is another kind of model than Whisper")
    _revision, count = _unpack(stream, "<II")
    numbers = width = vocabulary = 0
    layers = set()
    for _ in range(count):
        variable = _string(stream)
        (rank,) = _unpack(stream, "<B")
        dimensions = _unpack(stream, f"<{rank}I")
        _type, length = _unpack(stream, "<BI")
        stream.seek(length, 1)
        many = 1
        for dimension in dimensions:
            many *= dimension
        numbers += many
        if found := re.match(r"decoder/layer_(\d+)/", variable):
            layers.add(found[1])
        if variable == "decoder/embeddings/weight":
            vocabulary, width = dimensions
    return Shape(numbers, size, width, len(layers), vocabulary)


def _unpack(stream: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, stream.read(struct.calcsize(form)))


def _string(stream: BinaryIO) -> str:
    (length,) = _unpack(stream, "<H")
    return stream.read(length)[:-1].decode()
