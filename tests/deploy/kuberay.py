"""What KubeRay's operator refuses though its schema takes it: the rules of its validation.go (v1.7.0), as far
as they can concern a RayService."""

import re
from collections.abc import Iterator

from tests.deploy.charts import Object

_DNS_1035 = re.compile("[a-z]([a-z0-9-]*[a-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL = re.compile("([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_OF_RESOURCES = {"num-cpus", "num-gpus", "memory", "resources"}


def refusals(service: Object) -> Iterator[str]:
    name, spec = service["metadata"]["name"], service["spec"]
    if len(name) > 47 or not _DNS_1035.fullmatch(name):
        yield f"the name {name}"
    for deprecated in ("serviceUnhealthySecondThreshold", "deploymentUnhealthySecondThreshold"):
        if deprecated in spec:
            yield f"{deprecated} does nothing any more"
    cluster = spec["rayClusterConfig"]
    head = cluster["headGroupSpec"]
    if "name" in head.get("headService", {}).get("metadata", {}):
        yield "headService has a name"
    ports = {port["name"] for port in head["template"]["spec"]["containers"][0].get("ports", [])}
    if ports and not any(port == "serve" or port.startswith("serve-") for port in ports):
        yield "the head lists ports, and none called serve"
    yield from _groups(cluster)
    yield from _redis(cluster)
    yield from _autoscaler(cluster)
    yield from _token(cluster)
    yield from _upgrade(spec)


def _groups(cluster: Object) -> Iterator[str]:
    workers = cluster["workerGroupSpecs"]
    if len({group["groupName"] for group in workers}) < len(workers):
        yield "two groups of one name"
    for group in (cluster["headGroupSpec"], *workers):
        name, params = group.get("groupName", "head"), group.get("rayStartParams", {})
        if group.get("resources") and _OF_RESOURCES & params.keys():
            yield f"{name}: resources twice"
        if "labels" in params:
            yield f"{name}: rayStartParams.labels"
        for key, value in group.get("labels", {}).items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL.fullmatch(value):
                yield f"{name}: the label {key}={value}"
    for group in workers:
        least, most = group.get("minReplicas"), group.get("maxReplicas")
        if not cluster.get("enableInTreeAutoscaling") and None in (least, most):
            yield f"{group['groupName']}: minReplicas and maxReplicas without an autoscaler"
        if least is not None and most is not None and not 0 <= least <= most:
            yield f"{group['groupName']}: {least} to {most} replicas"


def _environment(group: Object) -> dict[str, str]:
    container = group["template"]["spec"]["containers"][0]
    return {one["name"]: one.get("value", "") for one in container.get("env", [])}


def _redis(cluster: Object) -> Iterator[str]:
    head = cluster["headGroupSpec"]
    env, params = _environment(head), head.get("rayStartParams", {})
    if "gcsFaultToleranceOptions" in cluster:
        if {"REDIS_PASSWORD", "RAY_REDIS_ADDRESS"} & env.keys() or "redis-password" in params:
            yield "Redis is told twice"
    elif "RAY_REDIS_ADDRESS" in env:
        yield "RAY_REDIS_ADDRESS without gcsFaultToleranceOptions"
    if "REDIS_USERNAME" in env or "redis-username" in params:
        yield "the user of Redis outside of gcsFaultToleranceOptions"


def _autoscaler(cluster: Object) -> Iterator[str]:
    scales, groups = cluster.get("enableInTreeAutoscaling"), cluster["workerGroupSpecs"]
    env = _environment(cluster["headGroupSpec"])
    second = scales and cluster.get("autoscalerOptions", {}).get("version") == "v2"
    if "RAY_enable_autoscaler_v2" in env and (second or not scales):
        yield "RAY_enable_autoscaler_v2 beside autoscalerOptions, or without an autoscaler"
    if second:
        for group in (cluster["headGroupSpec"], *groups):
            if group["template"]["spec"].get("restartPolicy", "Never") != "Never":
                yield "a restartPolicy with autoscaler v2"
    elif any("idleTimeoutSeconds" in group for group in groups):
        yield "a group's idleTimeoutSeconds without autoscaler v2"


def _token(cluster: Object) -> Iterator[str]:
    options = cluster.get("authOptions", {})
    version = tuple(int(part) for part in re.findall(r"\d+", cluster.get("rayVersion", "")))
    if options.get("mode") == "token" and version < (2, 52, 0):
        yield "a token with no rayVersion, or with one before 2.52"
    if options.get("enableK8sTokenAuth"):
        yield "enableK8sTokenAuth in a RayService"


def _upgrade(spec: Object) -> Iterator[str]:
    strategy = spec.get("upgradeStrategy", {})
    if strategy.get("type") not in (None, "None", "NewCluster", "NewClusterWithIncrementalUpgrade"):
        yield f"the upgrade {strategy['type']}"
    if strategy.get("type") != "NewClusterWithIncrementalUpgrade":
        return
    options = strategy.get("clusterUpgradeOptions", {})
    step, surge = options.get("stepSizePercent", -1), options.get("maxSurgePercent", 100)
    if not 0 <= step <= surge <= 100 or options.get("intervalSeconds", 0) <= 0:
        yield "steps that do not fit"
    if not options.get("gatewayClassName"):
        yield "no class of Gateway"
    if not spec["rayClusterConfig"].get("enableInTreeAutoscaling"):
        yield "an incremental upgrade without the autoscaler"
