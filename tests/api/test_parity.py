"""`motley check --parity` against a running door: `fake-strangers` has two variants of two revisions."""

import json
from typing import Any

import httpx2
import pytest
import typer
from typer.testing import CliRunner, Result

from app.cli.check import check

from .doors import Door


@pytest.fixture
def run(door: Door) -> Any:
    app = typer.Typer()
    app.command()(check)

    def invoke(*given: str, key: str = door.key) -> Result:
        return CliRunner().invoke(app, [*given, "--url", door.base_url, "--key", key])

    return invoke


def test_strangers_are_told(run: Any, http: httpx2.Client) -> None:
    ran = run("--parity", "fake-strangers")
    assert ran.exit_code == 1
    assert "they differ" in ran.stdout
    ran = run("--parity", "fake-strangers", "--json")
    assert ran.exit_code == 1
    told = json.loads(ran.stdout)
    assert (told["ok"], told["tolerance"]) == (False, 0.001)
    assert told["largest"] > 0.1
    # Every process, not one of each variant: two serve the first where there is room for two.
    variants = http.get("/v1/fleet").json()["models"]["fake-strangers"]["variants"]
    processes = {(name, each["pid"]) for name, one in variants.items() for each in one["replicas"]}
    assert {(each["variant"], each["pid"]) for each in told["replicas"]} == processes
    assert {each["error"] for each in told["replicas"]} == {None}


def test_within_the_tolerance_they_agree(run: Any) -> None:
    ran = run("--parity", "fake-strangers", "--tolerance", "2")  # no two unit vectors differ by more
    assert (ran.exit_code, "they agree" in ran.stdout) == (0, True)


def test_one_alone_agrees_with_itself(run: Any) -> None:
    ran = run("--parity", "embeddings", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["largest"]) == (0, 0)


def test_a_model_of_another_task_and_a_wrong_key(run: Any) -> None:
    ran = run("--parity", "fake-chat")
    assert ran.exit_code == 1
    assert "answers 400" in ran.stderr
    assert "answers 401" in run("--parity", "fake-strangers", key="sk-wrong").stderr


@pytest.mark.parametrize("given", [(), ("fleet.yaml", "--parity", "fake-embed")])
def test_a_file_or_a_running_model(run: Any, given: tuple[str, ...]) -> None:
    assert run(*given).exit_code == 2


def test_the_answer_says_whose_it_is(http: httpx2.Client) -> None:
    known = http.get("/v1/models/fake-strangers").json()["fingerprints"]
    seen = {}
    for number in range(40):
        body = {"model": "fake-strangers", "input": "x", "user": str(number)}
        answer = http.post("/v1/embeddings", json=body)
        seen[answer.headers["x-motley-variant"]] = answer.headers["x-motley-fingerprint"]
    assert seen == known
    assert len(set(known.values())) == 2
