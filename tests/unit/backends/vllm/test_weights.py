"""The size of a checkpoint from what it says about itself."""

import json
import struct
from pathlib import Path

import pytest

from backends.contract.engine import GpuShare, Memory, ModelRef
from backends.contract.errors import InvalidRequest
from backends.engines.vllm import Vllm
from backends.vllm import weights


def safetensors(file: Path, *sizes: int) -> None:
    """Headers alone: the tensors themselves are never read."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for number, size in enumerate(sizes):
        header[f"t{number}"] = {"dtype": "BF16", "shape": [size // 2], "data_offsets": [at, at + size]}  # type: ignore[dict-item]
        at += size
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text)


def test_tensors_of_all_files_count(tmp_path: Path) -> None:
    safetensors(tmp_path / "model-1.safetensors", 1000, 500)
    safetensors(tmp_path / "model-2.safetensors", 24)
    assert weights.weights_bytes(tmp_path) == 1524


def test_other_formats_count_by_their_files(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(77))
    assert weights.weights_bytes(tmp_path) == 77


@pytest.mark.parametrize(
    "content", [b"", b"short", b"\xff" * 40, struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 8) + b'{"a":{}}']
)
def test_what_is_no_safetensors_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InvalidRequest) as refused:
        weights.weights_bytes(tmp_path)
    assert refused.value.param == "source"


def test_the_estimate(tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors", 4096)
    shape = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 1, "hidden_size": 64}
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 100, "text_config": shape}))
    ref = ModelRef("m", "chat", "file://", tmp_path)
    # 2 layers × 1 head × 16 components × (key and value) × 2 bytes
    assert Vllm.estimate(ref, Vllm.Options(), GpuShare()) == Memory(4096, 100 * 128)
    assert Vllm.estimate(ref, Vllm.Options(max_model_len=50), GpuShare()).working == 50 * 128
    assert Vllm.estimate(ref, Vllm.Options(kv_cache_memory_bytes=2**20), GpuShare()).working == 2**20
