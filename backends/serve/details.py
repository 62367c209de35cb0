"""What Serve's controller says of its applications → the state of every variant. Pure.

The input is `ServeInstanceDetails` as a dict, as both the REST API and the controller give it;
keys without a value are left out there.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from backends.contract.state import Readiness, ReplicaState, VariantState
from backends.fleet import DOOR, NODE_LABEL
from backends.fleet.live import Node

_NEVER_SEEN = VariantState()

# Serve passes on why a replica did not start as a text with a traceback; ours, for people, stands in these.
_BEGIN, _END = "«motley:", ":motley»"

# Of replicas that take requests, or will in a moment: on a node that is being drained, while Serve changes
# what it told them, and while its controller, started anew, finds them again.
_SERVING = ("RUNNING", "PENDING_MIGRATION", "UPDATING", "RECOVERING")


def variant_states(
    details: Mapping[str, Any],
    nodes: Mapping[str, str],
    before: Mapping[str, VariantState],
    fallen: Collection[str] = (),
) -> dict[str, VariantState]:
    """State per application. `nodes`: Ray's node id → the fleet's name; `before`: the last answer,
    which tells a variant that died from one that never lived; `fallen`: ids of replicas that are known
    to be gone, which Serve finds out by itself some seconds later."""
    return {
        app: _state(found, nodes, before.get(app, _NEVER_SEEN), fallen, details.get("loads", {}))
        for app, found in details["applications"].items()
        if app != DOOR
    }


def inside(details: Mapping[str, Any]) -> dict[str, dict[str, bool]]:
    """The processes of slots, each with the applications in it, and whether these always are."""
    found = {}
    for name, told in details["applications"].items():
        spec = ((told.get("deployed_app_config") or {}).get("args") or {}).get("spec") or {}
        if "members" in spec:
            found[name] = {app: app in spec["pinned"] for app in spec["members"]}
    return found


def spread(
    processes: Mapping[str, VariantState], slots: Mapping[str, Mapping[str, bool]]
) -> dict[str, VariantState]:
    """The state of each variant, of processes some of which are `slots`: what is told of one of those is true
    of all in it, until it runs and says more."""
    states = {name: state for name, state in processes.items() if name not in slots}
    for name, apps in slots.items():
        whole = replace(processes[name], members={}) if name in processes else VariantState()
        told = processes[name].members if name in processes else {}
        for app, pinned in apps.items():
            own = told.get(app, VariantState("ready" if pinned else "cold"))
            states[app] = own if whole.ready else replace(whole, facts=own.facts, swaps=own.swaps)
    return states


def node(name: str, labels: Mapping[str, str], resources: Mapping[str, float]) -> Node:
    """`name`: Ray's id; `resources`: all that it has, in Ray's words."""
    return Node(name, labels.get(NODE_LABEL, ""), resources.get("CPU", 0), int(resources.get("GPU", 0)))


def lost(details: Mapping[str, Any], fallen: Collection[str] = ()) -> set[str]:
    """The applications without a process that may answer what it was already asked. One that is
    being stopped finishes first; of one that is being deleted, or built anew, nothing is told."""
    return {
        app
        for app, found in details["applications"].items()
        if found["status"] != "DELETING"
        and found["deployments"]
        and not any(replica["state"] in (*_SERVING, "STOPPING") for replica in _replicas(found, fallen))
    }


def settled(details: Mapping[str, Any]) -> dict[str, float]:
    """The applications that are as they were declared last, and when that was (Unix seconds)."""
    return {
        app: float(found["last_deployed_time_s"])
        for app, found in details["applications"].items()
        if found["status"] == "RUNNING"
    }


def marked(message: str) -> str:
    """What a replica says last, so that `variant_states` finds it in what Serve tells."""
    return f"{_BEGIN}{message}{_END}"


def replica_ids(details: Mapping[str, Any]) -> set[str]:
    """Of every replica that Serve names, whatever it does."""
    return {
        replica["replica_id"]
        for found in details["applications"].values()
        for replica in _replicas(found, ())
        if "replica_id" in replica
    }


def loading_ids(details: Mapping[str, Any]) -> set[str]:
    """Of the replicas that have a process which does not serve yet."""
    return {
        replica["replica_id"]
        for found in details["applications"].values()
        for replica in _replicas(found, ())
        if _loads(replica) and "replica_id" in replica
    }


def with_loads(details: Mapping[str, Any], told: Mapping[str, tuple[str, float | None]]) -> dict[str, Any]:
    """The same, with what some replicas tell of their load: the stage, and how far it is, 0…1."""
    found: dict[str, Any] = {**details, "loads": dict(told)}
    return found


def _loads(replica: Mapping[str, Any]) -> bool:
    return bool(replica["state"] == "STARTING" and replica.get("pid"))


def _state(
    found: Mapping[str, Any],
    nodes: Mapping[str, str],
    before: VariantState,
    fallen: Collection[str],
    loads: Mapping[str, tuple[str, float | None]],
) -> VariantState:
    if before.ready and not found["deployments"] and found["status"] != "DELETING":
        # Serve builds its new application and tells nothing of the old one, which serves.
        left = tuple(replica for replica in before.replicas if replica.id not in fallen)
        if left or not before.replicas:
            return replace(before, replicas=left)
    replicas = _replicas(found, fallen)
    running = [replica for replica in replicas if replica["state"] in _SERVING]
    loading = [replica for replica in replicas if _loads(replica)]
    telling = [loads[one["replica_id"]] for one in loading if one.get("replica_id") in loads]
    stage, progress = telling[0] if telling and not running else ("", None)
    failed = found["status"] == "DEPLOY_FAILED"
    return VariantState(
        readiness=_readiness(found, bool(running), bool(loading), before.readiness),
        stage=stage,
        progress=progress,
        seconds=_age(loading) if loading and not running else before.seconds,
        message=_last_words(found) if failed else "",
        replicas=tuple(
            _replica(replica, nodes, before) for replica in running or loading if replica.get("pid")
        ),
        facts=before.facts,
        members=before.members,
        pending=sum(replica["state"] == "STARTING" and not replica.get("pid") for replica in replicas),
    )


def _replica(told: Mapping[str, Any], nodes: Mapping[str, str], before: VariantState) -> ReplicaState:
    """With what it said of itself that does not change."""
    own, machine = told.get("replica_id", ""), told["node_id"]
    known = next((one for one in before.replicas if one.id == own), ReplicaState("", 0))
    return ReplicaState(
        nodes.get(machine, "unknown"),
        told["pid"],
        id=own,
        machine=machine,
        gpus=known.gpus,
        footprint=known.footprint,
    )


def _last_words(found: Mapping[str, Any]) -> str:
    for deployment in found["deployments"].values():
        _, began, rest = deployment.get("message", "").rpartition(_BEGIN)
        message, ended, _ = rest.partition(_END)
        if began and ended:
            return str(message)
    return "it could not start; the operator's log says why"


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


def _replicas(found: Mapping[str, Any], fallen: Collection[str]) -> list[Mapping[str, Any]]:
    return [
        replica
        for deployment in found["deployments"].values()
        for replica in deployment["replicas"]
        if replica.get("replica_id") not in fallen
    ]


def _age(replicas: list[Mapping[str, Any]]) -> float:
    return time.time() - min(float(replica["start_time_s"]) for replica in replicas)
