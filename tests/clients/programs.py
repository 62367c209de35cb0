"""Runs the programs of this folder, each in the environment that holds its client."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.record import RECORD

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parents[1] / ".venv-clients"
# The newest Cohere SDK and Triton's client, which LangChain and LlamaIndex do not go along with.
APART = dict.fromkeys(("with_cohere.py", "with_triton.py"), HERE.parents[1] / ".venv-cohere")
NODE = HERE / "node"
# Of what the tester's own shell holds, the programs get this; keys, proxies and tracing stay out.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


def told(program: str, *parts: str, url: str, key: str, model: str, **more: str) -> dict[str, Any]:
    """What the program prints of these parts of it, by part. `url` is the door's, without `/v1`; `more`
    of its environment, in capitals."""
    more = {name.upper(): value for name, value in more.items()}
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    with RECORD.runs(program, parts):
        ran = subprocess.run(
            [*_command(program), *parts],
            env={**kept, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": key, "CHAT_MODEL": model, **more},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    if ran.returncode:
        pytest.fail(f"{program} failed:\n{ran.stderr}", pytrace=False)
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def _command(program: str) -> list[str | Path]:
    if program.endswith(".mjs"):
        for needed in ("node", "npm"):
            if shutil.which(needed) is None:
                pytest.skip(f"{needed} is not on PATH, so openai-node was not tried")
        _must_be(NODE / "node_modules" / "ready")
        return ["node", NODE / program]
    environment = APART.get(program, ENVIRONMENT)
    _must_be(environment / "ready")
    return [environment / "bin" / "python", HERE / program]


def _must_be(ready: Path) -> None:
    if not ready.exists():
        missing = ready.parent.relative_to(HERE.parents[1])
        pytest.fail(
            f"{missing} is missing or incomplete: `make test` and `make test-vllm` install it", pytrace=False
        )
