"""Which device torch computes on, held to its share: for every engine on torch in this process."""

import sys

from backends.contract.engine import GpuShare
from backends.contract.errors import EngineFailed

# Of a card: the runtime's context and the kernels that it loads. An allowance; it is 0.3 to 0.5 GB on cards
# of NVIDIA's. Of a machine: what processes of ours with torch and transformers had beside the weights, less
# than 1 GB on the CPU (tests/torch compare).
CONTEXT_BYTES, LIBRARIES_BYTES = 2**29, 1_000_000_000


def name(share: GpuShare) -> str:
    """As torch names it: ROCm goes by the name of CUDA. Without importing torch."""
    if not share.share:
        return "cpu"
    return {"nvidia": "cuda", "amd": "cuda", "intel": "xpu", "cpu": "cpu"}[share.vendor]


def overhead(share: GpuShare) -> int:
    """Bytes that torch takes beside the model: of the card, or of the machine where it computes on that."""
    return CONTEXT_BYTES if share.share else LIBRARIES_BYTES


def ready(device: str, share: float) -> None:
    """Hold a card to its share. Raises EngineFailed where torch has none."""
    if device == "cpu":
        return
    import torch

    cards = getattr(torch, device)
    if not cards.is_available():
        raise EngineFailed(f"torch sees no {device} device here: is it the build for this card?")
    # Younger than the engine's least torch for Intel's cards.
    if share < 1 and hasattr(cards, "set_per_process_memory_fraction"):
        cards.set_per_process_memory_fraction(share)


def give_back() -> None:
    """Let cards have what torch keeps of them for later, in a process that has torch."""
    torch = sys.modules.get("torch")
    for device in ("cuda", "xpu"):
        cards = getattr(torch, device, None)
        if cards is not None and cards.is_available() and cards.is_initialized():
            cards.empty_cache()
