"""The same in SQLite and in a real PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.usage.entries import Account, Used
from app.usage.ledger import Asked, StoreFailed
from app.usage.store import Store
from tests.servers import postgres

HOUR = 3600


def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/made/usage.db"


def server(_: Path) -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=[sqlite, server], ids=["sqlite", "postgresql"], scope="module")
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made: Callable[[Path], Iterator[str]] = request.param
    yield from made(tmp_path_factory.mktemp("usage"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    one = Store(url)
    yield one
    one.close()


def at(key: str, hour: int, model: str = "m", variant: str = "main") -> Account:
    return Account(key, model, "chat", variant, hour * HOUR)


def test_sums_by_what_is_kept_apart(store: Store) -> None:
    store.add({at("a", 1): Used(1, 0, 10, 5, 0.5, 0, 0.25), at("a", 2): Used(1), at("b", 1, "n"): Used(2, 1)})
    store.add({at("a", 1): Used(1, 1, 10, 5, 0.5, 7, 0.25)})
    of_a = store.rows(Asked({"key": "a"}, ["key", "hour"]))
    assert of_a == [
        {"key": "a", "hour": HOUR, "requests": 2, "errors": 1, "prompt_tokens": 20, "completion_tokens": 10,
         "audio_seconds": 1.0, "characters": 7, "gpu_seconds": 0.5},
        {"key": "a", "hour": 2 * HOUR, "requests": 1, "errors": 0, "prompt_tokens": 0, "completion_tokens": 0,
         "audio_seconds": 0.0, "characters": 0, "gpu_seconds": 0.0},
    ]  # fmt: skip
    assert all(type(row["requests"]) is int for row in of_a)
    assert counted(store, ["model"]) == {("m",): 3, ("n",): 2}
    assert counted(store, ["key"], since=2 * HOUR) == {("a",): 1}
    assert counted(store, ["key"], until=2 * HOUR) == {("a",): 2, ("b",): 2}
    assert counted(store, ["model"], where={"model": "n", "variant": "main"}) == {("n",): 2}
    assert len(store.rows(Asked({}, ["key", "hour"], most=2))) == 2


def test_nothing_asked_for_is_a_pattern_or_a_statement(store: Store) -> None:
    odd = "'; DROP TABLE motley_usage; --"
    store.add({at(odd, 1): Used(1)})
    assert counted(store, ["key"], where={"key": odd}) == {(odd,): 1}
    assert counted(store, ["key"], where={"key": "%"}) == {}


def test_two_doors_write_at_once(url: str) -> None:
    def write(one: Store) -> None:
        for _ in range(20):
            one.add({at("both", hour, "w"): Used(1) for hour in range(5)})

    doors = [Store(url), Store(url)]
    threads = [threading.Thread(target=write, args=(door,)) for door in doors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(doors[0], ["key"], where={"model": "w"}) == {("both",): 200}
    for door in doors:
        door.close()


def test_what_cannot_be_reached_or_read_says_so_without_its_secret(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    away = f"postgresql://ann:secret@/x?host={tmp_path}"
    for url in (away, f"sqlite:///{tmp_path}/file/usage.db"):
        with pytest.raises(StoreFailed) as caught:
            Store(url).add({at("a", 1): Used(1)})
        assert "secret" not in str(caught.value)
    with pytest.raises(StoreFailed, match="cannot be read"):
        Store("postgresql//x")


def counted(store: Store, by: list[str], where: dict[str, str] | None = None, **when: Any) -> dict[Any, int]:
    rows = store.rows(Asked(where or {}, by, **when))
    return {tuple(row[name] for name in by): row["requests"] for row in rows}
