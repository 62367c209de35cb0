"""`cuda`, `rocm` and `xpu` on a base that has a torch and a vLLM in name only: every instruction but the
locks of gigabytes. What they do on a card is not shown here."""

import json
from collections.abc import Callable

import pytest

from tests.images.podman import config, once

pytestmark = pytest.mark.timeout(3600)

SAID = ("User", "Entrypoint", "Cmd", "WorkingDir", "Healthcheck", "ExposedPorts", "StopSignal", "Labels")
LENT = "import json, ray, torch, sys; print(json.dumps([torch.__version__, ray.__version__, sys.prefix]))"


@pytest.fixture(scope="module", params=["cuda", "rocm", "xpu"])
def name(request: pytest.FixtureRequest, image: Callable[[str], str]) -> str:
    return image(request.param)


def test_it_says_of_itself_what_the_door_says(name: str, image: Callable[[str], str]) -> None:
    ours, doors = config(name), config(image("door"))
    for what in SAID:
        assert ours[what] == doors[what], what
    added = {one.partition("=")[0] for one in set(ours["Env"]) - set(doors["Env"])}
    assert added <= {"MOTLEY_VLLM_PYTHON", "MOTLEY_XTTS_PYTHON", "PATH"}


def test_motley_runs_on_the_vendors_python_with_its_torch(name: str) -> None:
    torch, ray, prefix = json.loads(once(name, "-c", LENT, entrypoint="python"))
    assert (torch, prefix) == ("stand-in", "/opt/motley/env")
    assert ray
    assert "motley-demo-chat" in once(name, "check", "/etc/motley/fleet.yaml")


def test_vllm_runs_where_the_vendor_put_it(name: str) -> None:
    asked = "exec \"$MOTLEY_VLLM_PYTHON\" -I -c 'import sys, vllm; print(sys.prefix)'"
    assert once(name, "-c", asked, entrypoint="sh") == "/usr"


def test_cuda_has_an_interpreter_for_xtts(image: Callable[[str], str]) -> None:
    asked = "exec \"$MOTLEY_XTTS_PYTHON\" -c 'import sys; print(sys.prefix)'"
    assert once(image("cuda"), "-c", asked, entrypoint="sh") == "/opt/motley/xtts"
