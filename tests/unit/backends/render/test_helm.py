"""What the chart is told of a fleet. That it makes a valid RayService of it is tests/deploy's matter."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from app.cli import main
from backends.fleet.load import load
from backends.fleet.schema import Fleet
from backends.render.environment import EVERYWHERE, KUBERNETES
from backends.render.helm import as_yaml, helm_values, with_doors

ROOT = Path(__file__).parents[4]
SHAPE = ROOT / "tests" / "data" / "fleets" / "reference_shape.yaml"
DEPLOY = ROOT / "tests" / "deploy" / "fleets"


def values(path: Path) -> Any:
    return helm_values(load(path), path.read_text())["fleet"]


def groups(path: Path) -> dict[str, Any]:
    return {one["name"]: one for one in values(path)["groups"]}


def test_a_group_per_kind_with_its_card_stated() -> None:
    found = groups(SHAPE)
    assert list(found) == ["doors", "khelben", "elminster", "drizzt", "danilo"]
    assert {name: (one["vendor"], one["image"]) for name, one in found.items()} == {
        "doors": ("cpu", "door"),
        "khelben": ("amd", "rocm"),
        "elminster": ("nvidia", "cuda"),
        "drizzt": ("amd", "rocm"),
        "danilo": ("intel", "xpu"),
    }
    danilo = found["danilo"]
    assert danilo["resources"] == {"CPU": "8", "GPU": "1"}
    assert danilo["labels"] == {"motley-node": "danilo"}
    assert danilo["requests"] == {"cpu": "6000m", "memory": f"{24 * 1024}Mi"}
    assert danilo["limits"] == {"memory": "32Gi"}
    assert "GPU" not in found["doors"]["resources"]
    assert found["khelben"]["models"] == [
        "llama-3.3-70b (stable): chat by fake, 0.5 of a GPU",
        "llama-3.3-70b (canary): chat by fake, 0.45 of a GPU",
    ]


def test_doors_have_pods_of_their_own_unless_the_fleet_says_where() -> None:
    fleet = load(SHAPE)
    housed = with_doors(fleet)
    assert (housed.door.nodes, housed.nodes["doors"].count) == (("doors",), fleet.door.replicas)
    shared = load(DEPLOY / "shared.yaml")
    assert with_doors(shared) is shared
    assert {name: one["doors"] for name, one in groups(DEPLOY / "shared.yaml").items()} == {
        "one": True,
        "two": True,
    }
    config = yaml.safe_load(values(DEPLOY / "far.yaml")["serveConfigV2"])
    [door] = config["applications"][-1]["deployments"]
    assert door["ray_actor_options"] == {"num_cpus": 0, "label_selector": {"motley-node": "doors"}}
    assert (door["num_replicas"], door["max_replicas_per_node"]) == (3, 1)


def test_a_kind_of_that_name_is_taken_for_them() -> None:
    raw = load(DEPLOY / "far.yaml").model_dump(mode="json")
    raw["nodes"] |= {"doors": raw["nodes"].pop("spare")}
    raw["models"]["cold"]["variants"]["main"]["place"]["node"] = "doors"
    found = {one["name"]: one for one in helm_values(Fleet.model_validate(raw), "")["fleet"]["groups"]}
    assert (found["doors"]["doors"], found["doors"]["stores"], found["doors"]["gpus"]) == (True, True, 1)


def test_kinds_with_nothing_to_do_are_no_pods() -> None:
    assert list(groups(DEPLOY / "far.yaml")) == ["doors", "lab", "spare"]


def test_how_few_pods_there_may_be() -> None:
    """Three of one GPU and a half fit on two nodes of two; a model that may be cold needs none."""
    found = groups(DEPLOY / "far.yaml")
    assert {name: (one["least"], one["most"]) for name, one in found.items()} == {
        "doors": (3, 3),
        "lab": (2, 3),
        "spare": (0, 2),
    }


def test_where_models_lie() -> None:
    found = groups(DEPLOY / "far.yaml")
    assert {name: (one["stores"], one["claims"]) for name, one in found.items()} == {
        "doors": (False, []),
        "lab": (True, ["shared"]),
        "spare": (True, []),
    }
    assert values(DEPLOY / "shared.yaml")["drainSeconds"] == 90


def test_what_shares_a_slot_is_named() -> None:
    assert groups(DEPLOY / "shared.yaml")["one"]["models"][1:] == [
        "first: embed by fake, no GPU",
        "second: rerank by fake, no GPU",
    ]


@pytest.mark.parametrize(
    ("aliases", "names"),
    [
        (["llm", "gpt-4o"], ["llm"]),
        ([], []),
        (["LLM"], []),
        (["org/llm"], []),
        (["gpt-3.5"], []),
        (["a" * 53], []),
        (["a" * 52], ["a" * 52]),
    ],
)
def test_kserves_names_are_first_aliases_that_services_may_have(aliases: list[str], names: list[str]) -> None:
    raw = load(SHAPE).model_dump(mode="json")
    raw["models"] = {"llama-3.3-70b": raw["models"]["llama-3.3-70b"] | {"aliases": aliases}}
    assert list(helm_values(Fleet.model_validate(raw), "")["fleet"]["predictors"]) == names


def test_the_values_come_back_as_they_were() -> None:
    """By way of YAML: what has lines stands there in lines."""
    given = helm_values(load(SHAPE), SHAPE.read_text())
    text = as_yaml(given)
    assert yaml.safe_load(text) == given
    assert "  serveConfigV2: |\n    proxy_location: EveryNode\n" in text
    assert "  file: |\n    # Four GPU nodes" in text


def test_one_environment_everywhere(tmp_path: Path) -> None:
    from backends.serve.cluster import environment

    (tmp_path / "h").mkdir()
    mine = environment(tmp_path)
    assert mine.items() >= EVERYWHERE.items()
    assert KUBERNETES.items() >= EVERYWHERE.items()
    # What names a folder of one machine is none for pods.
    assert not [key for key, value in KUBERNETES.items() if value.startswith("/")]


def test_the_command() -> None:
    done = CliRunner().invoke(main, ["render", "--helm", str(SHAPE)])
    assert (done.exit_code, done.stdout) == (0, as_yaml(helm_values(load(SHAPE), SHAPE.read_text())))
    refused = CliRunner().invoke(main, ["render", "--helm", "--port", "9000", str(SHAPE)])
    assert (refused.exit_code, "always" in refused.output) == (2, True)
    broken = CliRunner().invoke(main, ["render", "--helm", str(ROOT / "pyproject.toml")])
    assert broken.exit_code == 1


def test_it_needs_no_ray() -> None:
    code = "import sys; import backends.render.helm; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
