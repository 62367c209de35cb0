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


def weights_bytes(folder: Path, width: int | None = None) -> int:
    """Bytes of all tensors in `*.safetensors`; of the files themselves where there are only others.

    `width`: bytes of a floating number once loaded, whatever the file has; of what is quantised nothing
    changes. Raises InvalidRequest (`param="source"`) for a file that is no safetensors.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        others = (*folder.glob("*.bin"), *folder.glob("*.gguf"), *folder.glob("*.pt"))
        return sum(file.stat().st_size for file in others)
    return sum(_tensors_bytes(file, width) for file in files)


def quantised(folder: Path) -> bool:
    """Whether the files hold weights of fewer bits, as their config says."""
    return "quantization_config" in _config(folder) or any(folder.glob("*.gguf"))


def cache_bytes(folder: Path, tokens: int, width: int = 2) -> int:
    """Keys and values of one answer of so many tokens, in `width` bytes a number; 0 where the config does
    not say. Layers that look back a part of the way keep no more, and those without attention nothing."""
    config = _config(folder)
    layers, heads = config.get("num_hidden_layers"), config.get("num_attention_heads")
    if not layers or not heads:
        return 0
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    near = min(tokens, window or tokens)
    kept = {"full_attention": tokens, "sliding_attention": near, "chunked_attention": tokens}
    types = config.get("layer_types") or [""] * layers
    # An attention of compressed keys and values keeps those alone, for all heads together.
    if latent := config.get("kv_lora_rank"):
        numbers = latent + config.get("qk_rope_head_dim", 0)
    else:
        head = config.get("head_dim") or config.get("hidden_size", 0) // heads
        numbers = 2 * (config.get("num_key_value_heads") or heads) * head
    return int(sum(kept.get(kind, 0) if kind else near for kind in types) * numbers * width)


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


# Bytes of a number in each type that loading may convert.
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def _tensors_bytes(file: Path, width: int | None) -> int:
    try:
        with file.open("rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(size, MOST_HEADER)))
        return sum(_tensor(tensor, width) for name, tensor in header.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error):
        raise InvalidRequest("a weights file of the source is no safetensors", param="source") from None


def _tensor(told: dict[str, Any], width: int | None) -> int:
    begin, end = told["data_offsets"]
    size = int(end) - int(begin)
    stored = _FLOATS.get(told.get("dtype", ""))
    return size * width // stored if width and stored else size
