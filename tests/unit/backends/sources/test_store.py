"""The store of a node: room, locks, and what a full disk says."""

import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from backends.contract.errors import SourceFailed
from backends.sources.address import Address
from backends.sources.fetching import fetch
from backends.sources.parts import Broken, Part, bring
from backends.sources.store import Record, Store, sized
from backends.sources.unfetched import Pace
from tests.unit.backends.sources.served import Files, serving


def put(store: Store, key: str, size: int, age: float) -> None:
    """A model of `size` bytes that was used `age` seconds ago."""
    files = store.part(key) / "files"
    files.mkdir(parents=True)
    (files / "model.safetensors").write_bytes(bytes(size))
    store.finish(key, files, Record("builtin://x"))
    whole = store.whole(key)
    assert whole is not None
    at = whole.stat().st_mtime - age
    os.utime(whole.parent, (at, at))


def test_what_nothing_uses_goes_the_longest_unused_first(tmp_path: Path) -> None:
    store = Store(tmp_path, most=4000)
    for key, age in (("young", 10), ("old", 30), ("oldest", 40), ("used", 50)):
        put(store, key, 800, age)
    hold = store.hold("used")
    assert hold is not None
    os.utime(hold.path.parent, (1, 1))
    store.room("new", 1200)
    left = {key for key in ("young", "old", "oldest", "used") if store.whole(key)}
    assert left == {"young", "used"} or left == {"young", "old", "used"}
    assert "oldest" not in left
    with pytest.raises(SourceFailed, match="more are needed") as full:
        store.room("new", 3500)
    assert full.value.why == "no_space"
    assert store.whole("used")
    hold.close()


def test_what_cannot_fit_removes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, most=2000)
    put(store, "one", 800, 10)
    with pytest.raises(SourceFailed):
        store.room("new", 5000)
    assert store.whole("one")


def test_half_of_a_model_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.note("m", Record("builtin://x", size=10))
    (store.part("m") / "files").mkdir()
    assert store.whole("m") is None
    assert store.hold("m") is None
    assert store.record("m") == Record("builtin://x", size=10)


def test_who_uses_it_keeps_others_from_taking_it_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, "m", 1, 0)
    one, other = store.hold("m"), store.hold("m")
    assert one is not None
    assert other is not None
    with store.alone("m") as mine:
        assert not mine
    one.close()
    other.close()
    with store.alone("m") as mine:
        assert mine
        assert store.hold("m") is None


@pytest.mark.parametrize("wrong", ["200", "1.5Gi", "0"])
def test_how_much_it_may_hold(wrong: str, tmp_path: Path) -> None:
    assert Store.of({"MOTLEY_STORE": str(tmp_path), "MOTLEY_STORE_MAX": wrong})


def test_a_size_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="MOTLEY_STORE_MAX"):
        Store.of({"MOTLEY_STORE": str(tmp_path), "MOTLEY_STORE_MAX": "much"})


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "none", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk(small: Path) -> None:
    """Of a source that says how large it is, and of one that does not until it comes. Nothing is loaded."""
    store, served = Store(small), Files()
    with pytest.raises(SourceFailed, match="more are needed") as full:
        store.room("m", 32 << 20)
    assert full.value.why == "no_space"
    body = bytes(32 << 20)
    address = Address("x", "https", "", pin=hashlib.sha256(body).hexdigest())
    served.files["x.tar"] = body
    served.headless.add("x.tar")
    with serving(served), pytest.raises(SourceFailed, match="no room") as full:
        fetch(store, replace(address, place=f"{served.url}/x.tar"), False)
    assert full.value.why == "no_space"
    assert store.whole(address.key(False)) is None


def test_a_source_that_stopped_to_answer(tmp_path: Path) -> None:
    """What moves is gone on with, however often it is cut; what does not is given up."""
    body, asked = os.urandom(40), list[int]()

    @contextmanager
    def byte_by_byte(offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        asked.append(offset)
        if offset >= most:
            raise Broken("it answers 503")
        yield offset, iter([body[offset : offset + 2]])

    part, most = Part("x", 40, f"sha256:{hashlib.sha256(body).hexdigest()}", "", byte_by_byte), 20
    with pytest.raises(SourceFailed, match="cannot be reached: it answers 503") as failed:
        bring(part, tmp_path, threading.Event(), pause_s=0)
    assert failed.value.why == "offline"
    assert asked == [*range(0, 20, 2), *[20] * (len(asked) - 10)]
    most = 40
    bring(part, tmp_path, threading.Event(), pause_s=0)
    assert (tmp_path / part.name).read_bytes() == body


def test_what_people_are_told() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.told(0, None) == ("fetching", None)
    assert pace.told(1_000_000_000, 5_000_000_000) == ("fetching, 1.0 GB of 5.0 GB", 0.2)
    now[0] = 10.0
    assert pace.told(3_000_000_000, 5_000_000_000) == ("fetching, 3.0 GB of 5.0 GB, 10 s left", 0.6)
    assert [sized(count) for count in (0, 999, 1500, 2_500_000, 3e12)] == [
        "0 B",
        "999 B",
        "2 KB",
        "2.5 MB",
        "3.0 TB",
    ]
