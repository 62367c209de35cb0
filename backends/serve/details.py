"""What Serve's controller says of its applications → the state of every variant. Pure.

The input is `ServeInstanceDetails` as a dict, as both the REST API and the controller give it;
keys without a value are left out there.
"""

import time
from collections.abc import Mapping
from typing import Any

from backends.contract.state import Readiness, ReplicaState, VariantState
from backends.fleet import DOOR

_NEVER_SEEN = VariantState()
# UPDATING: it takes other options while it serves. PENDING_MIGRATION: it serves until another does.
_SERVING = ("RUNNING", "UPDATING", "PENDING_MIGRATION")


def variant_states(
    details: Mapping[str, Any],
    nodes: Mapping[str, str],
    before: Mapping[str, VariantState],
) -> dict[str, VariantState]:
    """State per application. `nodes`: Ray's node id → the fleet's name; `before`: the last answer,
    which tells a variant that died from one that never lived."""
    return {
        app: _state(found, nodes, before.get(app, _NEVER_SEEN))
        for app, found in details["applications"].items()
        if app != DOOR
    }


def lost(details: Mapping[str, Any]) -> set[str]:
    """The applications without a process that may answer what it was already asked. One that is
    being stopped finishes first; of one that is being deleted, or built anew, nothing is told."""
    return {
        app
        for app, found in details["applications"].items()
        if found["status"] != "DELETING"
        and found["deployments"]
        and not any(replica["state"] in (*_SERVING, "STOPPING") for replica in _replicas(found))
    }


def settled(details: Mapping[str, Any]) -> dict[str, float]:
    """The applications that are as they were declared last, and when that was (Unix seconds)."""
    return {
        app: float(found["last_deployed_time_s"])
        for app, found in details["applications"].items()
        if found["status"] == "RUNNING"
    }


def _state(found: Mapping[str, Any], nodes: Mapping[str, str], before: VariantState) -> VariantState:
    if before.ready and not found["deployments"] and found["status"] != "DELETING":
        return before  # Serve builds its new application and tells nothing of the old one, which serves
    replicas = _replicas(found)
    running = [replica for replica in replicas if replica["state"] in _SERVING]
    loading = [replica for replica in replicas if replica["state"] == "STARTING" and replica.get("pid")]
    failed = found["status"] == "DEPLOY_FAILED"
    return VariantState(
        readiness=_readiness(bool(running), bool(loading), failed, before.readiness),
        seconds=_age(loading) if loading and not running else before.seconds,
        message="it could not start; the operator's log says why" if failed else "",
        replicas=tuple(
            ReplicaState(nodes.get(replica["node_id"], "unknown"), replica["pid"])
            for replica in running or loading
        ),
        facts=before.facts,
    )


def _readiness(running: bool, loading: bool, failed: bool, before: Readiness) -> Readiness:
    if running:
        return "ready"
    if failed:
        return "down"
    if loading:
        return "loading"
    return "down" if before in ("ready", "down") else "waiting"


def _replicas(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [replica for deployment in found["deployments"].values() for replica in deployment["replicas"]]


def _age(replicas: list[Mapping[str, Any]]) -> float:
    return time.time() - min(float(replica["start_time_s"]) for replica in replicas)
