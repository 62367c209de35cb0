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
    card = GpuShare(0.5, "nvidia", 8 * 2**30)
    assert Vllm.estimate(ref, Vllm.Options(), card) == Memory(4096, 100 * 128, 3 * 2**28)
    assert Vllm.estimate(ref, Vllm.Options(headroom=0.25), card).overhead == 2 * 2**30
    two = GpuShare(2, "nvidia", 80 * 2**30)
    assert Vllm.estimate(ref, Vllm.Options(), two).overhead == pytest.approx(2 * 0.08 * 80 * 2**30, abs=2)


def test_weights_count_as_they_are_loaded(tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors", 4096)
    assert weights.weights_bytes(tmp_path, 4) == 8192
    ref = ModelRef("m", "chat", "file://", tmp_path)
    assert Vllm.estimate(ref, Vllm.Options(dtype="float32"), GpuShare()) == Memory(8192)
    # Made smaller on loading: unknown, but where the files are that small already.
    assert Vllm.estimate(ref, Vllm.Options(quantization="fp8"), GpuShare()) is None
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "awq"}}))
    assert Vllm.estimate(ref, Vllm.Options(quantization="awq"), GpuShare()) == Memory(4096)


@pytest.mark.parametrize(
    ("config", "numbers"),
    [
        ({"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 10}, 32 * (100 + 10)),
        ({"layer_types": ["linear_attention", "full_attention"]}, 32 * 100),
        ({"sliding_window": 10}, 2 * 32 * 10),
        ({"sliding_window": 10, "use_sliding_window": False}, 2 * 32 * 100),
        ({"kv_lora_rank": 6, "qk_rope_head_dim": 2}, 2 * 8 * 100),
        ({"num_hidden_layers": None}, 0),
    ],
)
def test_what_each_kind_of_attention_keeps(tmp_path: Path, config: dict[str, object], numbers: int) -> None:
    shape = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 1, "hidden_size": 64}
    (tmp_path / "config.json").write_text(json.dumps({**shape, **config}))
    assert weights.cache_bytes(tmp_path, 100) == 2 * numbers
    assert weights.cache_bytes(tmp_path, 100, 1) == numbers
    safetensors(tmp_path / "model.safetensors", 4096)
    small = Vllm.Options(max_model_len=100, extra={"kv_cache_dtype": "fp8_e5m2"})
    assert Vllm.estimate(ModelRef("m", "chat", "", tmp_path), small, GpuShare()) == Memory(4096, numbers)
