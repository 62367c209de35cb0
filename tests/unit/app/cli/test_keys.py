"""`motley keys`, and `motley up` where nobody would be asked for one."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import main
from app.guard.keyring import Keyring
from app.settings import Settings
from backends.contract.errors import Unauthenticated

PEPPER = "0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "keys.json"
    monkeypatch.chdir(tmp_path)  # no `.env` of somebody's
    monkeypatch.setenv("MOTLEY_KEYS_FILE", str(where))
    monkeypatch.setenv("MOTLEY_KEYS_PEPPER", PEPPER)
    return where


def motley(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def created(*arguments: str) -> dict[str, object]:
    done = motley("keys", "create", "--owner", "ann", *arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_the_life_of_a_key(file: Path) -> None:
    done = motley("keys", "create", "--owner", "ann", "--scope", "chat:*", "--scope", "observer")
    plain = done.stdout.strip()
    assert plain.startswith("mk-")
    assert plain not in done.stderr + file.read_text()
    (key,) = json.loads(motley("keys", "list", "--json").stdout)
    assert (key["owner"], key["scopes"], key["state"]) == ("ann", ["chat:*", "observer"], "valid")
    shown = motley("keys", "list").stdout
    assert key["id"] in shown
    assert "digest" not in shown
    keyring = Keyring.of(Settings(_env_file=None))
    assert keyring.whose(plain).key == key["id"]

    new = motley("keys", "rotate", key["id"], "--overlap", "1h").stdout.strip()
    keyring.refresh()
    assert new != plain
    assert {keyring.whose(text).key for text in (plain, new)} == {key["id"]}

    revoked = json.loads(motley("keys", "revoke", key["id"], "--json").stdout)
    assert (revoked["id"], revoked["state"], "key" in revoked) == (key["id"], "revoked", False)
    keyring.refresh()
    for text in (plain, new):
        with pytest.raises(Unauthenticated):
            keyring.whose(text)
    assert json.loads(motley("keys", "list", "--json").stdout)[0]["state"] == "revoked"
    assert motley("keys", "rotate", key["id"]).exit_code == 1


def test_no_scope_is_every_model_and_no_office(file: Path) -> None:
    assert created()["scopes"] == ["*:*"]
    assert created("--scope", "operator", "--expires", "90d")["expires"] is not None


def test_limits(file: Path) -> None:
    made = created("--limit", "requests/minute=60", "--limit", "concurrency=4")
    assert made["limits"] == {"requests/minute": 60, "concurrency": 4}
    assert "requests/minute 60, concurrency 4" in motley("keys", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "--owner", "ann", "--limit", "requests=60"), "is no limit"),
        (("create", "--owner", "ann", "--limit", "requests/minute"), "is no limit"),
        (("create", "--owner", "ann", "--scope", "chats:*"), "did you mean chat"),
        (("create", "--owner", ""), "owner"),
        (("create", "--owner", "ann", "--expires", "soon"), "is no time"),
        (("revoke", "key_0"), "there is no key 'key_0'"),
        (("list", "--file", "/nowhere/keys.json"), "cannot be read"),
    ],
)
def test_what_is_refused(file: Path, arguments: tuple[str, ...], said: str) -> None:
    done = motley("keys", *arguments)
    assert done.exit_code != 0
    assert said in done.output
    assert not file.exists()


def test_no_pepper_no_key(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTLEY_KEYS_PEPPER", "short")
    done = motley("keys", "create", "--owner", "ann")
    assert (done.exit_code, file.exists()) == (1, False)
    assert "openssl rand" in done.stderr


def test_up_refuses_a_public_address_without_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Path(__file__).parents[4] / "deploy" / "fleets" / "embedded.yaml"
    monkeypatch.chdir(tmp_path)
    done = motley("up", str(fleet), "--host", "0.0.0.0")
    assert done.exit_code == 1
    assert "no keys are set" in done.stderr
    assert "MOTLEY_OPEN_TO_ALL" in done.stderr


def test_up_refuses_keys_that_will_not_do(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Path(__file__).parents[4] / "deploy" / "fleets" / "embedded.yaml"
    missing = motley("up", str(fleet))
    assert (missing.exit_code, "cannot be read" in missing.stderr) == (1, True)
    monkeypatch.setenv("MOTLEY_CORS_ORIGINS", "nonsense")
    wrong = motley("up", str(fleet))
    assert wrong.exit_code == 1
    assert "MOTLEY_CORS_ORIGINS" in wrong.stderr
