"""`hf://` against a server that speaks the hub's API, by processes as replicas start them."""

import asyncio
import hashlib
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.contract.errors import SourceFailed
from backends.engines.fake import Fake
from backends.host import Host
from backends.hosting import Spec, host
from backends.sources import locate
from backends.sources.address import parse
from backends.sources.store import Store
from tests.unit.backends.sources.served import COMMIT, Files, repository, serving

NAME = "org/tiny"
SOURCE = f"hf://{NAME}@main"
WEIGHTS = os.urandom(3 << 20)
FILES = {
    "config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"\x80\x02" + WEIGHTS[:5000],
    "tf_model.h5": b"the same once more",
    "onnx/q4/model.onnx": WEIGHTS[:2000],
}
AT = f"{NAME}/resolve/{COMMIT}/model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    with serving(repository(NAME, FILES)) as told:
        monkeypatch.setenv("HF_ENDPOINT", told.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("MOTLEY_STORE", str(tmp_path / "store"))
        yield told


def made(source: str = SOURCE, allow_pickle: bool = False) -> Host:
    spec: Spec = {
        "model": "m", "variant": "main", "task": "chat", "engine": "fake", "source": source, "options": {},
        "allow_pickle": allow_pickle, "share": 0, "vendor": "cpu", "vram": 0,
    }  # fmt: skip
    return host(spec, {"options": {}, "max_ongoing": 1, "max_queued": 1})


async def files(source: str = SOURCE, **more: Any) -> dict[str, bytes]:
    """What an engine is given."""
    one = made(source, **more)
    try:
        await one.load()
        assert isinstance(one.engine, Fake)
        folder = locate(source)
        assert folder is not None
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
    finally:
        await one.close()


@pytest.fixture
async def hosts() -> AsyncIterator[list[Host]]:
    made: list[Host] = []
    yield made
    for one in made:
        await one.close()


async def until(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)


async def test_a_repository_at_a_revision(hub: Files, tmp_path: Path) -> None:
    unread = ("pytorch_model.bin", "tf_model.h5")
    assert await files() == {path: data for path, data in FILES.items() if path not in unread}
    [record] = (tmp_path / "store").glob("*/record.json")
    told = json.loads(record.read_text())
    assert (told["source"], told["revision"]) == (SOURCE, COMMIT)
    assert told["files"]["model.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()
    asked = len(hub.headers)
    await files()
    assert len(hub.headers) == asked  # it lies here: nobody is asked


async def test_a_folder_of_a_repository(hub: Files) -> None:
    assert await files(f"hf://{NAME}/onnx/q4@{COMMIT}") == {"model.onnx": WEIGHTS[:2000]}
    assert AT not in hub.sent


async def test_pickles_come_where_the_fleet_says_so(hub: Files) -> None:
    assert await files(allow_pickle=True) == FILES


async def test_nothing_but_pickles_is_refused(hub: Files) -> None:
    told = repository(NAME, {path: FILES[path] for path in ("config.json", "pytorch_model.bin")})
    hub.files = told.files
    with pytest.raises(SourceFailed, match="allow_pickle: true") as refused:
        await files()
    assert refused.value.why == "unsafe"
    assert not hub.sent.get(f"{NAME}/resolve/{COMMIT}/pytorch_model.bin")


async def test_what_is_called_otherwise_and_is_a_pickle_is_refused(hub: Files) -> None:
    hub.files = repository(NAME, {"model.bin": b"\x80\x04" + WEIGHTS[:5000]}).files
    with pytest.raises(SourceFailed, match="pickles"):
        await files()
    hub.files = repository(NAME, {"model.bin": b"\x06\x00" + WEIGHTS[:5000]}).files
    assert "model.bin" in await files()  # as CTranslate2 has them


async def test_a_cut_is_gone_on_with(hub: Files) -> None:
    hub.cuts[AT] = [1 << 20, 1 << 20]
    assert (await files())["model.safetensors"] == WEIGHTS
    assert [at for path, at in hub.ranges if path == AT] == [0, 1 << 20, 2 << 20]
    assert hub.sent[AT] == len(WEIGHTS)


async def test_what_is_not_what_it_should_be(hub: Files, tmp_path: Path) -> None:
    hub.files[AT] = bytes(len(WEIGHTS))
    with pytest.raises(SourceFailed, match="checksum") as wrong:
        await files()
    assert wrong.value.why == "checksum"
    assert not list((tmp_path / "store").glob("*/files"))
    hub.files[AT] = WEIGHTS
    assert (await files())["model.safetensors"] == WEIGHTS


REFUSED = {
    "no repository": (404, "RepoNotFound", "not_found", "no such repository"),
    "no revision": (404, "RevisionNotFound", "not_found", "no such revision"),
    "gated": (403, "GatedRepo", "gated", "HF_TOKEN"),
    "broken": (500, "", "offline", "it answers 500"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_what_a_hub_refuses_is_the_models_state(case: tuple[int, str, str, str], hub: Files) -> None:
    status, code, why, message = case
    hub.refused["api/" if status != 403 else f"{NAME}/resolve/"] = (status, code)
    one = made()
    with pytest.raises(SourceFailed, match=message) as failed:
        await one.load()
    assert failed.value.why == why
    state = one.state("here", 1)
    assert (state.readiness, state.message) == ("down", failed.value.message)
    await one.close()


async def test_a_token_by_the_environment(hub: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    await files()
    asked = [headers for headers in hub.headers if NAME in headers["path"]]  # the package asks for more
    assert {headers.get("authorization") for headers in asked} == {"Bearer hf_secret"}


async def test_nobody_there(hub: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SourceFailed, match="HF_HUB_OFFLINE") as failed:
        await files()
    assert failed.value.why == "offline"


async def test_progress_is_the_models_state(hub: Files, hosts: list[Host]) -> None:
    hub.gate[AT] = threading.Event()
    hosts.append(one := made())
    loading = asyncio.create_task(one.load())
    await until(lambda: (one.state("", 1).progress or 0) > 0.3)
    state = one.state("", 1)
    assert state.readiness == "loading"
    assert state.stage.startswith("fetching, 1.")
    assert "of 3.1 MB" in state.stage
    hub.gate[AT].set()
    await loading
    assert one.state("", 1).ready


async def test_two_ask_and_one_fetches(hub: Files, hosts: list[Host]) -> None:
    hosts += [made(), made(), made()]
    await asyncio.gather(*(one.load() for one in hosts))
    assert all(one.state("", 1).ready for one in hosts)
    assert hub.sent[AT] == len(WEIGHTS)


async def test_a_load_that_is_cancelled_ends_its_fetch(hub: Files, hosts: list[Host], tmp_path: Path) -> None:
    hub.gate[AT] = threading.Event()
    hosts.append(one := made())
    loading = asyncio.create_task(one.load())
    await until(lambda: hub.sent.get(AT))
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    await until(lambda: alone(tmp_path / "store"))  # a moment after: the kernel lets go of the lock
    assert not one.state("", 1).ready


async def test_who_is_killed_is_gone_on_with(hub: Files, hosts: list[Host]) -> None:
    hub.gate[AT] = threading.Event()
    hosts.append(one := made())
    loading = asyncio.create_task(one.load())
    await until(lambda: (one.state("", 1).progress or 0) > 0.3)
    assert one._unfetched is not None
    assert one._unfetched.errand.group is not None
    os.kill(one._unfetched.errand.group.pid, signal.SIGKILL)
    with pytest.raises(SourceFailed):
        await loading
    hub.gate.pop(AT).set()
    hub.ranges.clear()
    assert (await files())["model.safetensors"] == WEIGHTS
    [start] = [at for path, at in hub.ranges if path == AT]
    assert start >= 1 << 20


def alone(folder: Path) -> bool:
    """Whether nobody fetches it."""
    with Store(folder).alone(parse(SOURCE).key(False)) as mine:
        return mine
