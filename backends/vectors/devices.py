"""In which numbers torch computes on a device, and what it keeps of its memory."""

from typing import Any, Literal

import torch

from backends.contract.engine import GpuShare
from backends.contract.errors import EngineFailed

Dtype = Literal["float32", "bfloat16", "float16"]


def dtype(device: str, wanted: Dtype | None) -> Dtype:
    """What is wanted, or what the device does best: 32 bits on a CPU, where 16 would change every vector
    unasked; on a card bfloat16 where it has it, else float16. Raises EngineFailed for what it cannot."""
    if device == "cpu":
        return wanted or "float32"
    # Not where it would only be emulated.
    able = getattr(torch, device).is_bf16_supported(including_emulation=False)
    if wanted == "bfloat16" and not able:
        raise EngineFailed("the card has no bfloat16: choose float16 or float32")
    return wanted or ("bfloat16" if able else "float16")


def shown(device: str) -> str:
    """`CPU`, `CUDA`, `ROCm`, `XPU`."""
    return "ROCm" if device == "cuda" and getattr(torch.version, "hip", None) else device.upper()


class Cache:
    """Torch keeps the memory of every shape of batch that was, for the next of that shape; with texts of
    every length that creeps up to whatever there is. It is given back when much of it lies idle."""

    def __init__(self, device: str, share: GpuShare) -> None:
        self._cards: Any = None if device == "cpu" else getattr(torch, device)
        self._idle = int(min(share.share, 1) * share.vram) // 4 or 1 << 30

    def trim(self) -> None:
        cards = self._cards
        if cards is not None and cards.memory_reserved() - cards.memory_allocated() > self._idle:
            cards.empty_cache()
