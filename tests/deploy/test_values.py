"""What the chart refuses before it makes anything: typing errors by its schema, nonsense by its guards."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.charts import (
    CASES,
    CHART,
    NEWEST,
    ROOT,
    Object,
    fleet_values,
    objects,
    ray_templates,
    run,
    template,
    the,
)
from tests.deploy.conftest import Rendering

Render = Callable[[str], list[Object]]


@pytest.mark.parametrize(
    "typo",
    [
        "nmae: x",
        "name: Ai_Inference",
        f"name: {'a' * 48}",
        "images: {cuda: {repository: motley, tag: latest}}",
        "images: {cuda: {repo: motley}}",
        "images: {cuda: {repository: motley, digest: sha256:abc}}",
        "groups: {drizzt: {env: {HSA_OVERRIDE_GFX_VERSION: ''}}}",
        "groups: {drizzt: {nodeselector: {a: b}}}",
        "keys: {secret: motley-keys}",
        "secretEnv: {HF_TOKEN: {name: hugging-face}}",
        "models: {volume: nfs}",
        "models: {size: a lot}",
        "upgrade: {type: Rolling}",
        "upgrade: {stepSizePercent: 0}",
        "kserve: {mode: externalName}",
        "networkPolicy: {clients: [{}]}",
        "vendors: {nvidia: {resources: nvidia.com/gpu}}",
        "vendors: {matrox: {resource: x}}",
        "openToAll: 'yes'",
        "autoscaler: {idleTimeoutSeconds: 5m}",
        "monitoring: {serviceMonitor: {interval: 15}}",
        "fleet: {groups: [{name: x}]}",
    ],
)
def test_a_typing_error_is_refused(typo: str, helm: Rendering) -> None:
    done = helm("values-reference", typo)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("case", "values", "said"),
    [
        ("values-reference", "keys: {existingSecret: ''}", "who may use the door?"),
        (
            "values-reference",
            "groups: {elminister: {}}",
            "the fleet has no such group, but doors, khelben, elm",
        ),
        ("values-reference", "upgrade: {type: NewCluster}", "needs every GPU twice (group khelben)"),
        ("values-reference", "vendors: {intel: {resource: ''}}", "what does Kubernetes call its cards?"),
        ("values-reference", "images: {rocm: null}", "no images.rocm"),
        ("values-reference", "groups: {khelben: {least: 2}}", "at least more pods than at most"),
        (
            "autoscaler",
            "models: {accessModes: [ReadWriteOnce]}",
            "models.accessModes must be [ReadWriteMany]",
        ),
        ("fetched-first", "models: {existingClaim: ''}", "names no claim"),
        ("incremental", "autoscaler: {enabled: false}", "only with autoscaler.enabled: true"),
        ("incremental", "upgrade: {gatewayClassName: ''}", "name upgrade.gatewayClassName"),
        ("incremental", "upgrade: {stepSizePercent: 90}", "is more than upgrade.maxSurgePercent"),
        ("incremental", "kserve: {mode: ExternalName}", "kserve.mode must be ClusterIP"),
        ("values-cpu", "drainSeconds: 20", "lets replicas finish for 30 s"),
        ("outside", "ingress: {hosts: []}", "ingress.hosts names no host"),
        ("outside", "route: {parentRefs: []}", "route.parentRefs names no Gateway"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(case: str, values: str, said: str, helm: Rendering) -> None:
    done = helm(case, values)
    assert done.returncode != 0
    assert said in done.stderr, done.stderr


def test_two_kinds_of_one_vendor_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(fleet_values("deploy/fleets/reference.yaml"))
    (tmp_path / "mine.yaml").write_text("openToAll: true")
    done = template(NEWEST, [tmp_path / "fleet.yaml", tmp_path / "mine.yaml"])
    assert "groups khelben, drizzt all ask for amd.com/gpu: a pod of khelben could land" in done.stderr


def test_without_a_fleet_it_says_how_to_get_one() -> None:
    done = template(NEWEST, [])
    assert "motley render --helm FLEET" in done.stderr


def test_another_fleet_is_no_other_pod(rendered: Render, helm: Rendering) -> None:
    """A changed pod template would be a new cluster, or nothing at all: models change in place."""
    before = rendered("values-cpu")
    text = helm("values-cpu", "fleet: {file: 'version: 1', serveConfigV2: 'applications: []'}").stdout
    after = objects(text)
    assert ray_templates(before) == ray_templates(after)
    sums = [
        the(found, "RayService")["metadata"]["annotations"]["checksum/fleet"] for found in (before, after)
    ]
    assert sums[0] != sums[1]


def test_a_node_added_at_the_end_leaves_the_others_as_they_are(rendered: Render) -> None:
    """KubeRay adds new groups to a living cluster only where those before them are as they were."""
    groups = the(rendered("values-reference"), "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert [one["groupName"] for one in groups] == ["doors", "khelben", "elminster", "drizzt", "danilo"]


def test_another_model_is_no_other_pod(tmp_path: Path) -> None:
    """… wherever it comes from, however it scales, whatever its times."""
    before = (ROOT / "tests" / "deploy" / "fleets" / "far.yaml").read_text()
    after = (
        before.replace("replicas: [3, 5]", "replicas: [1, 2], max_ongoing: 2")
        .replace("s3://models/cold", "builtin://fake")
        .replace("    task: embed", "    timeout_s: 900\n    task: embed")
    )
    after += "  another: {task: rerank, engine: fake, source: hf://org/x@main, place: {node: spare}}\n"
    made = []
    for number, text in enumerate((before, after)):
        (tmp_path / f"{number}.yaml").write_text(text)
        (tmp_path / "fleet.yaml").write_text(fleet_values(str(tmp_path / f"{number}.yaml")))
        done = template(NEWEST, [tmp_path / "fleet.yaml", CASES["fetched-first"]])
        assert done.returncode == 0, done.stderr
        made.append(ray_templates(objects(done.stdout)))
    assert made[0] == made[1]


def test_models_are_pulled_before_their_pod_joins(rendered: Render) -> None:
    pods = ray_templates(rendered("fetched-first"))
    pulls = {name: pod["spec"].get("initContainers", []) for name, pod in pods.items()}
    assert {name for name, found in pulls.items() if found} == {"lab", "spare"}
    [pull] = pulls["lab"]
    assert pull["command"] == ["sh", "-c", "motley pull /etc/motley/fleet/fleet.yaml --node lab"]
    worker = pods["lab"]["spec"]["containers"][0]
    for needed in ("MOTLEY_STORE", "HF_TOKEN"):
        assert [one for one in pull["env"] if one["name"] == needed] == [
            one for one in worker["env"] if one["name"] == needed
        ]
    assert {mount["mountPath"] for mount in worker["volumeMounts"]} >= {"/models", "/mnt/pvc/shared"}


def test_devices_of_the_node_are_asked_for_by_name(rendered: Render) -> None:
    pods = ray_templates(rendered("no-device-plugins"))
    khelben, danilo = (pods[name]["spec"]["containers"][0] for name in ("khelben", "danilo"))
    assert khelben["securityContext"] == {"privileged": True}
    assert "amd.com/gpu" not in khelben["resources"]["limits"]
    assert danilo["resources"]["limits"]["gpu.intel.com/i915"] == 1
    assert pods["drizzt"]["spec"]["securityContext"]["supplementalGroups"] == [44, 109, 110]
    assert pods["elminster"]["spec"]["runtimeClassName"] == "nvidia"


def test_notes_print_the_next_commands() -> None:
    values = str(CHART / "values-reference.yaml")
    done = run(NEWEST, "install", "motley", CHART, "-n", "ai-ml", "-f", values, "--dry-run=client")
    assert done.returncode == 0, done.stderr
    for line in (
        "kubectl -n ai-ml wait --for=condition=Ready rayservice/ai-inference",
        "helm test motley -n ai-ml",
        "khelben (rocm): llama-3.3-70b: chat by vllm, 0.95 of a GPU",
        "llm-predictor",
    ):
        assert line in done.stdout
