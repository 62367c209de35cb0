"""Whose a key is, now."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.guard import keyfile, mint
from app.guard.keyfile import KeysError
from app.guard.keyring import Keyring
from app.settings import Settings
from backends.contract.errors import Unauthenticated

PEPPER = "0123456789abcdef"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    where = tmp_path / "keys.json"
    with keyfile.changing(where):
        pass
    where.write_text('{"version": 1}')
    return where


def change(file: Path, edit: Callable[[keyfile.Keys], keyfile.Keys]) -> None:
    with keyfile.changing(file) as held:
        held.append(edit(held[0]))


def add(file: Path, scopes: tuple[str, ...] = ("chat:*",), lasts: timedelta | None = None) -> tuple[str, str]:
    """Its id, and its text."""
    key, plain = keyfile.created("ann", scopes, PEPPER.encode(), NOW, lasts)
    change(file, lambda keys: keys.with_one(key))
    return key.id, plain


def ring(file: Path, clock: Clock) -> Keyring:
    return Keyring(("sk-static",), file, PEPPER.encode(), clock)


def refused(keyring: Keyring, key: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        keyring.whose(key)
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    return caught.value.message


def test_whose_it_is(file: Path, clock: Clock) -> None:
    key, plain = add(file)
    keyring = ring(file, clock)
    caller = keyring.whose(plain)
    assert (caller.key, caller.owner) == (key, "ann")
    assert caller.may("chat", "any")
    assert not caller.scopes.offices
    static = keyring.whose("sk-static")
    assert static.may("speak", "any")
    assert "operator" in static.scopes.offices
    assert "not known" in refused(keyring, "sk-other")
    assert "not known" in refused(keyring, mint.made())
    assert "checksum" in refused(keyring, plain[:-1])


def test_without_keys_everybody_is_somebody() -> None:
    assert Keyring().whose("").may("chat", "any")


def test_an_empty_file_lets_nobody_in(file: Path, clock: Clock) -> None:
    assert "not known" in refused(Keyring((), file, PEPPER.encode(), clock), mint.made())


def test_expiry(file: Path, clock: Clock) -> None:
    _, plain = add(file, lasts=HOUR)
    keyring = ring(file, clock)
    clock.now += HOUR - timedelta(seconds=1)
    keyring.whose(plain)
    clock.now += timedelta(seconds=1)
    assert "expired" in refused(keyring, plain)


def test_a_change_is_seen_without_a_restart(file: Path, clock: Clock) -> None:
    keyring = ring(file, clock)
    key, plain = add(file)
    refused(keyring, plain)
    keyring.refresh()
    keyring.whose(plain)
    change(file, lambda keys: keys.with_one(keyfile.revoked(keys.named(key), NOW)))
    keyring.refresh()
    assert "revoked" in refused(keyring, plain)
    keyring.whose("sk-static")


def test_a_rotation_is_seen(file: Path, clock: Clock) -> None:
    key, old = add(file)
    keyring = ring(file, clock)
    changed, new = keyfile.rotated(keyfile.read(file).named(key), PEPPER.encode(), NOW, HOUR)
    change(file, lambda keys: keys.with_one(changed))
    keyring.refresh()
    assert keyring.whose(old) == keyring.whose(new)
    clock.now += HOUR
    refused(keyring, old)
    keyring.whose(new)


def test_a_secret_mounted_by_a_link_that_moves_on(tmp_path: Path, file: Path, clock: Clock) -> None:
    link, other = tmp_path / "mounted.json", tmp_path / "other.json"
    link.symlink_to(file)
    keyring = ring(link, clock)
    _, plain = add(other)
    link.unlink()
    link.symlink_to(other)
    keyring.refresh()
    keyring.whose(plain)


@pytest.mark.parametrize("broken", ['{"version"', None])
def test_the_last_word_stays(
    file: Path, clock: Clock, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    _, plain = add(file)
    keyring, whole = ring(file, clock), file.read_text()
    if broken is None:
        file.unlink()
    else:
        file.write_text(broken)
    with caplog.at_level(logging.ERROR):
        keyring.refresh()
        keyring.refresh()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    keyring.whose(plain)
    file.write_text(whole)
    keyring.refresh()
    keyring.whose(plain)


def test_cve_2026_42208_a_key_is_data(file: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """An SQL injection in the checking of keys, before anybody was known. Defence: what is presented is
    hashed and looked for in memory, nothing more, and a refusal repeats nothing of it."""
    keyring = ring(file, clock)
    before = file.read_bytes()
    for hostile in (
        "' OR '1'='1' --", '"; DROP TABLE keys; --', "${jndi:ldap://x}", "{0.__class__}", "%s%n",
        "mk-\x00\xff", "mk-'", "sk-static\x00", "x" * 100_000, "sk-static " + "x" * 600,
    ):  # fmt: skip
        said = refused(keyring, hostile)
        assert said in ("The API key is not known here", "The API key is not whole (its checksum is wrong)")
    assert not caplog.records
    assert file.read_bytes() == before


def test_no_key_is_kept(file: Path, clock: Clock) -> None:
    """Speaches compared keys with `!=`, whose time tells how far a guess is right. Defence: there is nothing
    to compare with but digests that nobody can aim at."""
    _, plain = add(file)
    keyring = ring(file, clock)
    held = repr(vars(keyring))
    assert "sk-static" not in held
    assert plain not in held
    assert all(len(digest) == 32 for digest in keyring._entries)


def test_other_peppers_other_keys(file: Path, clock: Clock) -> None:
    _, plain = add(file)
    refused(Keyring((), file, b"another pepper, as long", clock), plain)


def test_the_settings_must_do(file: Path) -> None:
    assert not Keyring.of(Settings(_env_file=None)).on
    assert Keyring.of(Settings(_env_file=None, keys_file=str(file), keys_pepper=PEPPER)).on
    for wrong in ({"keys_file": str(file)}, {"keys_file": str(file), "keys_pepper": "short"}):
        with pytest.raises(KeysError, match="MOTLEY_KEYS_PEPPER"):
            Keyring.of(Settings(_env_file=None, **wrong))
    with pytest.raises(KeysError, match="cannot be read"):
        Keyring.of(Settings(_env_file=None, keys_file="/nowhere/keys.json", keys_pepper=PEPPER))
