"""What must be so of all that the chart makes, whatever the values: each rule says what is wrong."""

from collections.abc import Callable, Iterator
from typing import Any

import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _get_labels_from_group_spec,
    _get_ray_resources_from_group_spec,
)

from backends.fleet import DOOR
from backends.fleet.placement import Ask, Machine, solve
from tests.deploy.charts import Object, containers, of_kind, ray_templates, templates, the

Rule = Callable[[list[Object]], Iterator[str]]
DOOR_PORT = 8000


def images_are_pinned(found: list[Object]) -> Iterator[str]:
    for name, pod in templates(found).items():
        for one in containers(pod):
            image = one["image"].rsplit("/", 1)[-1]
            tag = image.partition(":")[2]
            if "@sha256:" not in image and (not tag or tag == "latest"):
                yield f"{name}: {one['image']}"


def no_variable_is_empty_or_twice(found: list[Object]) -> Iterator[str]:
    for name, pod in templates(found).items():
        for one in containers(pod):
            names = [variable["name"] for variable in one.get("env", [])]
            yield from (f"{name}: {twice} twice" for twice in set(names) if names.count(twice) > 1)
            for variable in one.get("env", []):
                if not variable.get("value") and "valueFrom" not in variable:
                    yield f"{name}: {variable['name']} is empty"


def what_rays_processes_must_find(found: list[Object]) -> Iterator[str]:
    """Decision 1, and the one setting without which pods of different images refuse one another."""
    wanted = {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
        "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
    }
    cluster = the(found, "RayService")["spec"]["rayClusterConfig"]
    if cluster.get("authOptions", {}).get("mode") != "token":
        wanted["RAY_AUTH_MODE"] = "disabled"  # else it depends on what lies in the pod
    for name, pod in ray_templates(found).items():
        env = _env(pod)
        yield from (f"{name}: {key} is not {value}" for key, value in wanted.items() if env.get(key) != value)


def pods_are_restricted(found: list[Object]) -> Iterator[str]:
    """Kubernetes' `restricted` profile, and a root that nobody writes to. A folder of the node (models,
    devices) is no part of it, and is asked for by values: of pods that have one all else holds, but for
    devices."""
    for name, pod in templates(found).items():
        spec, devices = pod["spec"], _devices(pod)
        general = spec.get("securityContext", {})
        if not general.get("runAsNonRoot") or not general.get("runAsUser"):
            yield f"{name} may run as root"
        if general.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name}: seccomp"
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{name} is in the node's namespaces"
        for volume in spec.get("volumes", []):
            if "hostPath" in volume and volume["name"] != "models" and volume["name"] not in devices:
                yield f"{name} mounts {volume['hostPath']['path']} of the node"
        for one in containers(pod):
            yield from (f"{name}/{one['name']}: {what}" for what in _loose(one, bool(devices)))
    options = the(found, "RayService")["spec"]["rayClusterConfig"].get("autoscalerOptions")
    if options is not None:
        yield from (f"autoscaler: {what}" for what in _loose(options, False))


def _loose(container: Object, devices: bool) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("privileged") and devices:
        return
    if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
        yield "may become more than it is"
    if security.get("capabilities", {}).get("drop") != ["ALL"] or security["capabilities"].get("add"):
        yield "has capabilities"
    if not security.get("readOnlyRootFilesystem"):
        yield "writes to its root"
    if not container.get("resources"):
        yield "asks for no resources"


def doors_have_nothing_of_the_node(found: list[Object]) -> Iterator[str]:
    for name, pod in templates(found).items():
        of_the_node = any("hostPath" in volume for volume in pod["spec"].get("volumes", []))
        if name in _doors(found) and not _models(found, name) and of_the_node:
            yield f"{name} mounts a folder of the node"


def tokens_of_the_cluster_are_where_they_are_used(found: list[Object]) -> Iterator[str]:
    scales = the(found, "RayService")["spec"]["rayClusterConfig"]["enableInTreeAutoscaling"]
    for name, pod in templates(found).items():
        if pod["spec"].get("automountServiceAccountToken") is not (name == "head" and scales):
            yield f"{name}: automountServiceAccountToken"


def the_door_knows_who_may_come(found: list[Object]) -> Iterator[str]:
    """Without keys a door answers 403 to names with a dot, as Services have: never by accident."""
    for name in _doors(found):
        pod = templates(found)[name]
        variables = {one["name"]: one for one in pod["spec"]["containers"][0]["env"]}
        mounted = {one["mountPath"] for one in pod["spec"]["containers"][0]["volumeMounts"]}
        file = variables.get("MOTLEY_KEYS_FILE", {}).get("value", "")
        if file and (file.rpartition("/")[0] not in mounted or "MOTLEY_KEYS_PEPPER" not in variables):
            yield f"{name}: the keys file is not mounted, or has no pepper"
        if not {"MOTLEY_KEYS_FILE", "MOTLEY_API_KEYS", "MOTLEY_OPEN_TO_ALL"} & variables.keys():
            yield f"{name}: neither keys nor open"


def probes_need_no_shell(found: list[Object]) -> Iterator[str]:
    for name, pod in ray_templates(found).items():
        for probe in ("livenessProbe", "readinessProbe"):
            if "httpGet" not in pod["spec"]["containers"][0].get(probe, {}):
                yield f"{name}: {probe}"


def nobody_is_killed_while_draining(found: list[Object]) -> Iterator[str]:
    """preStop, then Ray's own drain (SIGTERM), which lasts as long as the fleet lets replicas finish. (Those
    that come and go have longer for it; not where their pod goes.)"""
    patience = dict(_deployments(found))[DOOR]["graceful_shutdown_timeout_s"]
    for name, pod in ray_templates(found).items():
        if name == "head":
            continue
        sleep = int(pod["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
        drain = int(_env(pod)["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
        if drain < patience:
            yield f"{name} drains {drain} s, a replica in it {patience}"
        if pod["spec"]["terminationGracePeriodSeconds"] < sleep + drain:
            yield f"{name} is killed after {pod['spec']['terminationGracePeriodSeconds']} s"


def services_find_pods(found: list[Object]) -> Iterator[str]:
    for service in of_kind(found, "Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        if spec["type"] == "ExternalName":
            release = the(found, "RayService")["metadata"]
            if not spec["externalName"].startswith(
                f"{release['name']}-serve-svc.{release['namespace']}.svc."
            ):
                yield f"{name} leads to {spec['externalName']}"
            continue
        pods = [pod for pod in ray_templates(found).values() if _matches(spec["selector"], pod)]
        if not pods:
            yield f"{name} finds no pod"
        for port in spec["ports"]:
            if port["targetPort"] != DOOR_PORT:
                yield f"{name} gives {port['targetPort']} to clients"


def outside_leads_to_the_door(found: list[Object]) -> Iterator[str]:
    services = {one["metadata"]["name"]: one for one in of_kind(found, "Service")}
    asked = [
        (path["backend"]["service"]["name"], path["backend"]["service"]["port"]["number"])
        for ingress in of_kind(found, "Ingress")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ] + [
        (backend["name"], backend["port"])
        for route in of_kind(found, "HTTPRoute")
        for rule in route["spec"]["rules"]
        for backend in rule["backendRefs"]
    ]
    for name, port in asked:
        ports = [one["port"] for one in services.get(name, {"spec": {"ports": []}})["spec"]["ports"]]
        if port not in ports:
            yield f"{name}:{port} is no Service here"
    for route in of_kind(found, "HTTPRoute"):
        if any(rule.get("timeouts", {}).get("request") != "0s" for rule in route["spec"]["rules"]):
            yield "a route ends streams"


def only_the_door_is_open(found: list[Object]) -> Iterator[str]:
    """Each pod is behind a policy, and what anyone may reach is one port, of workers."""
    policies = of_kind(found, "NetworkPolicy")
    if not policies:
        return
    for name, pod in ray_templates(found).items():
        mine = [one for one in policies if _selects(one["spec"]["podSelector"], pod)]
        if not mine:
            yield f"{name} is behind no policy"
        for policy in mine:
            for rule in policy["spec"]["ingress"]:
                ports = {port["port"] for port in rule.get("ports", [])}
                peers = rule.get("from", [])
                if not any("podSelector" in peer and "namespaceSelector" not in peer for peer in peers):
                    yield from _opened(name, policy, ports, bool(peers))


def _opened(name: str, policy: Object, ports: set[Any], named: bool) -> Iterator[str]:
    if policy["metadata"]["name"].endswith("-clients"):
        if ports != {DOOR_PORT} or name == "head":
            yield f"{name}: clients reach {sorted(ports) or 'every port'}"
    elif not named or not ports or ports & {6379, 10001, 8404, 9101, *range(30000, 31001)}:
        yield f"{name}: others reach {sorted(ports) or 'every port'}"


def doors_are_evicted_one_by_one(found: list[Object]) -> Iterator[str]:
    """Of pods that no Deployment owns, Kubernetes takes a number that stays, and nothing else."""
    groups = the(found, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    for budget in of_kind(found, "PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"]
        pods = sum(one["maxReplicas"] for one in groups if _matches(wanted, one["template"]))
        if budget["spec"].get("minAvailable") != pods - 1 or "maxUnavailable" in budget["spec"] or pods < 2:
            yield f"{pods} doors, of which may go: {budget['spec']}"


def monitors_find_what_they_scrape(found: list[Object]) -> Iterator[str]:
    for monitor in of_kind(found, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        hits = [one for one in of_kind(found, "Service") if wanted <= one["metadata"]["labels"].items()]
        addresses = [
            rule["replacement"].split(":")[0]
            for end in monitor["spec"]["endpoints"]
            for rule in end["relabelings"]
            if rule.get("targetLabel") == "__address__"
        ]
        if len(hits) != 1 or addresses != [
            f"{hits[0]['metadata']['name']}.{hits[0]['metadata']['namespace']}.svc"
        ]:
            yield "the ServiceMonitor scrapes something else than the door, or several times"
    for monitor in of_kind(found, "PodMonitor"):
        ports = {port["name"] for port in ray_templates(found)["head"]["spec"]["containers"][0]["ports"]}
        yield from (
            f"no port {end['port']}"
            for end in monitor["spec"]["podMetricsEndpoints"]
            if end["port"] not in ports
        )
        for name, pod in ray_templates(found).items():
            if not _matches(monitor["spec"]["selector"]["matchLabels"], pod):
                yield f"{name} is not scraped"


def volumes_are_there(found: list[Object]) -> Iterator[str]:
    for name, pod in templates(found).items():
        there = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        for one in containers(pod):
            mounts = one.get("volumeMounts", [])
            yield from (
                f"{name}: no volume {mount['name']}" for mount in mounts if mount["name"] not in there
            )
            places = [mount["mountPath"] for mount in mounts]
            if len(set(places)) < len(places):
                yield f"{name}: two volumes in one place"


def what_is_written_is_a_volume(found: list[Object]) -> Iterator[str]:
    """The root is read-only, and the images' own places for caches are in it."""
    for name, pod in ray_templates(found).items():
        for one in containers(pod):
            places = [mount["mountPath"] for mount in one["volumeMounts"] if not mount.get("readOnly")]
            env = {variable["name"]: variable.get("value", "") for variable in one["env"]}
            for key in ("HOME", "XDG_CACHE_HOME", *(("MOTLEY_STORE",) if _models(found, name) else ())):
                if not f"{env.get(key)}/".startswith(tuple(f"{place}/" for place in places)):
                    yield f"{name}/{one['name']}: {key} is {env.get(key)}, where nobody can write"


def every_share_has_a_place(found: list[Object]) -> Iterator[str]:
    """By what Ray's autoscaler reads from the groups: labels and resources as KubeRay hands them to Ray."""
    groups = the(found, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    machines, labels = [], {}
    for group in groups:
        name = group["groupName"]
        labels[name] = _get_labels_from_group_spec(group)
        resources = _get_ray_resources_from_group_spec(group, is_head=False)
        machines += [
            Machine(name, number + 1, resources["CPU"], resources.get("GPU", 0))
            for number in range(group["maxReplicas"])
        ]
    asks = []
    for app, deployment in _deployments(found):
        options = deployment["ray_actor_options"]
        kinds = tuple(name for name in labels if _fits(options.get("label_selector", {}), labels[name]))
        if not kinds:
            yield f"{app}: no group has {options['label_selector']}"
            continue
        scaling = deployment.get("autoscaling_config", {})
        least = scaling.get("min_replicas", deployment.get("num_replicas", 1))
        asks += [
            Ask(app, "", number + 1, kinds, options.get("num_gpus", 0), options.get("num_cpus", 0))
            for number in range(least)
        ]
        if app == DOOR:
            room = deployment["max_replicas_per_node"] * sum(one.kind in kinds for one in machines)
            if room < least:
                yield f"{least} doors, and room for {room}"
    yield from (f"{ask.model}: no room for {ask.share:g} of a GPU" for ask in solve(asks, machines).left)


def kubernetes_gives_the_cards_that_ray_counts(found: list[Object]) -> Iterator[str]:
    for group in the(found, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
        counted = int(group["resources"].get("GPU", 0))
        limits = group["template"]["spec"]["containers"][0]["resources"].get("limits", {})
        given = sum(int(amount) for name, amount in limits.items() if "/" in name)
        if given != counted and not _devices(group["template"]):
            yield f"{group['groupName']}: Ray counts {counted} GPUs, Kubernetes gives {given}"


def predictors_are_kserves(found: list[Object]) -> Iterator[str]:
    for service in of_kind(found, "Service"):
        name, label = service["metadata"]["name"], "serving.kserve.io/inferenceservice"
        if (
            name.endswith("-predictor")
            and service["metadata"]["labels"].get(label) != name[: -len("-predictor")]
        ):
            yield f"{name} has no label of KServe's"


RULES: tuple[Rule, ...] = (
    images_are_pinned,
    no_variable_is_empty_or_twice,
    what_rays_processes_must_find,
    pods_are_restricted,
    doors_have_nothing_of_the_node,
    tokens_of_the_cluster_are_where_they_are_used,
    the_door_knows_who_may_come,
    probes_need_no_shell,
    nobody_is_killed_while_draining,
    services_find_pods,
    outside_leads_to_the_door,
    only_the_door_is_open,
    doors_are_evicted_one_by_one,
    monitors_find_what_they_scrape,
    volumes_are_there,
    what_is_written_is_a_volume,
    every_share_has_a_place,
    kubernetes_gives_the_cards_that_ray_counts,
    predictors_are_kserves,
)


def names(found: list[Object]) -> Iterator[tuple[str, str]]:
    """(kind, name) of every Secret, ConfigMap and claim that a manifest speaks of."""
    for one in found:
        yield from _named(one)


def _named(part: Any) -> Iterator[tuple[str, str]]:
    keys = {
        "secretKeyRef": ("Secret", "name"),
        "secretRef": ("Secret", "name"),
        "secret": ("Secret", "secretName"),
        "configMapKeyRef": ("ConfigMap", "name"),
        "configMap": ("ConfigMap", "name"),
        "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
        "credentials": ("Secret", "name"),
        "authOptions": ("Secret", "secretName"),
    }
    if isinstance(part, dict):
        for key, value in part.items():
            if key in keys and isinstance(value, dict) and keys[key][1] in value:
                yield keys[key][0], value[keys[key][1]]
            elif key == "imagePullSecrets":
                yield from (("Secret", one["name"]) for one in value)
            elif key == "tls" and isinstance(value, list):
                yield from (("Secret", one["secretName"]) for one in value)
            yield from _named(value)
    elif isinstance(part, list):
        for value in part:
            yield from _named(value)


def serve_config(found: list[Object]) -> Any:
    return yaml.safe_load(the(found, "RayService")["spec"]["serveConfigV2"])


def _deployments(found: list[Object]) -> list[tuple[str, Object]]:
    return [(app["name"], app["deployments"][0]) for app in serve_config(found)["applications"]]


def _apps_on(found: list[Object], group: str) -> list[str]:
    label = {"motley-node": group}
    return [
        app
        for app, deployment in _deployments(found)
        if _fits(deployment["ray_actor_options"].get("label_selector", {}), label)
    ]


def _fits(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Ray's syntax, as far as fleets use it: `x` or `in(x,y)`."""
    return all(
        labels.get(key) in wanted.removeprefix("in(").removesuffix(")").split(",")
        for key, wanted in selector.items()
    )


def _doors(found: list[Object]) -> list[str]:
    return [
        name
        for name, pod in ray_templates(found).items()
        if pod["metadata"]["labels"].get("motley/doors") == "true"
    ]


def _models(found: list[Object], name: str) -> bool:
    return any(app != DOOR for app in _apps_on(found, name))


def _devices(pod: Object) -> set[str]:
    return {one["name"] for one in pod["spec"].get("volumes", []) if one["name"].startswith("device-")}


def _env(pod: Object) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}


def _matches(wanted: dict[str, str], pod: Object) -> bool:
    return wanted.items() <= pod["metadata"]["labels"].items()


def _selects(selector: Object, pod: Object) -> bool:
    labels = pod["metadata"]["labels"]
    return _matches(selector.get("matchLabels", {}), pod) and all(
        labels.get(one["key"]) not in one["values"] for one in selector.get("matchExpressions", [])
    )
