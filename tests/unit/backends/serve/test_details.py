"""From what Serve's controller says to the state of a variant."""

import time
from typing import Any

import pytest

from backends.contract.state import Readiness, VariantState
from backends.serve.details import lost, settled, variant_states

NODES = {"node-1": "elminster"}


def app(*replicas: dict[str, Any], status: str = "DEPLOYING") -> dict[str, Any]:
    return {"status": status, "deployments": {"Replica": {"replicas": list(replicas)}}}


def replica(state: str, pid: int | None = 7) -> dict[str, Any]:
    told = {"state": state, "start_time_s": time.time() - 5}
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
        # Taking other options while it serves; serving until another does on another node.
        (app(replica("UPDATING")), "ready", "ready"),
        (app(replica("PENDING_MIGRATION")), "ready", "ready"),
        (app(replica("STOPPING")), "ready", "down"),
        (app(), "ready", "down"),
        (app(replica("STARTING", pid=None)), "ready", "down"),
        (app(status="DEPLOY_FAILED"), "loading", "down"),
        ({"status": "DEPLOYING", "deployments": {}}, "waiting", "waiting"),
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


def test_only_a_variant_without_a_process_has_lost_what_it_was_asked() -> None:
    applications = {
        "serving": app(replica("RUNNING")),
        "finishing": app(replica("STOPPING")),
        "updating": app(replica("UPDATING")),
        "killed": app(replica("STARTING", pid=None)),
        "deleted": app(status="DELETING"),
        "built": {"status": "DEPLOYING", "deployments": {}},
    }
    assert lost({"applications": applications}) == {"killed"}


def test_settled_is_what_is_as_it_was_declared() -> None:
    told = {"a--main": "RUNNING", "b--main": "DEPLOYING", "c--main": "DEPLOY_FAILED"}
    applications = {name: {**app(status=status), "last_deployed_time_s": 7} for name, status in told.items()}
    assert settled({"applications": applications}) == {"a--main": 7.0}
