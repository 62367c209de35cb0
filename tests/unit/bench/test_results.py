"""What a bench found is kept with where it was found; a short try replaces nothing."""

import json
from pathlib import Path

import pytest

from bench import __main__ as every
from bench import results

ROWS = {"one": {"Motley": 1.23456, "peer": 2}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "found"))
    return tmp_path / "found"


def test_what_is_kept(folder: Path) -> None:
    results.kept("some", "Some", "ms", ROWS, rounds=15)
    told = json.loads((folder / "some.json").read_text())
    assert told["rows"] == {"one": {"Motley": 1.235, "peer": 2}}
    assert (told["rounds"], told["from"], told["better"]) == (15, "a run", "less")
    assert told["machine"]["cores"] >= 1
    assert len(told["machine"]["load"]) == 3
    assert any(line.startswith("ray ") for line in told["versions"])


def test_what_stands_beside_us_is_named(folder: Path) -> None:
    results.kept("some", "Some", "ms", ROWS, rounds=15, versions=["peer 7"])
    motley, *others = json.loads((folder / "some.json").read_text())["versions"]
    assert (motley.split(" ")[0], others) == ("motley", ["peer 7"])


def test_a_try_replaces_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("BENCH_RESULTS", raising=False)
    results.kept("a-try", "Some", "ms", ROWS, rounds=14)
    assert not (results.FOLDER / "a-try.json").exists()
    assert "14 rounds are fewer than 15" in capsys.readouterr().out


def test_one_that_fails_stops_no_other_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Makefile").write_text(
        "bench-door:\n\t@echo 'no Ray here' >&2; exit 3\nbench-chains:\n\t@echo fine\n"
    )
    monkeypatch.chdir(tmp_path)
    assert every.main(["door", "chains"]) == 1
    door, chains = capfd.readouterr().out.splitlines()[-2:]
    assert door == "door     FAILED: no Ray here"
    assert chains.startswith("chains   ran in ")
    assert every.main(["nothing"]) == 2
