"""The machine as its files tell of it: a root folder, an environment, folders of packages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path

# What of Linux tells that a process lives in a container.
_BOXES = ("/.dockerenv", "/run/.containerenv")
PATIENCE_S = 20


@dataclass(frozen=True)
class Machine:
    """`root`: where `/proc`, `/sys`, `/dev` and the like are; `packages`: where Python finds packages;
    `here`: the folder of `.env`; `spaces`: bytes that are free at a path, where the file system is not to be
    asked."""

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    packages: Sequence[str] = field(default_factory=lambda: tuple(sys.path))
    here: Path = Path()
    spaces: Mapping[str, int] = field(default_factory=dict)

    def at(self, path: str) -> Path:
        """Where a path from the root lies."""
        return self.root / path.lstrip("/")

    def text(self, path: str | Path) -> str:
        """Of a small file; empty where it cannot be read."""
        try:
            return (self.at(path) if isinstance(path, str) else path).read_text(errors="replace").strip()
        except OSError:
            return ""

    def within(self, path: str | Path) -> list[Path]:
        """What lies in a folder, by name; nothing where there is none."""
        try:
            return sorted((self.at(path) if isinstance(path, str) else path).iterdir())
        except OSError:
            return []

    def there(self, path: str) -> bool:
        return self.at(path).exists()

    def link(self, path: Path) -> str:
        """The name that a link leads to; empty where there is none."""
        try:
            return os.path.basename(os.readlink(path))
        except OSError:
            return ""

    def free(self, path: str | Path) -> int | None:
        """Bytes, on the file system of a path (a text: from the root); None where nobody can say."""
        if str(path) in self.spaces:
            return self.spaces[str(path)]
        try:
            return shutil.disk_usage(self.nearest(path)).free
        except OSError:
            return None

    def nearest(self, path: str | Path) -> Path:
        """A path, or the nearest folder above it that is there."""
        where = self.at(path) if isinstance(path, str) else path.absolute()
        return next((one for one in (where, *where.parents) if one.exists()), where)

    def version(self, package: str) -> str | None:
        """Of an installed package; None where it is missing."""
        found = self.package(package)
        return found.version if found else None

    def package(self, name: str) -> Distribution | None:
        return next(iter(Distribution.discover(name=name, path=list(self.packages))), None)

    def program(self, name: str) -> str | None:
        return shutil.which(name, path=self.environment.get("PATH", os.defpath))

    def said(self, *command: str) -> tuple[bool, str]:
        """Whether a program succeeded, and what it printed."""
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        except subprocess.TimeoutExpired:
            return False, f"no answer within {PATIENCE_S} s"
        except OSError as error:
            return False, error.strerror or "it cannot be run"
        return ran.returncode == 0, (ran.stdout.strip() or ran.stderr.strip())

    @property
    def linux(self) -> bool:
        return self.there("/proc/self/status")

    @property
    def boxed(self) -> bool:
        """In a container."""
        return any(map(self.there, _BOXES)) or "KUBERNETES_SERVICE_HOST" in self.environment

    @property
    def system(self) -> str:
        """Which family of distributions this is of; empty where that is not known."""
        told = dict(line.partition("=")[::2] for line in self.text("/etc/os-release").splitlines())
        words = [told.get("ID", "").strip('"'), *told.get("ID_LIKE", "").strip('"').split()]
        return next((word for word in words if word in ("ubuntu", "debian", "fedora", "arch")), "")

    def status(self) -> dict[str, str]:
        """What the kernel says of this process."""
        lines = (line.partition(":") for line in self.text("/proc/self/status").splitlines())
        return {name: value.strip() for name, _, value in lines}

    def may_use(self, path: Path) -> bool:
        """Whether this process may read and write a file, by its owner, group and mode."""
        told = self.status()
        if not told:
            return os.access(path, os.R_OK | os.W_OK)
        user, groups = _numbers(told, "Uid")[1:2], _numbers(told, "Gid")[1:2] + _numbers(told, "Groups")
        if user == [0]:
            return True
        found = path.stat()
        if found.st_uid in user:
            return found.st_mode & 0o600 == 0o600
        if found.st_gid in groups:
            return found.st_mode & 0o060 == 0o060
        return found.st_mode & 0o006 == 0o006

    def group(self, number: int) -> str:
        """Its name, or the number where it has none here."""
        for line in self.text("/etc/group").splitlines():
            name, _, rest = line.partition(":")
            if rest.split(":")[1:2] == [str(number)]:
                return name
        return str(number)

    def limits(self, file: str, controller: str, old: str) -> Iterator[str]:
        """What the cgroups of this process, and those above, say in a file. `controller`, `old`: where that
        is in the first version of cgroups."""
        for line in self.text("/proc/self/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            top, name = (f"/sys/fs/cgroup/{controller}", old) if controllers else ("/sys/fs/cgroup", file)
            parts = [part for part in path.split("/") if part]
            for depth in range(len(parts), -1, -1):
                if told := self.text("/".join((top, *parts[:depth], name))):
                    yield told


def _numbers(told: Mapping[str, str], name: str) -> list[int]:
    return [int(word) for word in told.get(name, "").split()]


def gib(count: float) -> str:
    """Bytes, for people; in MiB below one GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
