"""One file of a model, from wherever: brought piece by piece, gone on with after a cut, and verified."""

import base64
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.contract.errors import SourceFailed

PIECE = 1 << 20
ATTEMPTS = 6  # in a row that bring nothing
PAUSE_S = 0.5  # before the second of them; each later one waits twice as long


class Broken(Exception):
    """A transfer broke off; another attempt, from there, may succeed."""


# (from which byte on, the pieces from there)
Pieces = tuple[int, Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Part:
    """`size`: None where nobody says. `check`: what its bytes must be: `sha256:HEX`, `md5:HEX`, or `git:HEX`
    as git names a file; empty where nobody says. `stamp`: changes when the file does.

    `read(offset)` gives the pieces from there, or from an earlier byte where the server cannot. It raises
    Broken for what may pass, SourceFailed for what will not.
    """

    path: str
    size: int | None
    check: str
    stamp: str
    read: Callable[[int], AbstractContextManager[Pieces]]

    @property
    def name(self) -> str:
        """In the folder of what is on its way: another file, or another version of it, has another."""
        return hashlib.sha256(f"{self.path}\0{self.stamp}\0{self.size}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a model. `revision`: the hub's commit. `archive`: the one file holds the model's. `close`:
    when nothing more is read."""

    revision: str
    parts: tuple[Part, ...]
    archive: bool = False
    close: Callable[[], None] = lambda: None

    @property
    def size(self) -> int | None:
        sizes = [part.size for part in self.parts]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def bring(part: Part, folder: Path, stop: threading.Event, pause_s: float = PAUSE_S) -> str:
    """Its sha256, when it lies whole and verified as `folder / part.name`. What is there of it is gone on
    with. Raises SourceFailed, OSError."""
    done, open_ = folder / part.name, folder / f"{part.name}.open"
    if done.exists():
        return _hashed(done)
    attempt = 0
    while True:
        before = _length(open_)
        try:
            _transfer(part, open_, stop)
            sums = _Sums(part, open_)
            sums.verify()
            open_.rename(done)
        except Broken as broken:
            attempt = 1 if _length(open_) > before else attempt + 1
            if attempt >= ATTEMPTS or stop.wait(pause_s * 2 ** (attempt - 1)):
                raise SourceFailed.because("offline", f"the source cannot be reached: {broken}") from None
        else:
            return sums.sha256


def _transfer(part: Part, file: Path, stop: threading.Event) -> None:
    """Until all of it is there, as far as its size is known. Raises Broken when it stops before."""
    have = _length(file)
    if part.size is not None and have > part.size:
        file.unlink()
        have = 0
    if part.size is not None and have == part.size:
        file.touch()
        return
    with part.read(have) as (start, pieces), open(file, "ab") as target:
        target.truncate(start)
        for piece in pieces:
            target.write(piece)
            if stop.is_set():
                raise Broken("another file of the model failed")
        os.fsync(target.fileno())
    if part.size is not None and (now := _length(file)) < part.size:
        raise Broken(f"it ended {part.size - now} bytes early")


class _Sums:
    """The sums of a file, read in one go."""

    def __init__(self, part: Part, file: Path) -> None:
        self._part, self._file = part, file
        self._kind, _, self._wanted = part.check.partition(":")
        own, other = hashlib.sha256(), self._other()
        with open(file, "rb") as opened:
            while piece := opened.read(PIECE):
                own.update(piece)
                if other is not None:
                    other.update(piece)
        self.sha256 = own.hexdigest()
        self._found = self.sha256 if other is None else other.hexdigest()

    def verify(self) -> None:
        """Removes what is wrong: nothing can be made of it."""
        length = _length(self._file)
        if (self._part.size is None or length == self._part.size) and self._wanted in ("", self._found):
            return
        self._file.unlink()
        raise SourceFailed.because("checksum", "a file of the source is not what its checksum says")

    def _other(self) -> Any:
        if self._kind == "md5":
            return hashlib.md5(usedforsecurity=False)
        if self._kind == "git":  # of a file's bytes behind a heading, as git itself does
            heading = f"blob {_length(self._file)}\0".encode()
            return hashlib.sha1(heading, usedforsecurity=False)
        return None


def from_base64(text: str) -> str:
    return base64.b64decode(text).hex()


def _hashed(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _length(file: Path) -> int:
    try:
        return os.stat(file).st_size
    except FileNotFoundError:
        return 0
