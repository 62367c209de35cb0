"""`https://`: a tar or zip archive with its sha256, fetched and unpacked."""

import os
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from backends.contract.errors import SourceFailed
from backends.sources import web
from backends.sources.address import Address
from backends.sources.parts import Listing, Part

# The name of a variable begins so; the host's follows: MOTLEY_TOKEN_FILES_EXAMPLE_ORG.
TOKEN = "MOTLEY_TOKEN_"  # noqa: S105
# Weights hardly shrink: what grows more is made to fill a disk.
GROWS, FREE = 20, 64 << 20
MEMBERS = 100_000


def listing(address: Address, _: str = "") -> Listing:
    """Raises SourceFailed."""
    client = httpx2.Client()
    headers = _authorization(address.place, os.environ)
    try:
        told = client.head(address.place, headers=headers, timeout=web.TIMEOUT, follow_redirects=True)
    except httpx2.HTTPError as error:
        client.close()
        raise SourceFailed.because(
            "offline", f"the source cannot be reached: {type(error).__name__}"
        ) from None
    size = told.headers.get("content-length", "") if told.is_success else ""
    read = partial(web.stream, client, address.place, headers, refuse=_refuse)
    check = f"sha256:{address.pin}"
    part = Part("archive", int(size) if size.isdecimal() else None, check, check, lambda at: read(offset=at))
    return Listing("", (part,), archive=True, close=client.close)


def unpack(archive: Path, folder: Path) -> None:
    """The members of a tar or zip archive. Raises SourceFailed for what is neither, and for one that holds
    links, devices, paths that leave the folder, or more than it can honestly hold."""
    folder.mkdir()
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder)
        elif tarfile.is_tarfile(archive):
            _untar(archive, folder)
        else:
            raise SourceFailed.because("unsupported", "the source is neither a tar nor a zip archive")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise SourceFailed.because(
            "unsafe", f"the archive cannot be unpacked ({type(error).__name__})"
        ) from None
    _without_wrapper(folder)


class _Meter:
    """Counts what comes out. Raises SourceFailed when it is too much."""

    def __init__(self, archive: Path) -> None:
        self._bytes = max(FREE, GROWS * archive.stat().st_size)
        self._members = MEMBERS

    def count(self, size: int) -> None:
        self._bytes -= size
        self._members -= 1
        if self._bytes < 0 or self._members < 0:
            raise SourceFailed.because("unsafe", "the archive holds far more than its own size")


def _untar(archive: Path, folder: Path) -> None:
    meter = _Meter(archive)
    with tarfile.open(archive) as tar:
        for member in tar:  # one after the other: the list of a bomb's members is one itself
            meter.count(member.size)
            if not (member.isfile() or member.isdir()):
                raise SourceFailed.because("unsafe", "the archive holds a link or a device")
            _inside(member.name)
            tar.extract(member, folder, filter="data")


def _unzip(archive: Path, folder: Path) -> None:
    meter = _Meter(archive)
    with zipfile.ZipFile(archive) as found:
        for member in found.infolist():
            meter.count(member.file_size)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise SourceFailed.because("unsafe", "the archive holds a link or a device")
            _inside(member.filename)
        found.extractall(folder)  # noqa: S202  (they were looked at)


def safe(names: Iterable[str]) -> None:
    """Raises SourceFailed for a name that leaves its folder."""
    for name in names:
        _inside(name)


def _inside(name: str) -> None:
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/") or not name:
        raise SourceFailed.because("unsafe", "a file of the source would leave its folder")


def _without_wrapper(folder: Path) -> None:
    """Many archives hold one folder, and that the files."""
    inner = list(folder.iterdir())
    if len(inner) == 1 and inner[0].is_dir():
        aside = folder.with_name("wrapper")
        shutil.rmtree(aside, ignore_errors=True)
        inner[0].rename(aside)
        folder.rmdir()
        aside.rename(folder)


def _authorization(url: str, environment: Mapping[str, str]) -> dict[str, str]:
    name = TOKEN + re.sub("[^A-Z0-9]", "_", (urlsplit(url).hostname or "").upper())
    token = environment.get(name, "").strip()
    return {"authorization": f"Bearer {token}"} if token else {}


def _refuse(answer: httpx2.Response) -> None:
    if answer.is_error:
        raise web.refusal(answer.status_code)
