"""`motley traffic`, `promote`, `rollback` and `deploy` against a cluster's REST API."""

import asyncio
import io
import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from app.cli import main
from app.cli.watch import stamp, watch
from backends.fleet.schema import Fleet
from backends.fleet.traffic import complete
from backends.render.serve import serve_config
from backends.serve.declared import applications
from backends.serve.rest import Cluster

from .dashboard import Dashboard

FAKE = {"engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}
FLEET: dict[str, Any] = {
    "version": 1,
    "nodes": {"here": {}},
    "models": {
        "ab": {
            "task": "chat",
            "aliases": ["llm"],
            "traffic": {"stable": 90, "canary": 10},
            "variants": {"stable": FAKE, "canary": FAKE},
        },
        "voice": {"task": "speak", **FAKE},
    },
}


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    one = Dashboard(serve_config(Fleet.model_validate(FLEET), drain_s=5))
    yield one
    one.close()


def motley(dashboard: Dashboard, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--address", dashboard.address])


def written(folder: Path, nodes: Any = None, **models: Any) -> str:
    raw = deepcopy(FLEET)
    raw["nodes"] = nodes or raw["nodes"]
    for name, change in models.items():
        raw["models"][name] = {**raw["models"].get(name, {}), **change}
    file = folder / "fleet.yaml"
    file.write_text(yaml.safe_dump(raw, sort_keys=False))
    return str(file)


def test_traffic_shows_and_changes(dashboard: Dashboard) -> None:
    shown = motley(dashboard, "traffic", "llm")
    assert (shown.exit_code, shown.stdout) == (0, "ab: stable 90 %, canary 10 %\n")
    assert dashboard.puts == []
    changed = motley(dashboard, "traffic", "ab", "stable=70", "canary=30%")
    assert changed.stdout == "ab: stable 70 %, canary 30 % (it was stable 90 %, canary 10 %)\n"
    assert complete(dashboard.public.fleet.models["ab"]) == {"stable": 70, "canary": 30}
    # Nothing else of what runs was declared otherwise.
    before = applications(serve_config(Fleet.model_validate(FLEET), drain_s=5))
    after = applications(dashboard.config)
    assert {name for name in before if before[name] != after[name]} == {"door"}
    assert motley(dashboard, "traffic", "ab", "stable=70", "canary=30").exit_code == 0
    assert len(dashboard.puts) == 1


def test_promote_and_rollback(dashboard: Dashboard) -> None:
    told = json.loads(motley(dashboard, "promote", "ab", "canary", "--json").stdout)
    assert told == {
        "model": "ab",
        "traffic": {"stable": 0, "canary": 100},
        "before": {"stable": 90, "canary": 10},
        "changed": True,
    }
    back = json.loads(motley(dashboard, "rollback", "llm", "--json").stdout)
    assert back["traffic"] == {"stable": 90, "canary": 10}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("traffic", "nobody", "stable=100"), 1, "there is no model 'nobody'"),
        (("traffic", "nobody"), 1, "there is no model 'nobody'"),
        (("traffic", "ab", "stable=90"), 1, "90 in all"),
        (("traffic", "ab", "stabel=100"), 1, "did you mean 'stable'?"),
        (("traffic", "ab", "stable"), 2, "is no share"),
        (("traffic", "ab", "stable=-1"), 2, "is no share"),
        (("traffic", "ab", "stable=50", "stable=50"), 2, "named twice"),
        (("promote", "ab", "main"), 1, "no variant 'main'"),
        (("rollback", "ab"), 1, "nothing to go back to"),
    ],
)
def test_what_makes_no_sense_is_refused(
    dashboard: Dashboard, arguments: tuple[str, ...], code: int, said: str
) -> None:
    refused = motley(dashboard, *arguments)
    assert refused.exit_code == code
    assert said in " ".join(refused.stderr.replace("│", " ").split())
    assert dashboard.puts == []


def test_who_is_not_there() -> None:
    empty = Dashboard()
    assert "no door" in motley(empty, "promote", "ab", "canary").stderr
    empty.close()
    for command in (("traffic", "ab"), ("deploy", "deploy/fleets/embedded.yaml")):
        gone = motley(empty, *command)
        assert (gone.exit_code, "no Ray dashboard answers at" in gone.stderr) == (1, True)


def test_deploy_says_what_becomes_of_each(dashboard: Dashboard, tmp_path: Path) -> None:
    file = written(
        tmp_path,
        ab={
            "variants": {
                "stable": {**FAKE, "options": {"words": 5}},
                "canary": {**FAKE, "options": {"context": 9}},
            }
        },
        more={"task": "chat", **FAKE},
    )
    dry = motley(dashboard, "deploy", file, "--dry-run")
    assert dry.stdout.splitlines() == [
        "in place   ab (stable) (options.words)",
        "replaced   ab (canary) (options.context; the new one beside the old)",
        "added      more",
        "unchanged  1 variant",
    ]
    assert dashboard.puts == []
    done = motley(dashboard, "deploy", file)
    assert done.exit_code == 0
    assert done.stdout.endswith("deployed\n")
    assert len(dashboard.puts) == 1
    # What the door was started with stands.
    (door,) = applications(dashboard.config)["door"]["deployments"]
    assert door["graceful_shutdown_timeout_s"] == 5
    assert motley(dashboard, "deploy", file, "--dry-run").stdout == "unchanged  4 variants\n"


def test_a_deploy_for_programs(dashboard: Dashboard, tmp_path: Path) -> None:
    def told(*arguments: str) -> dict[str, Any]:
        done = motley(dashboard, "deploy", file, "--json", *arguments)
        answer: dict[str, Any] = json.loads(done.stdout)
        assert (done.exit_code == 0) == (answer["outcome"] != "failed"), done.stderr
        return answer

    file = written(tmp_path, ab={"traffic": {"stable": 80, "canary": 20}}, more={"task": "chat", **FAKE})
    planned = told("--dry-run")
    assert (planned["outcome"], dashboard.puts) == ("planned", [])
    added = {"app": "more--main", "who": "more", "fate": "added", "why": [], "gap": False}
    assert [step for step in planned["steps"] if step["fate"] != "unchanged"] == [added]
    assert planned["doors"] == ["ab: traffic stable 90 %, canary 10 % → stable 80 %, canary 20 %"]
    assert told() == {**planned, "outcome": "deployed"}
    assert told("--no-wait")["outcome"] == "accepted"
    dashboard.fails = lambda application: "broken" in str(application)
    file = written(
        tmp_path, ab={"variants": {"stable": FAKE, "canary": {**FAKE, "source": "builtin://broken"}}}
    )
    assert told()["outcome"] == "failed"


def test_a_deploy_keeps_the_way_back(dashboard: Dashboard, tmp_path: Path) -> None:
    motley(dashboard, "traffic", "ab", "stable=50", "canary=50")
    done = motley(dashboard, "deploy", written(tmp_path))
    assert "in place   ab: traffic stable 50 %, canary 50 % → stable 90 %, canary 10 %" in done.stdout
    back = motley(dashboard, "rollback", "ab")
    assert back.stdout.startswith("ab: stable 50 %, canary 50 %")


def test_what_goes_is_not_asked_any_more_before_it_goes(dashboard: Dashboard, tmp_path: Path) -> None:
    file = written(tmp_path, ab={"variants": {"stable": FAKE}, "traffic": {"stable": 100}})
    assert "removed    ab (canary)" in motley(dashboard, "deploy", file).stdout
    first, last = dashboard.puts
    assert "ab--canary" in applications(first)
    assert "ab--canary" not in applications(last)
    assert applications(first)["door"] == applications(last)["door"]


def test_a_broken_file_changes_nothing(dashboard: Dashboard, tmp_path: Path) -> None:
    file = written(tmp_path, ab={"traffic": {"stable": 1}})
    refused = motley(dashboard, "deploy", file)
    assert (refused.exit_code, dashboard.puts) == (1, [])
    assert "sums to 1" in refused.stderr


def test_what_serve_refuses_is_said(dashboard: Dashboard, tmp_path: Path) -> None:
    dashboard.refuses = "no such option"
    refused = motley(dashboard, "deploy", written(tmp_path, more={"task": "chat", **FAKE}))
    assert (refused.exit_code, "no such option" in refused.stderr) == (1, True)


def test_a_variant_that_cannot_start_brings_the_old_fleet_back(dashboard: Dashboard, tmp_path: Path) -> None:
    before = applications(dashboard.config)
    dashboard.fails = lambda application: "broken" in str(application)
    canary = {**FAKE, "source": "builtin://broken"}
    file = written(tmp_path, ab={"variants": {"stable": FAKE, "canary": canary}})
    failed = motley(dashboard, "deploy", file)
    assert failed.exit_code == 1
    assert "ab (canary) could not start; the fleet of before is declared again" in failed.stderr
    assert applications(dashboard.config) == before


async def test_watching(dashboard: Dashboard, tmp_path: Path) -> None:
    file = Path(written(tmp_path))
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    running = Fleet.model_validate(FLEET)
    watching = asyncio.create_task(
        watch(file, stamp(file), running, Cluster(dashboard.address), console, port=8000)
    )

    async def until(said: str) -> None:
        async with asyncio.timeout(30):
            while said not in printed.getvalue():
                await asyncio.sleep(0.05)

    written(tmp_path, ab={"traffic": {"stable": 1}})
    await until("what ran before goes on")
    assert "sums to 1" in printed.getvalue()
    assert dashboard.puts == []
    written(tmp_path, more={"task": "chat", **FAKE})
    await until("\ndeployed")
    assert "added      more" in printed.getvalue()
    file.unlink()  # noqa: ASYNC240 (as editors do)
    written(tmp_path, nodes={"here": {"cpus": 2}})
    await until("start `motley up` anew")
    assert len(dashboard.puts) == 1
    watching.cancel()
