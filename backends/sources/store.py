"""The models that a node has fetched: one folder each, whole or not there at all.

    KEY.lock          who fetches the model holds it alone; who uses it holds it with the others
    KEY/record.json   where it came from, at which revision, the sha256 of every file
    KEY/files/…       the model
    KEY.part/…        what was brought of it so far

A lock is the kernel's, so it falls with the process that has it, in whatever manner that ends. Lock files
stay: one that was removed could be held by two.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from backends.contract.errors import SourceFailed
from backends.sizes import size_in_bytes

FOLDER, MOST = "MOTLEY_STORE", "MOTLEY_STORE_MAX"
RECORD, FILES = "record.json", "files"
MARGIN = 16 << 20  # bytes that are left free on the disk


@dataclass(frozen=True, slots=True)
class Record:
    """`revision`: the hub's commit; `size`: bytes to bring, None where nobody says; `files`: path → sha256
    (of an archive, its own)."""

    source: str
    revision: str = ""
    size: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Hold:
    """While it is open nobody removes the model."""

    path: Path
    _lock: IO[bytes] | None

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()


class Store:
    """`most`: bytes that all models together may take; None: as the disk has room."""

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self._folder, self._most = folder, most

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Store":
        """Raises SourceFailed for a size that is none."""
        cached = environment.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        folder = Path(environment.get(FOLDER) or os.path.join(cached, "motley", "models"))
        try:
            most = size_in_bytes(environment[MOST]) if environment.get(MOST) else None
        except ValueError:
            raise SourceFailed.because("unsupported", f"{MOST} is not a size like 200Gi") from None
        return cls(folder, most)

    @property
    def folder(self) -> Path:
        return self._folder

    def whole(self, key: str) -> Path | None:
        """The model's folder, where all of it is there."""
        files = self._folder / key / FILES
        return files if files.is_dir() else None

    def record(self, key: str) -> Record | None:
        """Of a model that is there, or on its way."""
        for folder in (self._folder / key, self.part(key)):
            try:
                return Record(**json.loads((folder / RECORD).read_bytes()))
            except (OSError, ValueError, TypeError):
                continue
        return None

    def part(self, key: str) -> Path:
        return self._folder / f"{key}.part"

    def brought(self, key: str) -> int:
        """Bytes of what is on its way."""
        return sum(size for _, size in _sizes(self.part(key)))

    def hold(self, key: str) -> Hold | None:
        """None while it is not whole, or being fetched. Does not wait."""
        try:
            lock = self._open(key)
        except OSError:  # in a store that is only read nothing is removed, either
            path = self.whole(key)
            return None if path is None else Hold(path, None)
        if _locked(lock, fcntl.LOCK_SH) and (path := self.whole(key)) is not None:
            with suppress(PermissionError):  # another user fetched it: only its turn to go is not known
                os.utime(path.parent)
            return Hold(path, lock)
        lock.close()
        return None

    @contextmanager
    def alone(self, key: str) -> Iterator[bool]:
        """Whether nobody else fetches or uses it, and will not until the end. Does not wait."""
        with self._open(key) as lock:
            yield _locked(lock, fcntl.LOCK_EX)

    def note(self, key: str, record: Record) -> None:
        """Beside what is on its way."""
        part = self.part(key)
        part.mkdir(parents=True, exist_ok=True)
        new = part / f"{RECORD}.new"
        new.write_text(json.dumps(asdict(record), indent=1))
        new.replace(part / RECORD)

    def finish(self, key: str, files: Path, record: Record) -> None:
        """`files` becomes the model, at once and whole. Called with the lock, as `room` is."""
        part, done = self.part(key), self.part(key) / "done"
        shutil.rmtree(done, ignore_errors=True)
        done.mkdir()
        (done / RECORD).write_text(json.dumps(asdict(record), indent=1))
        files.rename(done / FILES)
        done.rename(self._folder / key)
        shutil.rmtree(part)

    def room(self, key: str, size: int) -> None:
        """Remove what nothing uses, the longest unused first, until `size` bytes more have room.

        Raises SourceFailed where they will not have it. Nothing is removed for what cannot fit anyway.
        """
        lacking = self._lacking(size)
        if lacking <= 0:
            return
        idle = [one for one in self._unused() if one.name.removesuffix(".part") != key]
        sizes = {one: sum(count for _, count in _sizes(one)) for one in idle}
        if sum(sizes.values()) < lacking:
            raise no_space(lacking - sum(sizes.values()))
        for one in idle:
            if lacking > 0 and self._removed(one):
                lacking -= sizes[one]
        if lacking > 0:
            raise no_space(lacking)

    def _lacking(self, size: int) -> int:
        lacking = size + MARGIN - shutil.disk_usage(self._folder).free
        if self._most is not None:
            used = sum(count for _, count in _sizes(self._folder))
            lacking = max(lacking, used + size - self._most)
        return lacking

    def _unused(self) -> list[Path]:
        """The longest unused first. (Whether somebody uses one is seen when it is removed.)"""
        found = [(one.stat().st_mtime, one) for one in self._folder.iterdir() if one.is_dir()]
        return [one for _, one in sorted(found)]

    def _removed(self, folder: Path) -> bool:
        with self._open(folder.name.removesuffix(".part")) as lock:
            if not _locked(lock, fcntl.LOCK_EX):
                return False
            # Under another name first: half of a model must never look like one.
            gone = folder.with_name(f"{folder.name.removesuffix('.part')}.part")
            if gone != folder:
                shutil.rmtree(gone, ignore_errors=True)
                folder.rename(gone)
            shutil.rmtree(gone)
            return True

    def _open(self, key: str) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        return open(self._folder / f"{key}.lock", "ab")


def no_space(lacking: int | None = None) -> SourceFailed:
    more = "" if lacking is None else f": {sized(lacking)} more are needed"
    return SourceFailed.because("no_space", f"there is no room for the model on the node{more}")


def is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def sized(count: float) -> str:
    """Bytes, for people."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("B", "KB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _locked(lock: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            try:
                yield path, os.stat(path, follow_symlinks=False).st_size
            except OSError:  # it was moved meanwhile
                continue
