"""What operators did, tried, and what happened by itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import main as motley
from app.telemetry.audit import Audit

from .conftest import Enter, fleet


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_what_is_asked_of_operators_routes(enter: Enter, tmp_path: Path) -> None:
    path = tmp_path / "audit"
    lazy = {"scale": {"replicas": [0, 1]}}
    client = await enter(fleet(one=lazy), audit=str(path), api_keys="sk-operator")
    stranger = {"authorization": "Bearer wrong"}
    client.headers["authorization"] = "Bearer sk-operator"
    await client.post("/v1/models/one/load", headers={"x-request-id": "first"})
    await client.post("/v1/models/two/load")
    await client.post("/v1/models/one/unload", headers=stranger)
    await client.post("/v1/chat/completions", json={"model": "one", "messages": []})
    await client.get("/v1/fleet")
    loaded, unknown = read(path)
    assert (loaded["action"], loaded["outcome"]) == ("POST /v1/models/{model:path}/load", "done")
    assert (loaded["model"], loaded["request_id"]) == ("one", "first")
    assert loaded["actor"]
    assert (unknown["model"], unknown["outcome"]) == ("two", "model_not_found")
    assert "sk-operator" not in path.read_text()


def test_what_commands_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, path = tmp_path / "keys.json", tmp_path / "audit"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOTLEY_KEYS_FILE", str(keys))
    monkeypatch.setenv("MOTLEY_KEYS_PEPPER", "sixteen characters at least")
    monkeypatch.setenv("MOTLEY_AUDIT", str(path))
    monkeypatch.setenv("LOGNAME", "tester")
    run = CliRunner().invoke
    made = run(motley, ["keys", "create", "--owner", "ann"])
    assert made.exit_code == 0
    plain = made.stdout.strip()
    key = json.loads(keys.read_text())["keys"][0]["id"]
    assert run(motley, ["keys", "rotate", key]).exit_code == 0
    assert run(motley, ["keys", "revoke", key]).exit_code == 0
    assert run(motley, ["keys", "revoke", "nobody"]).exit_code == 1
    done = read(path)
    assert [line["action"] for line in done] == ["keys create", "keys rotate", "keys revoke"]
    assert {(line["key"], line["actor"]) for line in done} == {(key, "user tester")}
    assert plain not in path.read_text()


def test_a_file_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was done is done: the log says so, without the path."""
    Audit(str(tmp_path / "not" / "there")).note("door", "rollback")
    [line] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert "cannot be written" in line.getMessage()
    assert str(tmp_path) not in line.getMessage()
