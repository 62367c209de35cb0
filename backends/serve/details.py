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
    being stopped finishes first; of one that is being deleted nothing is told any more."""
    return {
        app
        for app, found in details["applications"].items()
        if found["status"] != "DELETING"
        and not any(replica["state"] in ("RUNNING", "STOPPING") for replica in _replicas(found))
    }


def _state(found: Mapping[str, Any], nodes: Mapping[str, str], before: VariantState) -> VariantState:
    replicas = _replicas(found)
    running = [replica for replica in replicas if replica["state"] == "RUNNING"]
    loading = [replica for replica in replicas if replica["state"] == "STARTING" and replica.get("pid")]
    failed = found["status"] == "DEPLOY_FAILED"
    return VariantState(
        readiness=_readiness(found, bool(running), bool(loading), before.readiness),
        seconds=_age(loading) if loading and not running else before.seconds,
        message="it could not start; the operator's log says why" if failed else "",
        replicas=tuple(
            ReplicaState(nodes.get(replica["node_id"], "unknown"), replica["pid"])
            for replica in running or loading
        ),
        facts=before.facts,
    )


def _readiness(found: Mapping[str, Any], running: bool, loading: bool, before: Readiness) -> Readiness:
    deployments = list(found["deployments"].values())
    if running:
        return "ready"
    if found["status"] == "DEPLOY_FAILED":
        return "down"
    # To Serve that is as healthy as any.
    if deployments and all(one["target_num_replicas"] == 0 for one in deployments):
        return "cold"
    if loading:
        return "loading"
    # One that went idle and was asked for again in the same moment has not died.
    if before in ("ready", "down") and not any(one["status"] == "UPSCALING" for one in deployments):
        return "down"
    return "waiting"


def _replicas(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [replica for deployment in found["deployments"].values() for replica in deployment["replicas"]]


def _age(replicas: list[Mapping[str, Any]]) -> float:
    return time.time() - min(float(replica["start_time_s"]) for replica in replicas)
