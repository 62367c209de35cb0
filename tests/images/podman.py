"""Podman, driven as a person would: stand-in bases, builds, and a container from start to SIGTERM.

No registry of images is asked. What a build needs of this machine is taken from the environment: PIP_CERT and
PIP_INDEX_URL as pip knows them, and DEBIAN_MIRROR.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BASE, VENDOR = "localhost/motley-test-base:bookworm", "localhost/motley-test-vendor:bookworm"
# Debian's; the targets' own default is that of the vendors' images.
PYTHON = "3.11"
KEY = "mk-of-a-test"
PLENTY = 16_384  # of files and of processes


def why_not() -> str:
    """Why images cannot be built here; empty where they can."""
    missing = [tool for tool in ("podman", "runc", "mmdebstrap") if shutil.which(tool) is None]
    if sys.platform != "linux" or missing:
        return f"needs Linux with {', '.join(missing or ['podman'])}"
    return "" if os.geteuid() == 0 else "needs root: builds are isolated by chroot alone"


def podman(*arguments: str, within: float = 120, given: str | None = None) -> str:
    """What it printed. Raises RuntimeError, with all that it printed, where it fails."""
    done = subprocess.run(
        ["podman", *arguments],
        cwd=ROOT, text=True, timeout=within, check=False, input=given,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"podman {' '.join(arguments[:2])} … gave {done.returncode}:\n{done.stdout}")
    return done.stdout.strip()


def make_bases(folder: Path) -> None:
    """Debian with its Python; and the same with a torch and a vLLM that are nothing but names."""
    if not _there(BASE):
        mirror = filter(None, [os.environ.get("DEBIAN_MIRROR")])
        tar = folder / "base.tar"
        packages = "--include=python3,python3-venv,ca-certificates"
        made = ["mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", tar, *mirror]
        subprocess.run(made, check=True)
        podman("import", "--quiet", str(tar), BASE)
        tar.unlink()
    if not _there(VENDOR):
        lines = [f"FROM {BASE}"]
        for name in ("torch", "vllm"):
            at = f"/usr/local/lib/python{PYTHON}/dist-packages/{name}"
            lines.append(f"RUN mkdir -p {at} && echo \"__version__ = 'stand-in'\" > {at}/__init__.py")
        (folder / "Vendor").write_text("\n".join(lines))
        isolated = ("build", "--quiet", "--isolation=chroot", "--network=host")
        podman(*isolated, "-f", str(folder / "Vendor"), "-t", VENDOR, str(folder))


def build(target: str, folder: Path) -> str:
    """The image's name. What a GPU's target installs beside the door, torch's gigabytes, is left out."""
    pip = folder / "pip.conf"
    certificate, index = os.environ.get("PIP_CERT"), os.environ.get("PIP_INDEX_URL")
    told = {"cert": certificate and "/run/certificates.pem", "index-url": index}
    pip.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in told.items() if value))
    mounts = ["--volume", f"{pip}:/etc/pip.conf:ro"]
    if certificate:
        mounts += ["--volume", f"{certificate}:/run/certificates.pem:ro"]
    given = {
        "PYTHON": PYTHON, "PYTHON_BASE": BASE, "GPU_EXTRAS": "none", "XTTS_EXTRAS": "none",
        **{f"{vendor}_BASE": VENDOR for vendor in ("CUDA", "ROCM", "XPU")},
    }  # fmt: skip
    arguments = [part for name, value in given.items() for part in ("--build-arg", f"{name}={value}")]
    name = f"localhost/motley-test:{target}"
    # HEALTHCHECK is no part of OCI's format.
    podman(
        "build", "--quiet", "--isolation=chroot", "--network=host", "--format=docker", *mounts, *arguments,
        "--target", target, "--tag", name, ".", within=3600,
    )  # fmt: skip
    return name


def config(image: str) -> dict[str, Any]:
    """What the image says of itself: User, Env, Entrypoint, Healthcheck, Labels …"""
    told: dict[str, Any] = json.loads(podman("inspect", "--type=image", image))[0]
    return {**told["Config"], "Healthcheck": told.get("Healthcheck")}


def restricted() -> list[str]:
    """As the restricted pod security has it, with a read-only root and nobody to speak to."""
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    # Podman asks for more than this process may give.
    kept = [f"--ulimit={name}={_most(number)}:{_most(number)}" for name, number in limits.items()]
    return [
        "--runtime=runc", "--no-healthcheck", "--network=none", "--read-only", "--read-only-tmpfs=false",
        "--tmpfs=/tmp:rw,mode=1777", "--shm-size=1g", "--cap-drop=all", "--security-opt=no-new-privileges",
        *kept,
    ]  # fmt: skip


def once(image: str, *command: str, entrypoint: str | None = None, within: float = 120) -> str:
    """What a container of its own for one command prints. Raises RuntimeError."""
    entry = ["--entrypoint", entrypoint] if entrypoint else []
    return podman("run", "--rm", *restricted(), *entry, image, *command, within=within)


class Container:
    """One that serves `fleet` by the image's own command. Up once constructed, within `within` seconds."""

    def __init__(self, image: str, fleet: Path, within: float = 240) -> None:
        self.name = f"motley-test-{os.getpid()}-{image.rpartition(':')[2]}"
        podman(
            "run", "--detach", "--name", self.name, *restricted(),
            "--volume", f"{self.name}:/cache", "--volume", f"{fleet}:/etc/motley/fleet.yaml:ro",
            "--env", f"MOTLEY_API_KEYS={KEY}", image,
        )  # fmt: skip
        try:
            self._until("Ctrl-C stops", within)
        except BaseException:
            self.remove()
            raise

    def _until(self, said: str, within: float) -> None:
        deadline = time.monotonic() + within
        while said not in self.logs():
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"it did not come up:\n{self.logs()}")
            time.sleep(0.5)

    @property
    def running(self) -> bool:
        return podman("inspect", "--format={{.State.Running}}", self.name) == "true"

    def logs(self) -> str:
        return podman("logs", self.name)

    def inside(self, *command: str, given: str | None = None) -> str:
        """What a command in it prints. Raises RuntimeError."""
        return podman("exec", "--interactive", self.name, *command, given=given)

    def beside(self, *command: str) -> subprocess.Popen[str]:
        """A command in it that goes on meanwhile."""
        return subprocess.Popen(["podman", "exec", self.name, *command], stdout=subprocess.PIPE, text=True)

    def remove(self) -> None:
        podman("rm", "--force", "--time=5", self.name)
        podman("volume", "rm", "--force", self.name)


def _there(image: str) -> bool:
    return subprocess.run(["podman", "image", "exists", image], check=False).returncode == 0


def _most(number: int) -> int:
    hard = resource.getrlimit(number)[1]
    return PLENTY if hard == resource.RLIM_INFINITY else min(hard, PLENTY)
