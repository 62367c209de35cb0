"""A fleet → the declarative config of Ray Serve's REST API: one application per variant and one
for the front door. Does not import Ray."""

from typing import Any, Literal

from backends.fleet import DOOR, NODE_LABEL
from backends.fleet.placement import crowding
from backends.fleet.schema import Fleet, Place, Scale, app_name, size_in_bytes
from backends.fleet.traffic import Public, outward
from backends.hosting import Live, Spec, parted

# Serve's own limits never act: past them it holds requests back, or answers in plain text.
UNLIMITED = 10_000

# A dead process is noticed in about a second; a busy one (a long step that holds the GIL) is not
# taken for dead.
_HEALTH = {"health_check_period_s": 0.5, "health_check_timeout_s": 30}


def serve_config(
    fleet: Fleet,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    proxies: Literal["HeadOnly", "EveryNode"] = "HeadOnly",
    doors: int = 1,
    drain_s: float = 30,
    public: Public | None = None,
) -> dict[str, Any]:
    """The body of `PUT /api/serve/applications/`, JSON-able.

    `host`, `port`: where the door listens; `doors`: its replicas; `drain_s`: how long a
    stopping replica may finish what it runs; `public`: what the doors are told besides the fleet.
    """
    models = [
        variant_application(fleet, model, variant, drain_s)
        for model in fleet.models
        for variant in fleet.models[model].variants
    ]
    return {
        "proxy_location": proxies,
        "http_options": {"host": host, "port": port},
        "applications": [*models, door_application(public or Public(fleet=fleet), doors, drain_s)],
    }


def variant_application(fleet: Fleet, model: str, variant: str, drain_s: float) -> dict[str, Any]:
    """One model in one version. Reached by handle only, so it has no route."""
    one = fleet.models[model].variants[variant]
    deployment = {
        "name": "Replica",
        "ray_actor_options": {
            "num_cpus": one.place.cpus,
            "num_gpus": one.place.share,
            "label_selector": {NODE_LABEL: _selector(one.place)},
        },
        **_replicas(one.scale),
        # The host queues and refuses, exactly and with our error: Serve's router must not hold
        # back what the host would refuse.
        "max_ongoing_requests": UNLIMITED,
        "max_queued_requests": -1,
        "user_config": live(fleet, model, variant),
        "max_surge_percent": _surge(fleet, model, variant),
        **_stopping(drain_s),
        **_HEALTH,
    }
    return {
        "name": app_name(model, variant),
        "route_prefix": None,
        "import_path": "backends.serve.application:model",
        "args": {"spec": spec(fleet, model, variant)},
        "deployments": [deployment],
    }


def spec(fleet: Fleet, model: str, variant: str) -> Spec:
    """What a process is made for. Serve replaces every replica when any of it changes: nothing
    belongs here that can change in place (`live`, replicas, traffic, aliases).

    `vram` is that of the smallest card among the nodes it may land on, in bytes.
    """
    one = fleet.models[model].variants[variant]
    nodes = [fleet.nodes[label] for label in one.place.nodes]
    return {
        "model": model,
        "variant": variant,
        "task": fleet.models[model].task,
        "engine": one.engine,
        "source": one.source,
        "options": parted(one.engine, one.options)[0],
        "share": one.place.share,
        "vendor": nodes[0].vendor,
        "vram": min(size_in_bytes(node.vram or "0") for node in nodes),
    }


def live(fleet: Fleet, model: str, variant: str) -> Live:
    """What Serve hands to the running replicas when it changes."""
    one = fleet.models[model].variants[variant]
    return {
        "options": parted(one.engine, one.options)[1],
        "max_ongoing": one.scale.max_ongoing,
        "max_queued": one.scale.max_queued,
    }


def door_application(public: Public, doors: int, drain_s: float) -> dict[str, Any]:
    """The public half of the fleet is its `user_config`: Serve hands a new one to the running processes."""
    told = public.model_copy(update={"fleet": outward(public.fleet)})
    user_config = told.model_dump(mode="json")
    deployment = {"name": "Door", **_light(doors, drain_s), "user_config": user_config}
    return {
        "name": DOOR,
        "route_prefix": "/",
        "import_path": "app.ingress:door",
        "deployments": [deployment],
    }


def _selector(place: Place) -> str:
    if len(place.nodes) == 1:
        return place.nodes[0]
    return f"in({','.join(place.nodes)})"


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
    autoscaling = {
        "min_replicas": least,
        "max_replicas": most,
        "target_ongoing_requests": scale.target_ongoing,
    }
    return {"autoscaling_config": autoscaling}


def _light(replicas: int, drain_s: float) -> dict[str, Any]:
    return {
        "ray_actor_options": {"num_cpus": 0},
        "num_replicas": replicas,
        "max_ongoing_requests": UNLIMITED,
        "max_queued_requests": -1,
        **_stopping(drain_s),
        **_HEALTH,
    }


def _stopping(drain_s: float) -> dict[str, float]:
    # Serve looks whether a replica is done every `wait_loop`: its default adds 2 s to each stop.
    return {"graceful_shutdown_timeout_s": drain_s, "graceful_shutdown_wait_loop_s": 0.1}
