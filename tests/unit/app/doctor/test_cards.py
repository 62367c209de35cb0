"""Cards of each vendor: one that works, and what keeps it from working."""

from typing import Any

import pytest

from app.doctor import examined

from .tree import GIB, Change, Tree, fleet, said

NVIDIA = {"vendor": "nvidia", "gpus": 1, "vram": "8Gi"}
AMD = {"vendor": "amd", "gpus": 1, "vram": "96Gi"}
INTEL = {"vendor": "intel", "gpus": 1}
CARDS: dict[str, tuple[dict[str, Any], Change, str, str, str]] = {
    "nvidia: fewer cards": (
        {**NVIDIA, "gpus": 2},
        lambda tree: None,
        "wrong",
        "the fleet says 2 of NVIDIA's on here, this machine has 1",
        "in the fleet, `gpus: 1`",
    ),
    "nvidia: hidden": (
        NVIDIA,
        lambda tree: tree.environment.update(CUDA_VISIBLE_DEVICES=""),
        "wrong",
        "CUDA_VISIBLE_DEVICES is set and names no card",
        "unset CUDA_VISIBLE_DEVICES",
    ),
    "nvidia: nouveau": (
        NVIDIA,
        lambda tree: (tree.remove("/proc/driver/nvidia/version"), tree.card("0x10de", "nouveau")),
        "wrong",
        "the kernel runs the card with nouveau",
        "sudo apt install nvidia-driver",
    ),
    "nvidia: module not loaded": (
        NVIDIA,
        lambda tree: tree.remove("/proc/driver/nvidia/version"),
        "wrong",
        "the kernel has no driver for the card",
        "sudo modprobe nvidia",
    ),
    "nvidia: no library": (
        NVIDIA,
        lambda tree: (
            tree.remove("/usr/lib/x86_64-linux-gnu/libcuda.so.1"),
            tree.write("/etc/os-release", 'ID=pop\nID_LIKE="ubuntu debian"\n'),
        ),
        "wrong",
        "libcuda.so.1, the driver's library, is not here",
        "sudo ubuntu-drivers install",
    ),
    "nvidia: updated, not restarted": (
        NVIDIA,
        lambda tree: tree.nvidia(library="580.1.2"),
        "wrong",
        "still runs the driver 570.86.15, and libcuda is 580.1.2",
        "sudo reboot",
    ),
    "nvidia: no files": (
        NVIDIA,
        lambda tree: tree.remove("/dev/nvidia-uvm"),
        "wrong",
        "/dev/nvidia-uvm is missing",
        "sudo nvidia-modprobe -u -c=0",
    ),
    "nvidia: a container without them": (
        NVIDIA,
        lambda tree: (tree.remove("/dev/nvidia0"), tree.remove("/dev/nvidiactl"), tree.write("/.dockerenv")),
        "wrong",
        "/dev/nvidiactl, /dev/nvidia0 are missing",
        "docker run --gpus all (or -f deploy/compose/cuda.yaml with docker compose)",
    ),
    "nvidia: nvidia-smi fails": (
        NVIDIA,
        lambda tree: tree.program("/bin/nvidia-smi", "echo 'Unable to determine the device handle'; exit 9"),
        "wrong",
        "nvidia-smi fails: Unable to determine the device handle",
        "sudo dmesg | grep -i nvrm",
    ),
    "nvidia: no nvidia-smi": (
        NVIDIA,
        lambda tree: tree.remove("/bin/nvidia-smi"),
        "warning",
        "nvidia-smi is not on PATH",
        "sudo apt install nvidia-smi",
    ),
    "nvidia: less memory": (
        {**NVIDIA, "vram": "12Gi"},
        lambda tree: None,
        "warning",
        "here has cards of 12Gi in the fleet, and this machine's have 8.0 GiB",
        "in the fleet, `vram: 8192Mi`",
    ),
    "amd: no cards": (
        AMD,
        lambda tree: tree.write("/sys/bus/pci/devices/0000:01:00.0/vendor", "0x1234"),
        "wrong",
        "the fleet says 1 of AMD's on here, this machine has 0",
        "in the fleet, place models elsewhere than on here",
    ),
    "amd: no driver": (
        AMD,
        lambda tree: tree.remove("/sys/bus/pci/devices/0000:01:00.0/driver"),
        "wrong",
        "the kernel has no driver for the card 0000:01:00.0",
        "sudo modprobe amdgpu",
    ),
    "amd: given to a virtual machine": (
        AMD,
        lambda tree: tree.card("0x1002", "vfio-pci"),
        "wrong",
        "to vfio-pci, not to amdgpu",
        "echo 0000:01:00.0 | sudo tee /sys/bus/pci/drivers/vfio-pci/unbind && sudo modprobe amdgpu",
    ),
    "amd: no /dev/kfd": (
        AMD,
        lambda tree: (tree.remove("/dev/kfd"), tree.write("/.dockerenv")),
        "wrong",
        "/dev/kfd is missing",
        "docker run --device /dev/kfd --device /dev/dri",
    ),
    "amd: not of the group": (
        AMD,
        lambda tree: tree.stranger(),
        "wrong",
        "may not use /dev/kfd, /dev/dri/renderD128: the group render may",
        'sudo usermod -aG render "$USER"',
    ),
    "amd: not of the group, in a container": (
        AMD,
        lambda tree: (tree.stranger(), tree.write("/.dockerenv")),
        "wrong",
        "the group render may",
        "docker run --group-add render",
    ),
    "amd: an empty override": (
        AMD,
        lambda tree: tree.environment.update(HSA_OVERRIDE_GFX_VERSION=""),
        "wrong",
        "is set and empty",
        "unset HSA_OVERRIDE_GFX_VERSION",
    ),
    "amd: a chip that ROCm has no kernels for": (
        AMD,
        lambda tree: tree.amd(chip=100305),
        "warning",
        "no kernels for gfx1035",
        "export HSA_OVERRIDE_GFX_VERSION=10.3.0",
    ),
    "amd: less memory": (
        AMD,
        lambda tree: tree.amd(vram=64 * GIB),
        "warning",
        "cards of 96Gi in the fleet, and this machine's have 64.0 GiB",
        "in the fleet, `vram: 65536Mi`",
    ),
    "intel: no driver": (
        INTEL,
        lambda tree: tree.remove("/sys/bus/pci/devices/0000:01:00.0/driver"),
        "wrong",
        "no driver for the card",
        "sudo modprobe xe",
    ),
    "intel: no Level Zero": (
        INTEL,
        lambda tree: tree.remove("/usr/lib/x86_64-linux-gnu/libze_intel_gpu.so.1"),
        "wrong",
        "libze_intel_gpu.so.1 not found",
        "sudo apt install libze-intel-gpu1",
    ),
    "intel: no file": (
        INTEL,
        lambda tree: tree.remove("/dev/dri/renderD128"),
        "wrong",
        "/dev/dri/renderD128 is missing",
        "sudo modprobe xe",
    ),
    "intel: hidden": (
        INTEL,
        lambda tree: tree.environment.update(ZE_AFFINITY_MASK=""),
        "wrong",
        "ZE_AFFINITY_MASK is set",
        "unset ZE_AFFINITY_MASK",
    ),
}


@pytest.mark.parametrize("case", CARDS)
def test_a_card_and_what_keeps_it_from_working(case: str, tree: Tree) -> None:
    node, change, state, message, fix = CARDS[case]
    vendor = case.partition(":")[0]
    getattr(tree, vendor)()
    assert (
        said(tree, vendor, fleet(**{**node, "gpus": 1, **({"vram": "8Gi"} if vendor == "nvidia" else {})}))
        == []
    )
    change(tree)
    (one,) = said(tree, vendor, fleet(**node))
    assert (one.state, one.fix) == (state, fix)
    assert message in one.message


def test_of_cards_that_no_fleet_asks_for_one_is_only_told(tree: Tree) -> None:
    tree.card("0x8086", "")
    assert {one.state for one in said(tree, "intel")} == {"warning"}
    assert said(tree, "intel", fleet()) == []  # this machine's node has none


def test_a_card_among_others(tree: Tree) -> None:
    """A container of its own, on a machine with more; a small one of the processor's that nobody drives."""
    tree.nvidia()
    tree.card("0x10de", "nvidia", address="0000:02:00.0")
    tree.remove("/dev/nvidia0")
    tree.write("/dev/nvidia1")
    assert said(tree, "nvidia", fleet(**NVIDIA)) == []
    (one,) = said(tree, "nvidia", fleet(**{**NVIDIA, "gpus": 2}))  # on the bus, but not in nvidia-smi
    assert one.fix == "in the fleet, `gpus: 1`"
    tree.amd()
    tree.card("0x1002", "vfio-pci", address="0000:03:00.0")
    tree.card("0x1002", "amdgpu", "renderD129", address="0000:04:00.0")
    tree.remove("/dev/dri/renderD129")
    assert said(tree, "amd", fleet(**AMD)) == []
    assert len(said(tree, "amd", fleet(**{**AMD, "gpus": 3}))) == 2


def test_good_news_of_cards(tree: Tree) -> None:
    def news(about: str, node: dict[str, Any]) -> str:
        (one,) = [one for one in examined(tree.machine, fleet(**node), "here") if one.about == about]
        assert one.state == "ok"
        return one.message

    tree.nvidia()
    assert news("nvidia", NVIDIA) == "NVIDIA GeForce RTX 2070 (8.0 GiB); driver 570.86.15"
    tree.amd()
    assert news("amd", AMD) == "gfx1151; driver amdgpu, 96.0 GiB"
    tree.intel()
    assert news("intel", INTEL) == "Intel 0000:01:00.0; driver xe"


def test_torch_is_built_for_the_card(tree: Tree) -> None:
    tree.amd()
    tree.package("torch", "2.13.0")
    tree.package("faster-whisper", "1.3.0")
    model = {
        "task": "transcribe",
        "engine": "whisper",
        "source": "hf://org/name@main",
        "place": {"node": "here", "share": 0.5},
    }
    version = "cuda: Optional[str] = {cuda}\nhip: Optional[str] = {hip}\nxpu: Optional[str] = None\n"
    tree.write("/site/torch/version.py", version.format(cuda="'13.0'", hip=None))
    (one,) = said(tree, "torch", fleet(model, **AMD))
    assert one.message == "torch 2.13.0 is built for NVIDIA, whisper has AMD's cards"
    assert one.fix.endswith(" torch")
    tree.write("/site/torch/version.py", version.format(cuda=None, hip="'7.1'"))
    assert said(tree, "torch", fleet(model, **AMD)) == []
