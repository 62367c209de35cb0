"""The chart, rendered by real helm: which cases there are, and what each becomes."""

import functools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from app.cli import main
from tools.binaries import HELMS, WHY_NOT, Binary

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "motley"
NAMESPACE = "ai-ml"
NEWEST = HELMS[0]

# Values that lie beside the chart hold their fleet; those in ci/ name the one to be rendered.
CASES = {
    **{path.stem: path for path in sorted(CHART.glob("values-*.yaml"))},
    **{path.stem.removesuffix("-values"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))},
}

Object = dict[str, Any]


def there(helm: Binary) -> Path:
    """The binary; the test is skipped, with the reason, where there is none."""
    if not helm.path.exists():
        pytest.skip(WHY_NOT.read_text() if WHY_NOT.exists() else "python tools/binaries.py brings it")
    return helm.path


def run(helm: Binary, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([there(helm), *arguments], capture_output=True, text=True, check=False, timeout=60)


@functools.cache
def fleet_values(fleet: str) -> str:
    """What `motley render --helm` prints."""
    done = CliRunner().invoke(main, ["render", "--helm", str(ROOT / fleet)])
    assert done.exit_code == 0, done.output
    return done.stdout


def values_files(case: str, tmp: Path) -> list[Path]:
    path = CASES[case]
    named = re.match(r"# fleet: (\S+)", path.read_text())
    if named is None:
        return [path]
    fleet = tmp / f"{case}-fleet.yaml"
    fleet.write_text(fleet_values(named[1]))
    return [fleet, path]


def flags(files: list[Path]) -> list[str]:
    return [part for file in files for part in ("-f", str(file))]


def template(helm: Binary, files: list[Path], *more: str) -> subprocess.CompletedProcess[str]:
    return run(helm, "template", "motley", CHART, "--namespace", NAMESPACE, *flags(files), *more)


def objects(text: str) -> list[Object]:
    return [one for one in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if one]


def of_kind(found: list[Object], kind: str) -> list[Object]:
    return [one for one in found if one["kind"] == kind]


def the(found: list[Object], kind: str) -> Object:
    [one] = of_kind(found, kind)
    return one


def templates(found: list[Object]) -> dict[str, Object]:
    """Every pod there will be: `head`, the groups by name, and helm's test → metadata and spec."""
    cluster = the(found, "RayService")["spec"]["rayClusterConfig"]
    return {
        "head": cluster["headGroupSpec"]["template"],
        **{group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]},
        **{one["metadata"]["name"]: one for one in of_kind(found, "Pod")},
    }


def ray_templates(found: list[Object]) -> dict[str, Object]:
    return {name: one for name, one in templates(found).items() if one.get("kind") != "Pod"}


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
