"""`https://` archives over TLS, and what may not be in one."""

import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.contract.errors import SourceFailed
from backends.sources import archive
from backends.sources.address import parse
from backends.sources.fetching import fetch
from backends.sources.store import Store
from tests.unit.backends.sources.served import Files, serving

WEIGHTS = os.urandom(1 << 20)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", file, "-out", file.with_suffix(".crt"), "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + file.with_suffix(".crt").read_text())
    return file


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    with serving(Files(), certificate) as told:
        yield told


def tarred(*members: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w:gz") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as tar:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return made.getvalue()


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as found:
        for name, data in members:
            found.writestr(name, data)
    return made.getvalue()


def link(kind: bytes, name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("model.safetensors")
    info.external_attr = 0o120777 << 16
    return info


def fetched(server: Files, store: Store, data: bytes, digest: str | None = None) -> dict[str, bytes]:
    server.files["model.tgz"] = data
    digest = digest or hashlib.sha256(data).hexdigest()
    source = parse(f"{server.url}/model.tgz#sha256={digest}")
    fetch(store, source, False)
    folder = store.whole(source.key(False))
    assert folder is not None
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


MODEL = (("tiny/config.json", b"{}"), ("tiny/sub/model.safetensors", WEIGHTS))


@pytest.mark.parametrize("pack", [tarred, zipped])
def test_an_archive(pack: Callable[..., bytes], server: Files, tmp_path: Path) -> None:
    """The folder that holds all of it is not part of the model."""
    found = fetched(server, Store(tmp_path), pack(*MODEL))
    assert found == {"config.json": b"{}", "sub/model.safetensors": WEIGHTS}
    assert not list(tmp_path.glob("*.part"))


def test_a_cut_is_gone_on_with(server: Files, tmp_path: Path) -> None:
    server.cuts["model.tgz"] = [300_000]
    assert len(fetched(server, Store(tmp_path), tarred(*MODEL))) == 2
    assert [start for _, start in server.ranges] == [0, 300_000]


def test_another_archive_than_that_of_the_sum(server: Files, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed) as failed:
        fetched(server, Store(tmp_path), tarred(*MODEL), "0" * 64)
    assert failed.value.why == "checksum"


def test_a_token_of_the_host(server: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTLEY_TOKEN_127_0_0_1", "secret")
    fetched(server, Store(tmp_path), tarred(*MODEL))
    assert {headers["authorization"] for headers in server.headers} == {"Bearer secret"}


@pytest.mark.parametrize(("status", "why"), [(404, "not_found"), (403, "gated")])
def test_what_cannot_be_had(status: int, why: str, server: Files, tmp_path: Path) -> None:
    server.refused["model.tgz"] = (status, "")
    with pytest.raises(SourceFailed) as failed:
        fetched(server, Store(tmp_path), tarred(*MODEL))
    assert failed.value.why == why


UNSAFE = {
    "tar: up and out": tarred(("../evil", b"x")),
    "tar: up in the middle": tarred(("a/../../evil", b"x")),
    "tar: absolute": tarred(("/tmp/evil", b"x")),
    "tar: link": tarred(link(tarfile.SYMTYPE, "a", "/etc")),
    "tar: hard link": tarred(link(tarfile.LNKTYPE, "a", "../evil")),
    "tar: device": tarred(link(tarfile.CHRTYPE, "a", "")),
    "tar: bomb": tarred(("a", bytes(70 << 20)), mode="w:bz2"),
    "tar: cut": tarred(*MODEL)[:-200_000],
    "zip: up and out": zipped(("../evil", b"x")),
    "zip: absolute": zipped(("/tmp/evil", b"x")),
    "zip: link": zipped((zip_link(), b"/etc")),
    "zip: bomb": zipped(("a", bytes(70 << 20))),
    "pickles": tarred(("model.pt", b"\x80\x02")),
    "pickles of today": tarred(("pytorch_model.bin", zipped(("archive/data.pkl", b"\x80\x02")))),
}


@pytest.mark.parametrize("data", UNSAFE.values(), ids=UNSAFE.keys())
def test_what_may_not_be_in_one(data: bytes, server: Files, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed) as failed:
        fetched(server, Store(tmp_path / "store"), data)
    assert failed.value.why == "unsafe"
    assert not list(tmp_path.rglob("evil"))
    assert not list(tmp_path.glob("store/*/files/*"))


def test_what_is_no_archive(server: Files, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed) as failed:
        fetched(server, Store(tmp_path), b"<html>")
    assert failed.value.why == "unsupported"


@pytest.mark.parametrize("name", ["", "/x", "../x", "a/../../x", "a\\..\\x", "a\0b"])
def test_no_source_names_a_file_outside(name: str) -> None:
    with pytest.raises(SourceFailed):
        archive.safe([name])
