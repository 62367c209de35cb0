"""What processes have of memory and of cards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backends import footprint

AMD = """\
pos:\t0
drm-driver:\tamdgpu
drm-client-id:\t7
drm-pdev:\t0000:0b:00.0
drm-memory-vram:\t1024 KiB
drm-total-vram:\t4096 KiB
drm-resident-vram:\t2048 KiB
drm-memory-gtt: \t512 KiB
drm-memory-cpu: \t9999 KiB
drm-engine-gfx:\t25662044495 ns
"""
INTEL = """\
drm-driver:\txe
drm-client-id:\t3
drm-pdev:\t0000:03:00.0
drm-total-system:\t0
drm-total-vram0:\t23 MiB
drm-resident-vram0:\t16 MiB
drm-total-gtt:\t192
"""


def opened(proc: Path, pid: int, **files: str) -> None:
    (proc / str(pid) / "fdinfo").mkdir(parents=True)
    for name, text in files.items():
        (proc / str(pid) / "fdinfo" / name).write_text(text)


@pytest.mark.parametrize(("told", "size"), [(AMD, 2048 * 1024 + 512 * 1024), (INTEL, 16 * 2**20 + 192)])
def test_the_kernel_counts_a_client_once(tmp_path: Path, told: str, size: int) -> None:
    """Though it is open twice, and in a child, too."""
    opened(tmp_path, 1, a=told, b=told, c="pos:\t0\nflags:\t02\n")
    opened(tmp_path, 2, a=told)
    assert footprint.by_kernel([1, 2, 3], tmp_path) == size
    opened(tmp_path, 4, other=told.replace("drm-client-id:\t", "drm-client-id:\t1"))
    assert footprint.by_kernel([1, 2, 4], tmp_path) == 2 * size


def test_without_a_card_nobody_can_tell(tmp_path: Path) -> None:
    opened(tmp_path, 1, a="pos:\t0\n")
    assert footprint.by_kernel([1], tmp_path) is None
    assert footprint.vram([os.getpid()], "cpu") is None


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells proportional sizes")
def test_children_count() -> None:
    alone = footprint.ram(footprint.family(os.getpid()))
    holding = "held = bytearray(b'x') * 90_000_000; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        together = footprint.ram(footprint.family(os.getpid()))
        assert alone is not None
        assert together is not None
        assert 80_000_000 < together - alone < 200_000_000
        child.communicate(b"\n")
    assert footprint.family(child.pid) == []
    assert footprint.ram([]) is None
