"""The chart over all its example values, by both helms: it lints, renders, packs; every object is valid and
keeps the rules; and Ray understands what KubeRay will hand it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.deploy import rules
from tests.deploy.charts import (
    CASES,
    CHART,
    NAMESPACE,
    ROOT,
    Object,
    flags,
    objects,
    of_kind,
    run,
    template,
    the,
    values_files,
)
from tests.deploy.kuberay import refusals
from tests.deploy.schemas import wrong
from tools import chart
from tools.binaries import HELMS, Binary

Render = Callable[[str], list[Object]]
each_case = pytest.mark.parametrize("case", CASES)
each_helm = pytest.mark.parametrize("helm", HELMS, ids=lambda helm: f"helm-{helm.version}")


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 12


def test_what_is_generated_is_fresh() -> None:
    """The README's table, the copies from deploy/observability, the fleets in example values."""
    assert chart.main(["--check"]) == 0


def test_a_value_is_a_row_with_its_description() -> None:
    text = "keys:\n  # -- Of what | whom.\n  name: x\n  other: {}\n# -- All.\nmap:\n  part: 1\n"
    assert list(chart.rows(text))[1:] == [
        "| `keys.name` | `x` | Of what \\| whom. |",
        "| `keys.other` | `{}` |  |",
        "| `map` | see values.yaml | All. |",
    ]


@each_helm
@each_case
def test_it_lints(helm: Binary, case: str, tmp_path: Path) -> None:
    done = run(helm, "lint", "--strict", CHART, *flags(values_files(case, tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr


@each_case
def test_both_helms_make_the_same(case: str, tmp_path: Path) -> None:
    files = values_files(case, tmp_path)
    texts = [template(helm, files) for helm in HELMS]
    assert all(done.returncode == 0 for done in texts), [done.stderr for done in texts]
    assert objects(texts[0].stdout) == objects(texts[1].stdout)


@each_helm
def test_it_packs_and_renders_packed(helm: Binary, tmp_path: Path) -> None:
    done = run(helm, "package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    [packed] = tmp_path.glob("motley-*.tgz")
    files = values_files("monitored", tmp_path)
    whole = run(helm, "template", "motley", packed, "--namespace", NAMESPACE, *flags(files))
    assert whole.returncode == 0, whole.stderr
    assert objects(whole.stdout) == objects(template(helm, files).stdout)


@each_case
def test_an_api_server_takes_every_object(case: str, rendered: Render) -> None:
    found = rendered(case)
    problems = [f"{one['kind']} {one['metadata']['name']}: {what}" for one in found for what in wrong(one)]
    assert problems == []
    named = [(one["kind"], one["metadata"]["name"]) for one in found]
    assert len(set(named)) == len(named)
    assert {one["metadata"]["namespace"] for one in found} == {NAMESPACE}


@each_case
def test_kuberay_takes_the_rayservice(case: str, rendered: Render) -> None:
    assert list(refusals(the(rendered(case), "RayService"))) == []


@each_case
def test_the_rules_hold(case: str, rendered: Render) -> None:
    found = rendered(case)
    assert {rule.__name__: list(rule(found)) for rule in rules.RULES} == {
        rule.__name__: [] for rule in rules.RULES
    }


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")  # in Ray's own models
@pytest.mark.filterwarnings("ignore:The `metrics_interval_s` field")  # its successor has no effect yet
@each_case
def test_serve_takes_the_config(case: str, rendered: Render) -> None:
    from ray.serve.schema import ServeDeploySchema

    config = rules.serve_config(rendered(case))
    assert ServeDeploySchema.model_validate(config).applications
    assert (config["proxy_location"], config["http_options"]["host"]) == ("EveryNode", "0.0.0.0")


@each_case
def test_no_name_dangles(case: str, rendered: Render) -> None:
    """A Secret, ConfigMap or claim that a pod wants is made here, or named in the values."""
    found = rendered(case)
    made = {(one["kind"], one["metadata"]["name"]) for one in found}
    told = set(re.findall(r"[a-z][a-z0-9.-]+", CASES[case].read_text()))
    for fleet in of_kind(found, "ConfigMap"):
        told |= set(re.findall(r"pvc://([a-z-]+)/", fleet["data"].get("fleet.yaml", "")))
    wanted = [(kind, name) for kind, name in rules.names(found) if (kind, name) not in made]
    assert [f"{kind} {name}" for kind, name in wanted if name not in told] == []


def test_one_values_file_names_what_must_be_there(rendered: Render) -> None:
    """… by example, so that the test above is none of itself."""
    assert set(rules.names(rendered("redis"))) == {
        ("Secret", "motley-keys"),
        ("Secret", "redis"),
        ("Secret", "motley-urls"),
        ("ConfigMap", "motley-hooks"),
        ("ConfigMap", "ai-inference-fleet"),
    }


def test_the_golden(rendered: Render, pytestconfig: pytest.Config) -> None:
    """What the reference fleet becomes, for people to read. `pytest tests/deploy --golden` writes it anew."""
    golden = ROOT / "tests" / "deploy" / "golden" / "reference.yaml"
    found = rendered("values-reference")
    first = [the(found, "RayService"), *of_kind(found, "Service")]
    rest = [one for one in found if one not in first]
    text = yaml.dump_all([*first, *rest], Dumper=_Dumper, sort_keys=False, width=110)
    if pytestconfig.getoption("--golden"):
        golden.write_text(text)
    assert golden.read_text() == text


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are; nothing by reference."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)
