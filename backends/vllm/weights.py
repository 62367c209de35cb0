"""How large a checkpoint is, from what it says about itself: no weights are read.

A safetensors file begins with the length of its header (8 bytes, little-endian) and the header, a
JSON object of tensors with their extent in bytes.
"""

import json
import struct
from pathlib import Path
from typing import Any

from backends.contract.errors import InvalidRequest

MOST_HEADER = 100 * 2**20  # the format's own limit


def weights_bytes(folder: Path) -> int:
    """Bytes of all tensors in `*.safetensors`; of the files themselves where there are only others.

    Raises InvalidRequest (`param="source"`) for a file that is no safetensors.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        others = (*folder.glob("*.bin"), *folder.glob("*.gguf"), *folder.glob("*.pt"))
        return sum(file.stat().st_size for file in others)
    return sum(_tensors_bytes(file) for file in files)


def cache_bytes_per_token(folder: Path) -> int:
    """Keys and values of one token in all layers, in 16 bits; 0 where the config does not say."""
    config = _config(folder)
    layers, heads = config.get("num_hidden_layers"), config.get("num_attention_heads")
    if not layers or not heads:
        return 0
    kv_heads = config.get("num_key_value_heads") or heads
    head = config.get("head_dim") or config.get("hidden_size", 0) // heads
    return int(2 * layers * kv_heads * head * 2)


def window(folder: Path) -> int | None:
    """The longest context the config declares, in tokens."""
    declared = _config(folder).get("max_position_embeddings")
    return int(declared) if declared else None


def vocabulary(folder: Path) -> int | None:
    """How many tokens the config declares; ids are below it."""
    declared = _config(folder).get("vocab_size")
    return int(declared) if declared else None


def kind(folder: Path) -> str:
    """What the config calls its architecture, such as `qwen3`."""
    return str(_config(folder).get("model_type") or "")


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    # Models that also see or hear keep their language half's shape one level down.
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else config


def _tensors_bytes(file: Path) -> int:
    try:
        with file.open("rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(size, MOST_HEADER)))
        return sum(
            int(tensor["data_offsets"][1]) - int(tensor["data_offsets"][0])
            for name, tensor in header.items()
            if name != "__metadata__"
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error):
        raise InvalidRequest("a weights file of the source is no safetensors", param="source") from None
