"""From what Serve's controller says to the state of a variant."""

import time
from dataclasses import replace
from typing import Any

import pytest

from backends.contract.state import Footprint, Readiness, ReplicaState, VariantState
from backends.fleet.live import Node
from backends.serve.details import (
    inside,
    loading_ids,
    lost,
    marked,
    node,
    replica_ids,
    settled,
    spread,
    variant_states,
    with_loads,
)

NODES = {"node-1": "elminster"}


def app(
    *replicas: dict[str, Any], status: str = "DEPLOYING", wanted: int = 1, deployment: str = "UPDATING"
) -> dict[str, Any]:
    told = {"replicas": list(replicas), "target_num_replicas": wanted, "status": deployment}
    return {"status": status, "deployments": {"Replica": told}}


def replica(state: str, pid: int | None = 7, of: str = "one") -> dict[str, Any]:
    told = {"state": state, "replica_id": of, "start_time_s": time.time() - 5}
    return told if pid is None else {**told, "pid": pid, "node_id": "node-1"}


def one(found: dict[str, Any], before: Readiness = "waiting") -> VariantState:
    details = {"applications": {"a--main": found, "door": app(replica("RUNNING"))}}
    states = variant_states(details, NODES, {"a--main": VariantState(before, facts={"kept": True})})
    assert states.keys() == {"a--main"}
    return states["a--main"]


@pytest.mark.parametrize(
    ("found", "before", "readiness"),
    [
        (app(), "waiting", "waiting"),
        (app(replica("STARTING", pid=None)), "waiting", "waiting"),
        (app(replica("STARTING")), "waiting", "loading"),
        (app(replica("STARTING")), "down", "loading"),
        (app(replica("RUNNING"), status="RUNNING"), "loading", "ready"),
        (app(replica("RUNNING"), replica("STARTING")), "ready", "ready"),
        (app(replica("STOPPING")), "ready", "down"),
        (app(replica("PENDING_MIGRATION")), "ready", "ready"),
        (app(replica("UPDATING")), "ready", "ready"),
        (app(replica("RECOVERING", pid=None)), "ready", "ready"),
        (app(), "ready", "down"),
        (app(replica("STARTING", pid=None)), "ready", "down"),
        (app(status="DEPLOY_FAILED"), "loading", "down"),
        ({"status": "DEPLOYING", "deployments": {}}, "waiting", "waiting"),
        (app(status="RUNNING", wanted=0), "waiting", "cold"),
        (app(status="RUNNING", wanted=0), "ready", "cold"),
        (app(replica("STOPPING"), wanted=0), "ready", "cold"),
        (app(replica("RUNNING"), wanted=0), "ready", "ready"),
        (app(wanted=1), "cold", "waiting"),
        (app(deployment="UPSCALING"), "ready", "waiting"),
        (app(replica("STARTING", pid=None), deployment="UNHEALTHY"), "ready", "down"),
        (app(replica("STARTING"), wanted=1), "cold", "loading"),
        (app(status="DEPLOY_FAILED", wanted=0), "loading", "down"),
        ({"status": "DEPLOYING", "deployments": {}}, "ready", "ready"),
        ({"status": "DEPLOY_FAILED", "deployments": {}}, "ready", "ready"),
        ({"status": "DEPLOY_FAILED", "deployments": {}}, "waiting", "down"),
        ({"status": "DELETING", "deployments": {}}, "ready", "down"),
    ],
)
def test_readiness(found: dict[str, Any], before: Readiness, readiness: Readiness) -> None:
    assert one(found, before).readiness == readiness


def test_where_it_runs_and_since_when() -> None:
    state = one(app(replica("STARTING")))
    assert [(told.node, told.pid) for told in state.replicas] == [("elminster", 7)]
    assert 4 < state.seconds < 60
    assert state.facts == {"kept": True}


def test_a_failed_start_points_to_the_log() -> None:
    assert "log" in one(app(status="DEPLOY_FAILED")).message


def test_a_replica_says_itself_why_it_did_not_start() -> None:
    failed = app(status="DEPLOY_FAILED")
    told = f'Error:\nray::Replica() (pid=1)\n  File "replica.py"\nRuntimeError: {marked("needs 5 GiB")}\n'
    failed["deployments"]["Replica"]["message"] = told
    assert one(failed).message == "needs 5 GiB"


def test_replicas_without_a_process_are_pending() -> None:
    assert one(app(replica("STARTING", pid=None), replica("STARTING", pid=None))).pending == 2
    assert one(app(replica("RUNNING"), replica("STARTING", pid=None), status="RUNNING")).pending == 1
    assert one(app(replica("STARTING"))).pending == 0


def test_how_far_a_load_is() -> None:
    found = {"applications": {"a--main": app(replica("STARTING"), replica("STARTING", pid=None, of="two"))}}
    assert loading_ids(found) == {"one"}
    states = variant_states(with_loads(found, {"one": ("fetching, 1 of 2 GB", 0.5)}), NODES, {})
    state = states["a--main"]
    assert (state.readiness, state.stage, state.progress) == ("loading", "fetching, 1 of 2 GB", 0.5)
    found = {"applications": {"a--main": app(replica("RUNNING", of="other"), replica("STARTING"))}}
    state = variant_states(with_loads(found, {"one": ("fetching", None)}), NODES, {})["a--main"]
    assert (state.readiness, state.stage) == ("ready", "")


def test_what_a_replica_said_of_itself_is_kept() -> None:
    said = ReplicaState("elminster", 7, busy=3, id="one", machine="node-1", gpus=(1,), footprint=Footprint(5))
    details = {"applications": {"a--main": app(replica("RUNNING"), replica("RUNNING", pid=8, of="two"))}}
    before = {"a--main": VariantState("ready", replicas=(said,))}
    kept, new = variant_states(details, NODES, before)["a--main"].replicas
    assert (kept.machine, kept.gpus, kept.footprint, kept.busy) == ("node-1", (1,), Footprint(5), 0)
    assert (new.pid, new.gpus) == (8, ())


def test_a_node_in_ray_s_words() -> None:
    assert node("a", {"motley-node": "twin"}, {"CPU": 4.0, "GPU": 2.0}) == Node("a", "twin", 4, 2)
    assert node("a", {}, {}) == Node("a", "", 0, 0)


def test_only_a_variant_without_a_process_has_lost_what_it_was_asked() -> None:
    applications = {
        "serving": app(replica("RUNNING")),
        "finishing": app(replica("STOPPING")),
        "updating": app(replica("UPDATING")),
        "killed": app(replica("STARTING", pid=None)),
        "deleted": app(status="DELETING"),
        "moving": app(replica("PENDING_MIGRATION")),
        "found again": app(replica("RECOVERING", pid=None)),
        "built": {"status": "DEPLOYING", "deployments": {}},
    }
    assert lost({"applications": applications}) == {"killed"}


def test_the_fallen_do_not_count_before_serve_knows() -> None:
    one, other = replica("RUNNING", of="one"), replica("RUNNING", pid=8, of="other")
    applications = {"lone--main": app(one), "pair--main": app(one, other)}
    details = {"applications": applications}
    before = dict.fromkeys(applications, VariantState("ready"))
    states = variant_states(details, NODES, before, fallen={"one"})
    assert {name: state.readiness for name, state in states.items()} == {
        "lone--main": "down",
        "pair--main": "ready",
    }
    assert [told.id for told in states["pair--main"].replicas] == ["other"]
    assert lost(details, fallen={"one"}) == {"lone--main"}
    assert replica_ids(details) == {"one", "other"}


def test_settled_is_what_is_as_it_was_declared() -> None:
    told = {"a--main": "RUNNING", "b--main": "DEPLOYING", "c--main": "DEPLOY_FAILED"}
    applications = {name: {**app(status=status), "last_deployed_time_s": 7} for name, status in told.items()}
    assert settled({"applications": applications}) == {"a--main": 7.0}


def test_who_is_in_a_slot_is_as_its_process_until_that_says_more() -> None:
    spec = {"members": {"a--main": {}, "b--main": {}}, "pinned": ["b--main"]}
    found = app(replica("RUNNING"), status="RUNNING") | {"deployed_app_config": {"args": {"spec": spec}}}
    details = {"applications": {"slot_desk": found, "c--main": app(replica("STARTING"))}}
    slots = inside(details)
    assert slots == {"slot_desk": {"a--main": False, "b--main": True}}

    def told(processes: dict[str, VariantState]) -> dict[str, str]:
        return {name: state.readiness for name, state in spread(processes, slots).items()}

    processes = variant_states(details, NODES, {})
    assert told(processes) == {"a--main": "cold", "b--main": "ready", "c--main": "loading"}
    members = {"a--main": VariantState("loading"), "b--main": VariantState("ready", facts={"voices": 2})}
    said = {"slot_desk": replace(processes["slot_desk"], members=members)}
    assert told(said) == {"a--main": "loading", "b--main": "ready"}
    # What was said stays known over a look at Serve, and is no longer true when the process is gone.
    assert variant_states(details, NODES, said)["slot_desk"].members == members
    gone = {"applications": {"slot_desk": {**found, "deployments": app()["deployments"]}}}
    down = spread(variant_states(gone, NODES, said), slots)
    assert [(one.readiness, dict(one.facts)) for one in down.values()] == [
        ("down", {}),
        ("down", {"voices": 2}),
    ]
    assert told({}) == {"a--main": "waiting", "b--main": "waiting"}
