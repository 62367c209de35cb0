"""Which device torch computes on, held to its share: for every engine on torch in this process."""

from backends.contract.engine import GpuShare
from backends.contract.errors import EngineFailed


def name(share: GpuShare) -> str:
    """As torch names it: ROCm goes by the name of CUDA. Without importing torch."""
    if not share.share:
        return "cpu"
    return {"nvidia": "cuda", "amd": "cuda", "intel": "xpu", "cpu": "cpu"}[share.vendor]


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
