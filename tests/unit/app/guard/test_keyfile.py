"""The file: what becomes of a key over its life, and of a file that is changed."""

import json
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.guard import keyfile, mint
from app.guard.keyfile import Keys, KeysError

PEPPER = b"0123456789abcdef"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def add(file: Path, owner: str = "ann", lasts: timedelta | None = None) -> str:
    with keyfile.changing(file) as held:
        key, plain = keyfile.created(owner, ["chat:*"], PEPPER, NOW, lasts)
        held.append(held[0].with_one(key))
    return plain


def test_what_is_kept_is_a_digest(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    plain = add(file)
    assert plain[3:] not in file.read_text()
    (key,) = keyfile.read(file).keys
    assert key.secrets[0].digest == mint.digest(PEPPER, plain.encode()).hex()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["keys.json"]


def test_a_changed_file_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    file, link = tmp_path / "keys.json", tmp_path / "link"
    add(file)
    file.chmod(0o640)
    link.symlink_to(file)
    add(link)
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert len(keyfile.read(file).keys) == 2


def test_nothing_is_lost_when_several_write(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    threads = [threading.Thread(target=add, args=(file, f"owner {number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.owner for key in keyfile.read(file).keys} == {f"owner {number}" for number in range(8)}


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    add(file)
    before = file.read_bytes()
    with pytest.raises(KeysError), keyfile.changing(file) as held:
        held.append(held[0].with_one(keyfile.revoked(held[0].named("key_0"), NOW)))
    assert file.read_bytes() == before


def test_states() -> None:
    key, _ = keyfile.created("ann", ["*:*"], PEPPER, NOW, DAY)
    assert key.state(NOW) == "valid"
    assert key.state(NOW + DAY) == "expired"
    gone = keyfile.revoked(key, NOW)
    assert gone.state(NOW) == "revoked"
    assert keyfile.revoked(gone, NOW + DAY) == gone


def test_a_rotation_overlaps() -> None:
    key, old = keyfile.created("ann", ["*:*"], PEPPER, NOW, None)
    once, new = keyfile.rotated(key, PEPPER, NOW, DAY)
    assert old != new
    assert (once.id, once.scopes) == (key.id, key.scopes)
    assert [secret.expires for secret in once.secrets] == [NOW + DAY, None]
    # The first does not live longer for a second rotation, and goes when its time is over.
    twice, _ = keyfile.rotated(once, PEPPER, NOW, 2 * DAY)
    assert [secret.expires for secret in twice.secrets] == [NOW + DAY, NOW + 2 * DAY, None]
    later, _ = keyfile.rotated(twice, PEPPER, NOW + DAY, DAY)
    assert len(later.secrets) == 3
    with pytest.raises(KeysError, match="is revoked"):
        keyfile.rotated(keyfile.revoked(key, NOW), PEPPER, NOW, DAY)


SECRET = {"digest": "0" * 64, "created": "2026-01-01T00:00:00Z"}
KEY = {"id": "key_1", "owner": "ann", "scopes": [], "created": "2026-01-01T00:00:00Z", "secrets": [SECRET]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not valid"),
        ('{"version": 2}', "version"),
        ('{"version": 1, "kyes": []}', "kyes"),
        (json.dumps({"keys": [{**KEY, "scopes": ["chats:*"]}]}), "keys.0.scopes.0"),
        (json.dumps({"keys": [{**KEY, "secrets": [{**SECRET, "digest": "mk-plain"}]}]}), "digest"),
        (json.dumps({"keys": [{**KEY, "expires": "2026-01-01T00:00:00"}]}), "expires"),
        (json.dumps({"keys": [KEY, {**KEY, "id": "key_2"}]}), "the same"),
        (json.dumps({"keys": [KEY, {**KEY, "secrets": [{**SECRET, "digest": "1" * 64}]}]}), "the same"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    with pytest.raises(KeysError, match=said) as refused:
        keyfile.read(file)
    assert "mk-plain" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="cannot be read"):
        keyfile.read(tmp_path / "keys.json")
    with pytest.raises(KeysError, match="cannot be opened"), keyfile.changing(tmp_path / "no" / "keys.json"):
        pass
    assert Keys().keys == ()
