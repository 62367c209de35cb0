"""The GitOps example, as kubectl builds it and Flux would install it."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy import rules
from tests.deploy.charts import NEWEST, ROOT, Object, objects, of_kind, template, the, there
from tests.deploy.kuberay import refusals
from tests.deploy.schemas import wrong
from tools.binaries import KUBECTL

FLUX = ROOT / "deploy" / "examples" / "flux"
# Of another group than the definitions that the tests have.
SOURCES = ("GitRepository", "HelmRepository")


@pytest.fixture(scope="module")
def built() -> list[Object]:
    done = subprocess.run([there(KUBECTL), "kustomize", FLUX], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return objects(done.stdout)


def release(built: list[Object]) -> Object:
    [one] = [one for one in of_kind(built, "HelmRelease") if one["metadata"]["name"] == "motley"]
    return one


def test_every_object_is_valid(built: list[Object]) -> None:
    secrets = objects((FLUX / "secrets.yaml").read_text())
    checked = [one for one in [*built, *secrets] if one["kind"] not in SOURCES]
    assert [f"{one['kind']}: {what}" for one in checked for what in wrong(one)] == []
    assert wrong(release(built) | {"spec": release(built)["spec"] | {"valuefrom": []}})


def test_the_release_reads_the_config_map_that_is_made(built: list[Object]) -> None:
    made = the(built, "ConfigMap")
    [source] = release(built)["spec"]["valuesFrom"]
    assert (source["kind"], source["name"]) == ("ConfigMap", made["metadata"]["name"])
    assert source["name"] != "motley-fleet-values"  # but ends with its sum, so that changes are seen
    assert source["valuesKey"] in made["data"]
    assert {one["metadata"]["namespace"] for one in (made, release(built))} == {"ai-ml"}


def test_what_it_would_install(built: list[Object], tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(the(built, "ConfigMap")["data"]["fleet-values.yaml"])
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(release(built)["spec"]["values"]))
    done = template(NEWEST, [tmp_path / "fleet.yaml", tmp_path / "values.yaml"])
    assert done.returncode == 0, done.stderr
    found = objects(done.stdout)
    assert [what for one in found for what in wrong(one)] == []
    assert list(refusals(the(found, "RayService"))) == []
    assert {rule.__name__: list(rule(found)) for rule in rules.RULES if list(rule(found))} == {}
    secrets = {one["metadata"]["name"]: one for one in objects((FLUX / "secrets.yaml").read_text())}
    wanted = {name for kind, name in rules.names(found) if kind == "Secret"}
    assert wanted == secrets.keys()
    assert {text for one in secrets.values() for text in one["stringData"].values()} == {"REPLACE"}
    assert (ROOT / release(built)["spec"]["chart"]["spec"]["chart"] / "Chart.yaml").exists()
