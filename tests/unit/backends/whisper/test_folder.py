"""What is read of a CTranslate2 folder before anything is loaded, and what is said when it is wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import EngineFailed
from backends.engines.faster_whisper import FasterWhisper
from backends.whisper.folder import Shape, read
from tests.whisper.checkpoint import LAYERS, WIDTH, made

# The dimensions of large-v3, of which Systran's file has 3.09 GB in 16 bits.
LARGE = Shape(numbers=1_543_490_560, size=3_087_284_237, width=1280, layers=32, vocabulary=51_866)


def test_the_shape_is_read_from_the_file() -> None:
    shape = read(made())
    assert (shape.width, shape.layers, shape.vocabulary) == (WIDTH, LAYERS, 51_865)
    assert shape.size == (made() / "model.bin").stat().st_size
    assert shape.numbers > shape.width * shape.vocabulary


def test_weights_follow_the_compute_type() -> None:
    assert LARGE.weights("default") == LARGE.size
    assert LARGE.weights("int8_float16") * 2 == LARGE.weights("float16") == LARGE.weights("float32") // 2


def test_large_v3_fits_half_of_an_8_gib_card_in_8_bits() -> None:
    needed = LARGE.weights("int8_float16") + LARGE.working(5, half=True)
    assert 2 * 2**30 < needed < 4 * 2**30 < LARGE.weights("float32")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.unlink(), "no model.bin"),
        (lambda file: file.rename(file.with_suffix(".safetensors")), "ct2-transformers-converter"),
        (lambda file: file.with_name("tokenizer.json").unlink(), "tokenizer.json"),
        (lambda file: file.write_bytes(b"\x06"), "damaged"),
        (lambda file: file.write_bytes(b"\x05" + bytes(90)), "version 5"),
        (
            lambda file: file.write_bytes(file.read_bytes().replace(b"WhisperSpec", b"MarianSpecs")),
            "another kind",
        ),
    ],
    ids=["empty", "transformers", "no tokenizer", "cut off", "old", "another model"],
)
async def test_a_wrong_folder_is_named_for_what_it_lacks(
    tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    folder = Path(shutil.copytree(made(), tmp_path / "model"))
    spoil(folder / "model.bin")
    model = ModelRef("m", "transcribe", f"file://{folder}", folder)
    assert FasterWhisper.estimate(model, FasterWhisper.Options(), GpuShare()) is None
    engine = FasterWhisper(model, FasterWhisper.Options(), GpuShare())
    with pytest.raises(EngineFailed) as failed:
        await engine.load(lambda *_: None)
    assert said in failed.value.message
    assert str(tmp_path) not in failed.value.message
    assert not await engine.healthy()
