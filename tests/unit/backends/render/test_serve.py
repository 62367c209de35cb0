import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backends.fleet import NODE_LABEL
from backends.fleet.load import load
from backends.fleet.schema import Fleet
from backends.fleet.traffic import outward
from backends.render.serve import serve_config

ROOT = Path(__file__).parents[4]
REFERENCE = ROOT / "tests" / "data" / "fleets" / "reference_shape.yaml"


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return load(REFERENCE)


@pytest.fixture(scope="module")
def applications(fleet: Fleet) -> dict[str, Any]:
    return {one["name"]: one for one in serve_config(fleet)["applications"]}


def deployment(application: dict[str, Any]) -> dict[str, Any]:
    [one] = application["deployments"]
    assert isinstance(one, dict)
    return one


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")  # in Ray's own models
@pytest.mark.filterwarnings("ignore:The `metrics_interval_s` field")  # its successor has no effect yet
@pytest.mark.parametrize(
    "path", [REFERENCE, ROOT / "deploy" / "fleets" / "embedded.yaml"], ids=lambda p: p.name
)
def test_serve_accepts_it(path: Path) -> None:
    from ray.serve.schema import ServeDeploySchema

    fleet = load(path)
    accepted = ServeDeploySchema(**json.loads(json.dumps(serve_config(fleet))))
    variants = sum(len(model.variants) for model in fleet.models.values())
    assert len(accepted.applications) == variants + 1
    for application in accepted.applications:
        # A misspelt key would be dropped without a word.
        [given] = [one for one in serve_config(fleet)["applications"] if one["name"] == application.name]
        assert set(deployment(given)) <= application.deployments[0].model_fields_set


def test_rendering_does_not_import_ray() -> None:
    script = "import sys, backends.render.serve; print('ray' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_one_application_per_variant_and_two_of_our_own(applications: dict[str, Any]) -> None:
    assert list(applications) == [
        "llama-3-3-70b--stable",
        "llama-3-3-70b--canary",
        "whisper-large-v3--main",
        "xtts-v2--main",
        "baai-bge-large-en-v1-5--main",
        "baai-bge-reranker-large--main",
        "door",
    ]


def test_only_the_door_has_a_route(applications: dict[str, Any]) -> None:
    assert {name: one["route_prefix"] for name, one in applications.items() if one["route_prefix"]} == {
        "door": "/"
    }


def test_a_variant_in_full(applications: dict[str, Any]) -> None:
    assert applications["llama-3-3-70b--stable"] == {
        "name": "llama-3-3-70b--stable",
        "route_prefix": None,
        "import_path": "backends.serve.application:model",
        "args": {
            "spec": {
                "model": "llama-3.3-70b",
                "variant": "stable",
                "task": "chat",
                "engine": "fake",
                "source": "builtin://fake",
                "allow_pickle": False,
                "options": {},
                "share": 0.5,
                "vendor": "amd",
                "vram": 96 * 2**30,
            }
        },
        "deployments": [
            {
                "name": "Replica",
                "ray_actor_options": {
                    "num_cpus": 2,
                    "num_gpus": 0.5,
                    "label_selector": {"motley-node": "khelben"},
                },
                "num_replicas": 1,
                "max_ongoing_requests": 10_000,
                "max_queued_requests": -1,
                "user_config": {"options": {"words": 5}, "max_ongoing": 64, "max_queued": 128},
                "max_surge_percent": 0,
                "graceful_shutdown_timeout_s": 30,
                "graceful_shutdown_wait_loop_s": 0.1,
                "health_check_period_s": 0.5,
                "health_check_timeout_s": 30,
            }
        ],
    }


POLICY = {"policy_function": "backends.serve.scaling:by_requests"}


def test_a_range_of_replicas_scales_by_load(applications: dict[str, Any]) -> None:
    one = deployment(applications["whisper-large-v3--main"])
    assert "num_replicas" not in one
    assert one["autoscaling_config"] == {
        "min_replicas": 1,
        "max_replicas": 3,
        "target_ongoing_requests": 2,
        "look_back_period_s": 10,
        "metrics_interval_s": 5,
        "upscale_delay_s": 10,
        "downscale_delay_s": 300,
        "downscale_to_zero_delay_s": 300,
        "policy": POLICY,
    }


def scaled(fleet: Fleet, **scale: Any) -> dict[str, Any]:
    raw = fleet.model_dump(mode="json")
    raw["models"]["whisper-large-v3"]["variants"]["main"]["scale"] = scale
    raw["models"]["whisper-large-v3"]["timeout_s"] = 900
    [found] = [
        one
        for one in serve_config(Fleet.model_validate(raw))["applications"]
        if one["name"].startswith("whisper")
    ]
    return deployment(found)


def test_every_knob_of_scaling_arrives(fleet: Fleet) -> None:
    one = scaled(
        fleet, replicas=[0, 4], target_ongoing=3, window_s=6, up_delay_s=1, down_delay_s=2, idle_s=7
    )["autoscaling_config"]
    assert one == {
        "min_replicas": 0,
        "max_replicas": 4,
        "target_ongoing_requests": 3,
        "look_back_period_s": 6,
        "metrics_interval_s": 1,
        "upscale_delay_s": 1,
        "downscale_delay_s": 2,
        "downscale_to_zero_delay_s": 7,
        "policy": POLICY,
    }
    alone = scaled(fleet, replicas=[0, 1])["autoscaling_config"]
    assert (alone["look_back_period_s"], alone["metrics_interval_s"]) == (2, 1)


def test_scaling_cuts_no_request(fleet: Fleet) -> None:
    """A replica that goes finishes what it runs, as long as a request may take."""
    stops = {
        tuple(replicas): scaled(fleet, replicas=replicas)["graceful_shutdown_timeout_s"]
        for replicas in ([1, 1], [2, 2], [0, 1], [1, 3])
    }
    assert stops == {(1, 1): 30, (2, 2): 30, (0, 1): 900, (1, 3): 900}


def test_one_door_always_stays(fleet: Fleet) -> None:
    door = deployment(serve_config(fleet)["applications"][-1])
    assert (door["num_replicas"], "autoscaling_config" in door) == (1, False)


def test_several_nodes_are_one_selector_and_the_smallest_card(applications: dict[str, Any]) -> None:
    application = applications["baai-bge-reranker-large--main"]
    options = deployment(application)["ray_actor_options"]
    assert options["label_selector"] == {"motley-node": "in(danilo,drizzt)"}
    assert application["args"]["spec"]["vram"] == 4 * 2**30


def test_the_door_gets_the_public_half_in_place(applications: dict[str, Any], fleet: Fleet) -> None:
    door = deployment(applications["door"])
    told = Fleet.model_validate(json.loads(json.dumps(door["user_config"]))["fleet"])
    assert told == outward(fleet) == outward(told)
    assert told.models["llama-3.3-70b"].weights == {"stable": 90, "canary": 10}
    assert told.models["llama-3.3-70b"].variants["stable"].options == {}
    assert door["max_ongoing_requests"] >= 10_000
    assert door["ray_actor_options"] == {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}
    assert "args" not in applications["door"]


def test_what_can_change_in_place_is_not_in_the_arguments(fleet: Fleet) -> None:
    """Serve replaces the replicas of an application whose arguments changed."""
    raw = fleet.model_dump(mode="json")
    llama = raw["models"]["llama-3.3-70b"]
    llama["traffic"] = {"stable": 50, "canary": 50}
    llama["aliases"] = []
    llama["variants"]["stable"]["scale"] = {"replicas": [1, 4], "max_ongoing": 1, "max_queued": 2}
    llama["variants"]["stable"]["options"] = {"words": 9}
    changed = serve_config(Fleet.model_validate(raw))
    for before, after in zip(serve_config(fleet)["applications"], changed["applications"], strict=True):
        assert before.get("args") == after.get("args")
    assert changed != serve_config(fleet)


def test_what_a_replica_alone_must_know_is_no_change_for_the_doors(fleet: Fleet) -> None:
    raw = fleet.model_dump(mode="json")
    raw["models"]["llama-3.3-70b"]["variants"]["stable"] |= {
        "options": {"words": 9},
        "scale": {"max_queued": 2},
    }
    changed = serve_config(Fleet.model_validate(raw))["applications"]
    before = serve_config(fleet)["applications"]
    assert [was == now for was, now in zip(before, changed, strict=True)] == [False, *[True] * 6]


def surge(fleet: Fleet, application: str) -> Any:
    return deployment({one["name"]: one for one in serve_config(fleet)["applications"]}[application])[
        "max_surge_percent"
    ]


def test_the_new_one_comes_up_beside_the_old_where_there_is_room(fleet: Fleet) -> None:
    """0.45 and 0.5 of one GPU: neither fits twice. The reranker may be on either of two nodes."""
    assert surge(fleet, "llama-3-3-70b--canary") == 0
    assert surge(fleet, "baai-bge-reranker-large--main") == 0
    raw = fleet.model_dump(mode="json")
    raw["nodes"]["khelben"]["count"] = 2
    raw["models"]["whisper-large-v3"]["variants"]["main"]["place"]["share"] = 0.1
    roomy = Fleet.model_validate(raw)
    assert surge(roomy, "llama-3-3-70b--canary") == 100
    # Of three at most one at a time is one in addition.
    assert surge(roomy, "whisper-large-v3--main") == 33


def test_where_the_door_listens(fleet: Fleet) -> None:
    three = Fleet.model_validate(
        fleet.model_dump() | {"door": {"replicas": 3, "node": ["danilo", "drizzt"]}, "drain_s": 90}
    )
    config = serve_config(three, host="0.0.0.0", port=9000, proxies="EveryNode")
    assert config["http_options"] == {"host": "0.0.0.0", "port": 9000}
    assert config["proxy_location"] == "EveryNode"
    door = deployment(config["applications"][-1])
    assert (door["num_replicas"], door["graceful_shutdown_timeout_s"]) == (3, 90)
    assert door["ray_actor_options"]["label_selector"] == {NODE_LABEL: "in(danilo,drizzt)"}
    on_head = deployment(serve_config(fleet)["applications"][-1])["ray_actor_options"]
    assert on_head == {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}
    stopped = {deployment(one)["graceful_shutdown_timeout_s"] for one in config["applications"]}
    assert stopped == {90, 600}  # where replicas come and go with the requests, they finish these
    quick = serve_config(three, drain_s=5)["applications"]
    assert {deployment(one)["graceful_shutdown_timeout_s"] for one in quick} == {5, 600}
