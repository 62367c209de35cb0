"""`s3://` against moto's server, which speaks S3 over a socket."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.contract.errors import SourceFailed
from backends.sources.address import parse
from backends.sources.fetching import PARTS, fetch
from backends.sources.store import Store

boto3 = pytest.importorskip("boto3", reason="needs the extra s3")
server = pytest.importorskip("moto.server", reason="needs moto's server")

SOURCE = "s3://models/team/tiny"
WEIGHTS = os.urandom(3 << 20)
FILES = {"config.json": b"{}", "sub/model.safetensors": WEIGHTS}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    moto = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def client(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    for path, data in FILES.items():
        client.put_object(Bucket="models", Key=f"team/tiny/{path}", Body=data)
    client.put_object(Bucket="models", Key="team/tiny-other/config.json", Body=b"not asked for")
    yield client
    for one in client.list_objects_v2(Bucket="models")["Contents"]:
        client.delete_object(Bucket="models", Key=one["Key"])
    client.close()


def fetched(store: Store, source: str = SOURCE, allow_pickle: bool = False) -> dict[str, bytes]:
    fetch(store, parse(source), allow_pickle)
    folder = store.whole(parse(source).key(allow_pickle))
    assert folder is not None
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("client")
def test_what_lies_under_a_prefix(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert fetched(store) == FILES
    record = store.record(parse(SOURCE).key(False))
    assert record is not None
    assert record.files["sub/model.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()


def test_what_was_sent_in_pieces_and_with_a_checksum(client: Any, tmp_path: Path) -> None:
    key = "team/tiny/large.safetensors"
    upload = client.create_multipart_upload(Bucket="models", Key=key)["UploadId"]
    asked = {"Bucket": "models", "Key": key, "UploadId": upload}
    pieces = [WEIGHTS * 2, b"the rest"]
    tags = [client.upload_part(**asked, PartNumber=n, Body=body)["ETag"] for n, body in enumerate(pieces, 1)]
    parts = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]
    client.complete_multipart_upload(**asked, MultipartUpload={"Parts": parts})
    client.put_object(Bucket="models", Key="team/tiny/x.json", Body=b"{}", ChecksumAlgorithm="SHA256")
    found = fetched(Store(tmp_path))
    assert found["large.safetensors"] == b"".join(pieces)
    assert found["x.json"] == b"{}"


@pytest.mark.usefixtures("client")
def test_a_cut_is_gone_on_with(tmp_path: Path) -> None:
    """What a killed run leaves is part of a file under a name of its own."""
    from backends.sources.bucket import listing

    store, key = Store(tmp_path), parse(SOURCE).key(False)
    [part] = [one for one in listing(parse(SOURCE)).parts if one.path.endswith("safetensors")]
    there = store.part(key) / PARTS
    there.mkdir(parents=True)
    (there / f"{part.name}.open").write_bytes(WEIGHTS[: 2 << 20])
    with part.read(2 << 20) as (start, pieces):
        assert (start, b"".join(pieces)) == (2 << 20, WEIGHTS[2 << 20 :])
    assert fetched(store) == FILES


def test_another_object_under_the_same_name_is_begun_anew(client: Any, tmp_path: Path) -> None:
    from backends.sources.bucket import listing

    store, key = Store(tmp_path), parse(SOURCE).key(False)
    [part] = [one for one in listing(parse(SOURCE)).parts if one.path.endswith("safetensors")]
    there = store.part(key) / PARTS
    there.mkdir(parents=True)
    (there / f"{part.name}.open").write_bytes(WEIGHTS[: 2 << 20])
    client.put_object(Bucket="models", Key="team/tiny/sub/model.safetensors", Body=WEIGHTS[::-1])
    assert fetched(store)["sub/model.safetensors"] == WEIGHTS[::-1]


def test_what_cannot_be_had(
    client: Any, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    for source in ("s3://models/nothing", "s3://no-such-bucket/x"):
        with pytest.raises(SourceFailed) as failed:
            fetch(store, parse(source), False)
        assert failed.value.why == "not_found"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(SourceFailed, match="AWS_ACCESS_KEY_ID") as failed:
        fetch(store, parse(SOURCE), False)
    assert failed.value.why == "gated"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(SourceFailed) as failed:
        fetch(store, parse(SOURCE), False)
    assert failed.value.why == "offline"


def test_nothing_but_pickles_is_refused(client: Any, tmp_path: Path) -> None:
    client.put_object(Bucket="models", Key="old/pytorch_model.bin", Body=b"\x80\x02" + WEIGHTS)
    with pytest.raises(SourceFailed, match="allow_pickle: true"):
        fetched(Store(tmp_path), "s3://models/old")
    assert set(fetched(Store(tmp_path), "s3://models/old", allow_pickle=True)) == {"pytorch_model.bin"}
