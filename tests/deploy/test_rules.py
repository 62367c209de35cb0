"""Every rule can fail: what breaks it, and that it says so."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy import rules
from tests.deploy.charts import Object, of_kind, the
from tests.deploy.kuberay import refusals
from tests.deploy.schemas import wrong

Render = Callable[[str], list[Object]]
Break = Callable[[list[Object]], Any]


def cluster(found: list[Object]) -> Object:
    one: Object = the(found, "RayService")["spec"]["rayClusterConfig"]
    return one


def head(found: list[Object]) -> Object:
    one: Object = cluster(found)["headGroupSpec"]["template"]["spec"]
    return one


def group(found: list[Object], name: str = "khelben") -> Object:
    [one] = [one for one in cluster(found)["workerGroupSpecs"] if one["groupName"] == name]
    return one


def pod(found: list[Object], name: str = "khelben") -> Object:
    one: Object = group(found, name)["template"]["spec"]
    return one


def ray(found: list[Object], name: str = "khelben") -> Object:
    one: Object = pod(found, name)["containers"][0]
    return one


def variable(found: list[Object], name: str, key: str) -> Object:
    [one] = [one for one in ray(found, name)["env"] if one["name"] == key]
    return one


def without(container: Object, key: str) -> None:
    container["env"] = [one for one in container["env"] if one["name"] != key]


def service(found: list[Object], name: str) -> Object:
    [one] = [one for one in of_kind(found, "Service") if one["metadata"]["name"] == name]
    return one


def policy(found: list[Object], name: str) -> Object:
    [one] = [one for one in of_kind(found, "NetworkPolicy") if one["metadata"]["name"] == name]
    spec: Object = one["spec"]
    return spec


def config(found: list[Object], old: str, new: str) -> None:
    spec = the(found, "RayService")["spec"]
    assert old in spec["serveConfigV2"]
    spec["serveConfigV2"] = spec["serveConfigV2"].replace(old, new)


BREAKS: list[tuple[rules.Rule, Break]] = [
    (rules.images_are_pinned, lambda found: ray(found).update(image="motley:latest")),
    (rules.images_are_pinned, lambda found: head(found)["containers"][0].update(image="host:5000/motley")),
    (rules.no_variable_is_empty_or_twice, lambda found: variable(found, "drizzt", HSA).update(value="")),
    (rules.no_variable_is_empty_or_twice, lambda found: ray(found)["env"].append(ray(found)["env"][0])),
    (rules.what_rays_processes_must_find, lambda found: without(ray(found), "RAY_SERVE_ENABLE_HA_PROXY")),
    (rules.what_rays_processes_must_find, lambda found: cluster(found).pop("authOptions")),
    (rules.pods_are_restricted, lambda found: head(found)["securityContext"].update(runAsNonRoot=False)),
    (rules.pods_are_restricted, lambda found: ray(found)["securityContext"].update(privileged=True)),
    (rules.pods_are_restricted, lambda found: ray(found)["securityContext"].pop("capabilities")),
    (rules.pods_are_restricted, lambda found: ray(found)["securityContext"].pop("readOnlyRootFilesystem")),
    (rules.pods_are_restricted, lambda found: pod(found).update(hostIPC=True)),
    (
        rules.pods_are_restricted,
        lambda found: pod(found)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    ),
    (
        rules.doors_have_nothing_of_the_node,
        lambda found: pod(found, "doors")["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    ),
    (
        rules.tokens_of_the_cluster_are_where_they_are_used,
        lambda found: pod(found).update(automountServiceAccountToken=True),
    ),
    (rules.the_door_knows_who_may_come, lambda found: without(ray(found, "doors"), "MOTLEY_KEYS_FILE")),
    (rules.the_door_knows_who_may_come, lambda found: ray(found, "doors")["volumeMounts"].pop()),
    (rules.the_door_knows_who_may_come, lambda found: without(ray(found, "doors"), "MOTLEY_KEYS_PEPPER")),
    (rules.probes_need_no_shell, lambda found: ray(found).pop("readinessProbe")),
    (
        rules.nobody_is_killed_while_draining,
        lambda found: pod(found).update(terminationGracePeriodSeconds=30),
    ),
    (
        rules.nobody_is_killed_while_draining,
        lambda found: variable(found, "elminster", DRAIN).update(value="20"),
    ),
    (
        rules.services_find_pods,
        lambda found: service(found, "llm-predictor")["spec"]["selector"].update(a="b"),
    ),
    (
        rules.services_find_pods,
        lambda found: service(found, "ai-inference-door")["spec"]["ports"][0].update(targetPort=8265),
    ),
    (
        rules.only_the_door_is_open,
        lambda found: policy(found, "ai-inference-clients")["podSelector"].pop("matchExpressions"),
    ),
    (
        rules.only_the_door_is_open,
        lambda found: policy(found, "ai-inference-clients")["ingress"][0].pop("ports"),
    ),
    (rules.only_the_door_is_open, lambda found: policy(found, "ai-inference")["ingress"][1].pop("from")),
    (rules.only_the_door_is_open, lambda found: group(found)["template"]["metadata"]["labels"].clear()),
    (rules.volumes_are_there, lambda found: pod(found)["volumes"].pop()),
    (rules.what_is_written_is_a_volume, lambda found: ray(found)["volumeMounts"].pop()),
    (rules.what_is_written_is_a_volume, lambda found: without(ray(found, "doors"), "XDG_CACHE_HOME")),
    (
        rules.volumes_are_there,
        lambda found: ray(found)["volumeMounts"].append({"name": "tmp", "mountPath": "/models"}),
    ),
    (rules.every_share_has_a_place, lambda found: group(found)["labels"].update({"motley-node": "kelben"})),
    # By their ending Ray knows the others' resources for cards; `gpu.intel.com/xe` it does not.
    (rules.every_share_has_a_place, lambda found: group(found, "danilo").update(resources={"CPU": "8"})),
    (rules.every_share_has_a_place, lambda found: config(found, "num_gpus: 0.5", "num_gpus: 0.6")),
    (rules.every_share_has_a_place, lambda found: group(found, "doors").update(maxReplicas=0)),
    (
        rules.kubernetes_gives_the_cards_that_ray_counts,
        lambda found: ray(found, "danilo")["resources"]["limits"].pop("gpu.intel.com/xe"),
    ),
    (
        rules.predictors_are_kserves,
        lambda found: service(found, "tts-predictor")["metadata"]["labels"].pop(
            "serving.kserve.io/inferenceservice"
        ),
    ),
]
HSA, DRAIN = "HSA_OVERRIDE_GFX_VERSION", "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"

IN_OTHER_CASES: list[tuple[rules.Rule, str, Break]] = [
    (
        rules.monitors_find_what_they_scrape,
        "monitored",
        lambda found: the(found, "ServiceMonitor")["spec"]["selector"]["matchLabels"].pop("motley/part"),
    ),
    (
        rules.monitors_find_what_they_scrape,
        "monitored",
        lambda found: the(found, "PodMonitor")["spec"]["podMetricsEndpoints"][0].update(port="metric"),
    ),
    (
        rules.doors_are_evicted_one_by_one,
        "fetched-first",
        lambda found: the(found, "PodDisruptionBudget").update(
            spec={"maxUnavailable": 1, "selector": the(found, "PodDisruptionBudget")["spec"]["selector"]}
        ),
    ),
    (
        rules.doors_are_evicted_one_by_one,
        "fetched-first",
        lambda found: group(found, "doors").update(maxReplicas=2),
    ),
    (
        rules.outside_leads_to_the_door,
        "outside",
        lambda found: the(found, "HTTPRoute")["spec"]["rules"][0]["backendRefs"][0].update(port=8265),
    ),
    (
        rules.outside_leads_to_the_door,
        "outside",
        lambda found: the(found, "HTTPRoute")["spec"]["rules"][0]["timeouts"].update(request="60s"),
    ),
    (
        rules.services_find_pods,
        "external-names",
        lambda found: service(found, "llm-predictor")["spec"].update(externalName="other.svc"),
    ),
]


@pytest.mark.parametrize(
    ("rule", "case", "broken"),
    [(rule, "values-reference", broken) for rule, broken in BREAKS] + IN_OTHER_CASES,
    ids=lambda part: getattr(part, "__name__", part) if part else part,
)
def test_it_can_fail(rule: rules.Rule, case: str, broken: Break, rendered: Render) -> None:
    found = rendered(case)
    broken(found)
    assert list(rule(found))


def test_no_rule_is_left_out() -> None:
    assert {rule for rule, _ in BREAKS} | {rule for rule, _, _ in IN_OTHER_CASES} == set(rules.RULES)


KUBERAY: list[tuple[str, Break]] = [
    ("the name", lambda found: the(found, "RayService")["metadata"].update(name="a" * 48)),
    ("the name", lambda found: the(found, "RayService")["metadata"].update(name="1a")),
    (
        "nothing any more",
        lambda found: the(found, "RayService")["spec"].update(serviceUnhealthySecondThreshold=9),
    ),
    (
        "headService",
        lambda found: cluster(found)["headGroupSpec"].update(headService={"metadata": {"name": "x"}}),
    ),
    ("none called serve", lambda found: head(found)["containers"][0].update(ports=[{"name": "metrics"}])),
    ("two groups", lambda found: group(found).update(groupName="doors")),
    ("resources twice", lambda found: group(found).update(rayStartParams={"num-gpus": "1"})),
    ("rayStartParams.labels", lambda found: group(found).update(rayStartParams={"labels": "a=b"})),
    ("the label", lambda found: group(found).update(labels={"a b": "c"})),
    ("without an autoscaler", lambda found: group(found).pop("minReplicas")),
    ("replicas", lambda found: group(found).update(minReplicas=3)),
    ("Redis is told twice", lambda found: redis(found, "RAY_REDIS_ADDRESS", {"redisAddress": "x"})),
    ("without gcsFault", lambda found: redis(found, "RAY_REDIS_ADDRESS", None)),
    ("the user of Redis", lambda found: redis(found, "REDIS_USERNAME", None)),
    ("autoscaler_v2", lambda found: redis(found, "RAY_enable_autoscaler_v2", None)),
    ("idleTimeout", lambda found: group(found).update(idleTimeoutSeconds=1)),
    (
        "restartPolicy",
        lambda found: (
            cluster(found).update(enableInTreeAutoscaling=True, autoscalerOptions={"version": "v2"}),
            pod(found).update(restartPolicy="Always"),
        ),
    ),
    ("a token", lambda found: cluster(found).update(rayVersion="2.51.0")),
    ("enableK8sTokenAuth", lambda found: cluster(found)["authOptions"].update(enableK8sTokenAuth=True)),
    (
        "the upgrade",
        lambda found: the(found, "RayService")["spec"]["upgradeStrategy"].update(type="Recreate"),
    ),
    ("steps", lambda found: stepwise(found, stepSizePercent=60, maxSurgePercent=50, intervalSeconds=1)),
    ("no class", lambda found: stepwise(found, stepSizePercent=5, maxSurgePercent=50, intervalSeconds=1)),
    ("without the autoscaler", lambda found: stepwise(found, gatewayClassName="istio")),
]


def redis(found: list[Object], name: str, options: Object | None) -> None:
    head(found)["containers"][0]["env"].append({"name": name, "value": "1"})
    if options is not None:
        cluster(found)["gcsFaultToleranceOptions"] = options


def stepwise(found: list[Object], **options: Any) -> None:
    strategy = {"type": "NewClusterWithIncrementalUpgrade", "clusterUpgradeOptions": options}
    the(found, "RayService")["spec"]["upgradeStrategy"] = strategy


@pytest.mark.parametrize(("said", "broken"), KUBERAY, ids=[said for said, _ in KUBERAY])
def test_kuberay_would_refuse_it(said: str, broken: Break, rendered: Render) -> None:
    found = rendered("values-reference")
    broken(found)
    assert said in "\n".join(refusals(the(found, "RayService")))


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("RayService", lambda one: one["spec"].update(serveConfig="x")),
        (
            "RayService",
            lambda one: one["spec"]["rayClusterConfig"]["headGroupSpec"].update(resources={"CPU": 0}),
        ),
        (
            "RayService",
            lambda one: one["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"].update(env=[]),
        ),
        ("NetworkPolicy", lambda one: one["spec"].update(ingres=[])),
        ("ServiceMonitor", lambda one: one["spec"]["endpoints"][0].update(relabeling=[])),
        ("PodMonitor", lambda one: one["spec"].pop("selector")),
        ("PrometheusRule", lambda one: one["spec"]["groups"][0]["rules"][0].pop("expr")),
        ("Pod", lambda one: one["spec"]["containers"][0].update(commands=[])),
    ],
)
def test_an_api_server_would_refuse_it(kind: str, broken: Callable[[Object], Any], rendered: Render) -> None:
    found = of_kind(rendered("monitored"), kind)[0]
    assert wrong(found) == []
    broken(found)
    assert wrong(found)
