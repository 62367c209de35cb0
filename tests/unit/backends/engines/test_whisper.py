"""What the engine on torch knows without torch; the rest is in tests/torch."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import EngineFailed
from backends.engines.whisper import Whisper

CONFIG: dict[str, Any] = {"model_type": "whisper", "d_model": 64, "decoder_layers": 2, "vocab_size": 51_865}


def model(folder: Path, **changed: Any) -> ModelRef:
    """A checkpoint of nothing but what is read before loading."""
    header = json.dumps({"weight": {"dtype": "F16", "shape": [500], "data_offsets": [0, 1000]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(1000))
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changed}))
    for name in ("generation_config.json", "preprocessor_config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    return ModelRef("stt", "transcribe", "file:///model", folder)


def test_memory_is_estimated_from_the_files(tmp_path: Path) -> None:
    ref = model(tmp_path)
    one, three = (Whisper.estimate(ref, Whisper.Options(batch=n), GpuShare(0.5, "amd")) for n in (1, 3))
    assert one.weights == three.weights == 1000
    assert three.working == 3 * one.working > 0
    on_cpu = Whisper.estimate(ref, Whisper.Options(), GpuShare())
    assert on_cpu.weights == 2000, "32 bits, not 16"
    assert on_cpu.working > one.working
    assert Whisper.estimate(ModelRef("stt", "transcribe", ""), Whisper.Options(), GpuShare()) is None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("config.json", "no config.json"),
        ("tokenizer.json", "no tokenizer.json"),
        ("model.safetensors", "no *.safetensors"),
    ],
)
async def test_what_a_folder_lacks_is_named(tmp_path: Path, spoil: str, said: str) -> None:
    ref = model(tmp_path)
    (tmp_path / spoil).unlink()
    assert said in await refusal(ref)


async def test_another_kind_of_model_is_named(tmp_path: Path) -> None:
    assert "another kind" in await refusal(model(tmp_path, model_type="bart"))
    assert "not a Whisper's" in await refusal(model(tmp_path, d_model=None))
    (tmp_path / "model.bin").touch()
    assert "faster-whisper" in await refusal(model(tmp_path))
    assert "folder" in await refusal(ModelRef("stt", "transcribe", "builtin://whisper"))


async def refusal(ref: ModelRef) -> str:
    with pytest.raises(EngineFailed) as failed:
        await Whisper(ref, Whisper.Options(), GpuShare()).load(lambda *_: None)
    return failed.value.message
