"""How onnxruntime is to compute: its execution provider, by the vendor of the share. Pure."""

from collections.abc import Collection
from typing import NamedTuple

from backends.contract.engine import GpuShare, Vendor
from backends.contract.errors import EngineFailed

# What the provider's libraries take of a card beside the memory that is theirs to limit.
CONTEXT = 512 * 2**20

_NAMES: dict[Vendor, dict[str, str]] = {
    "cpu": {},
    "nvidia": {"CUDAExecutionProvider": "onnxruntime-gpu"},
    "amd": {"MIGraphXExecutionProvider": "onnxruntime-migraphx", "ROCMExecutionProvider": "onnxruntime-rocm"},
    "intel": {"OpenVINOExecutionProvider": "onnxruntime-openvino"},
}


class Provider(NamedTuple):
    """`shown`: for people. `limited`: whether it keeps to the share by itself."""

    name: str
    options: dict[str, str]
    shown: str
    limited: bool


def provider(
    share: GpuShare, available: Collection[str], *, threads: int = 1, openvino: bool = False
) -> Provider:
    """`openvino`: on a CPU, too. Raises EngineFailed where the installed onnxruntime has none for that."""
    on_card = share.share > 0 and share.vendor != "cpu"
    if not on_card and not openvino:
        return Provider("CPUExecutionProvider", {}, "CPU", limited=True)
    if on_card and openvino and share.vendor != "intel":
        raise EngineFailed(f"OpenVINO does not compute on a card of {share.vendor}")
    names = _NAMES[share.vendor if on_card else "intel"]
    name = next((name for name in names if name in available), None)
    if name is None:
        packages = " or ".join(names.values())
        raise EngineFailed(
            f"the installed onnxruntime has no {' nor '.join(names)}: install {packages} in its place"
        )
    shown = name.removesuffix("ExecutionProvider")
    if name == "OpenVINOExecutionProvider":
        device = "GPU" if on_card else "CPU"
        # Else it computes in 16 bits whatever the model says.
        options = {"device_type": device, "precision": "ACCURACY"}
        if not on_card:
            options["num_of_threads"] = str(threads)
        return Provider(name, options, f"{shown} {device}", limited=not on_card)
    if name == "MIGraphXExecutionProvider":
        return Provider(name, {"device_id": "0"}, shown, limited=False)
    options = {"device_id": "0", "arena_extend_strategy": "kSameAsRequested"}
    if limit := int(min(share.share, 1) * share.vram):
        options["gpu_mem_limit"] = str(max(limit - CONTEXT, limit // 2))
    return Provider(name, options, shown, limited=True)
