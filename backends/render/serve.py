"""A fleet → the declarative config of Ray Serve's REST API: one application per variant and one
for the front door. Does not import Ray."""

from dataclasses import replace
from typing import Any, Literal

from backends.contract.engine import GpuShare
from backends.engines.registry import engine_class
from backends.fleet import DOOR, NODE_LABEL
from backends.fleet.crowding import crowding
from backends.fleet.schema import (
    Door,
    Fleet,
    Model,
    Place,
    Scale,
    Variant,
    app_name,
    slot_name,
)
from backends.fleet.traffic import Public, outward
from backends.hosting import Live, SlotSpec, Spec, parted
from backends.sizes import size_in_bytes

# Serve's own limits never act: past them it holds requests back, or answers in plain text.
UNLIMITED = 10_000

# The resource that Ray gives its head, and nobody else.
HEAD = "node:__internal_head__"

# Over how many seconds Serve looks back at a variant of one replica, or none.
QUICK_S = 2.0

# A dead process is noticed in about a second; a busy one (a long step that holds the GIL) is not
# taken for dead.
_HEALTH = {"health_check_period_s": 0.5, "health_check_timeout_s": 30}


def serve_config(
    fleet: Fleet,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    proxies: Literal["HeadOnly", "EveryNode"] = "HeadOnly",
    drain_s: float | None = None,
    public: Public | None = None,
) -> dict[str, Any]:
    """The body of `PUT /api/serve/applications/`, JSON-able.

    `host`, `port`: where the door listens; `drain_s`: in the place of the fleet's; `public`: what the doors
    are told besides the fleet.
    """
    if drain_s is not None:
        fleet = fleet.model_copy(update={"drain_s": drain_s})
    models = [
        variant_application(fleet, model, variant)
        for model in fleet.models
        for variant, one in fleet.models[model].variants.items()
        if one.slot is None
    ]
    return {
        "proxy_location": proxies,
        "http_options": {"host": host, "port": port},
        "applications": [
            *models,
            *(slot_application(fleet, slot) for slot in fleet.slots),
            door_application(public or Public(fleet=fleet), fleet.drain_s, proxies == "HeadOnly"),
        ],
    }


def variant_application(fleet: Fleet, model: str, variant: str) -> dict[str, Any]:
    """One model in one version."""
    one = fleet.models[model].variants[variant]
    deployment = {
        **_hosting(one.place),
        **_replicas(one.scale),
        "user_config": live(fleet, model, variant),
        "max_surge_percent": _surge(fleet, model, variant),
        **_stopping(_drain_s(fleet.models[model], one.scale, fleet.drain_s)),
    }
    return _application(app_name(model, variant), "model", spec(fleet, model, variant), deployment)


def slot_application(fleet: Fleet, slot: str) -> dict[str, Any]:
    """All variants that take turns in one place: one process. It stops before another takes its place, which
    it has for itself."""
    deployment = {
        **_hosting(fleet.slots[slot].place),
        "num_replicas": 1,
        "user_config": slot_lives(fleet, slot),
        "max_surge_percent": 0,
        **_stopping(fleet.drain_s),
    }
    return _application(slot_name(slot), "slot", slot_spec(fleet, slot), deployment)


def _hosting(place: Place) -> dict[str, Any]:
    return {
        "name": "Replica",
        "ray_actor_options": {"num_cpus": place.cpus, "num_gpus": place.share, **_on(place.nodes)},
        # The host queues and refuses, exactly and with our error: Serve's router must not hold
        # back what the host would refuse.
        "max_ongoing_requests": UNLIMITED,
        "max_queued_requests": -1,
        **_HEALTH,
    }


def _application(
    name: str, builder: str, spec: Spec | SlotSpec, deployment: dict[str, Any]
) -> dict[str, Any]:
    """Reached by handle only, so it has no route."""
    return {
        "name": name,
        "route_prefix": None,
        "import_path": f"backends.serve.application:{builder}",
        "args": {"spec": spec},
        "deployments": [deployment],
    }


def slot_spec(fleet: Fleet, slot: str) -> SlotSpec:
    """What the process of a slot is made for, as `spec`."""
    members = fleet.members(slot)
    variants = {app_name(*who): one for who, one in members.items()}
    return {
        "slot": slot,
        "members": {app_name(*who): spec(fleet, *who) for who in members},
        "pinned": [app for app, one in variants.items() if one.pin],
        "declared": {
            app: size_in_bytes(one.memory) for app, one in variants.items() if one.memory is not None
        },
        "memory": fleet.holds(slot),
        "most": fleet.slots[slot].most,
    }


def slot_lives(fleet: Fleet, slot: str) -> dict[str, Live]:
    """By application, as `live`."""
    return {app_name(*who): live(fleet, *who) for who in fleet.members(slot)}


def spec(fleet: Fleet, model: str, variant: str) -> Spec:
    """What a process is made for. Serve replaces every replica when any of it changes: nothing
    belongs here that can change in place (`live`, replicas, traffic, aliases).

    `vram` is that of the smallest card among the nodes it may land on, in bytes.
    """
    one = fleet.models[model].variants[variant]
    share = _part(fleet, one)
    return {
        "model": model,
        "variant": variant,
        "task": fleet.models[model].task,
        "engine": one.engine,
        "source": one.source,
        "allow_pickle": one.allow_pickle,
        "options": parted(one.engine, one.options)[0],
        "share": share.share,
        "vendor": share.vendor,
        "vram": share.vram,
    }


def _part(fleet: Fleet, one: Variant) -> GpuShare:
    """What an engine may take: all of its place, unless it always takes all and the fleet gives it a part."""
    share = fleet.granted(one.place)
    if one.slot is None or one.memory is None or not getattr(engine_class(one.engine), "fills", False):
        return share
    part = size_in_bytes(one.memory) / share.granted if share.granted and share.share <= 1 else 1.0
    return replace(share, share=round(share.share * min(part, 1.0), 4))


def live(fleet: Fleet, model: str, variant: str) -> Live:
    """What Serve hands to the running replicas when it changes."""
    one = fleet.models[model].variants[variant]
    return {
        "options": parted(one.engine, one.options)[1],
        "max_ongoing": one.scale.max_ongoing,
        "max_queued": one.scale.max_queued,
    }


def door_application(public: Public, drain_s: float, on_head: bool) -> dict[str, Any]:
    """The public half of the fleet is its `user_config`: Serve hands a new one to the running processes.

    `on_head`: unless the fleet says where, beside the only proxy, which then reaches it by loopback."""
    fleet = public.fleet
    told = public.model_copy(update={"fleet": outward(fleet)})
    user_config = told.model_dump(mode="json")
    deployment = {"name": "Door", **_light(fleet.door, drain_s), "user_config": user_config}
    if on_head and not fleet.door.nodes:
        deployment["ray_actor_options"] |= {"resources": {HEAD: 0.001}}
    if not on_head and fleet.door.nodes:
        # Spread evenly: else all may be on one node, and end with it.
        count = sum(fleet.nodes[kind].count for kind in fleet.door.nodes)
        deployment["max_replicas_per_node"] = -(-fleet.door.replicas // count)
    return {
        "name": DOOR,
        "route_prefix": "/",
        "import_path": "app.ingress:door",
        "deployments": [deployment],
    }


def _on(nodes: tuple[str, ...]) -> dict[str, Any]:
    """The option for the label that a node must have; none where it may be any."""
    if not nodes:
        return {}
    return {"label_selector": {NODE_LABEL: nodes[0] if len(nodes) == 1 else f"in({','.join(nodes)})"}}


def _surge(fleet: Fleet, model: str, variant: str) -> int:
    """Per cent of its replicas by which a variant may exceed them while it is replaced: one replica, where
    there is room for it, so that the new one is up before the old one goes; else none. (One that waited
    for room that never comes would hold up the update for ever.)"""
    one = fleet.models[model].variants[variant]
    least, most = one.scale.replicas
    wanted = max(least, 1) + 1
    more = one.scale.model_copy(update={"replicas": (wanted, max(wanted, most))})
    variants = {**fleet.models[model].variants, variant: one.model_copy(update={"scale": more})}
    models = {**fleet.models, model: fleet.models[model].model_copy(update={"variants": variants})}
    crowded = any(crowding(fleet.model_copy(update={"models": models})))
    return 0 if crowded else max(1, 100 // most)


def _replicas(scale: Scale) -> dict[str, Any]:
    least, most = scale.replicas
    if least == most:
        return {"num_replicas": least}
    # Of one that never has company nothing is averaged: what is past delays only its going.
    window = scale.window_s if most > 1 else QUICK_S
    autoscaling = {
        "min_replicas": least,
        "max_replicas": most,
        "target_ongoing_requests": scale.target_ongoing,
        "look_back_period_s": window,
        # Serve calls it deprecated, and has nothing yet in its place that has an effect. Its 10 s would be
        # waited for by whoever wants a cold model.
        "metrics_interval_s": min(window / 2, 1.0 if scale.may_be_cold else 5.0),
        "upscale_delay_s": scale.up_delay_s,
        "downscale_delay_s": scale.down_delay_s,
        "downscale_to_zero_delay_s": scale.idle_s,
        "policy": {"policy_function": "backends.serve.scaling:by_requests"},
    }
    return {"autoscaling_config": autoscaling}


def _drain_s(model: Model, scale: Scale, drain_s: float) -> float:
    """Where replicas come and go with the requests, none of these is cut by it."""
    return drain_s if len(set(scale.replicas)) == 1 else max(drain_s, model.timeout_s)


def _light(door: Door, drain_s: float) -> dict[str, Any]:
    return {
        "ray_actor_options": {"num_cpus": 0, **_on(door.nodes)},
        "num_replicas": door.replicas,
        "max_ongoing_requests": UNLIMITED,
        "max_queued_requests": -1,
        **_stopping(drain_s),
        **_HEALTH,
    }


def _stopping(drain_s: float) -> dict[str, float]:
    # Serve looks whether a replica is done every `wait_loop`: its default adds 2 s to each stop.
    return {"graceful_shutdown_timeout_s": drain_s, "graceful_shutdown_wait_loop_s": 0.1}
