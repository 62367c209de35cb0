"""Run the test suites, print the seconds of each, and say which did not run and why.

python tools/suites.py              what a laptop can run
python tools/suites.py check unit   only these
python tools/suites.py --all        everything
python tools/suites.py --record …   and which clients were answered, to `build/record`: see `tests/record.py`
"""

import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """`commands` run in order until one fails. `heavy`: why it is not part of the default run."""

    commands: tuple[tuple[str, ...], ...]
    heavy: str = ""


PYTHON = sys.executable
PYTEST = (PYTHON, "-m", "pytest", "-q")
# Of dozens of processes on a machine that others use too: docs/decisions/0049.
TWICE = (*PYTEST, "--reruns", "1")

SUITES = {
    "check": Suite(
        (
            (PYTHON, "-m", "ruff", "check", "."),
            (PYTHON, "-m", "ruff", "format", "--check", "."),
            (PYTHON, "-m", "mypy"),
            (PYTHON, "-c", "from importlinter.cli import lint_imports_command as run; run()"),
            (PYTHON, "tools/openapi.py", "--check"),
            (PYTHON, "tools/fleet_schema.py", "--check"),
            (PYTHON, "tools/chat_fields.py", "--check"),
            (PYTHON, "tools/fleet_reference.py", "--check"),
            (PYTHON, "tools/chart.py", "--check"),
            (PYTHON, "tools/compatibility.py", "--check"),
            (PYTHON, "tools/graphs.py", "--check"),
            (PYTHON, "tools/cli.py", "--check"),
        )
    ),
    "unit": Suite(((*PYTEST, "tests/unit", "tests/contract"),)),
    "deploy": Suite(((*PYTEST, "tests/deploy"),)),
    "api": Suite(((*PYTEST, "tests/api", "--door", "local"),)),
    "browser": Suite(((*TWICE, "tests/browser"),)),
    # 2,000 requests; `make fuzz` sends ten times as many, others each time.
    "fuzz": Suite(((*PYTEST, "tests/fuzz"),)),
    "api-ray": Suite(((*TWICE, "tests/api", "--door", "ray"),)),
    "ray": Suite(((*TWICE, "-s", "tests/ray"),)),
    "soak": Suite(
        ((*PYTEST, "-s", "--timeout=1800", "--door=ray", "--uploads=200", "tests/api/test_uploads.py"),),
        heavy="sends 4 GB in 200 uploads, for minutes; `make test-soak` does",
    ),
    "quickstart": Suite(
        ((*PYTEST, "-s", "tests/quickstart"),),
        heavy="installs 1 GB into a clean copy and serves there, for minutes; `make test-quickstart` does",
    ),
    "vllm": Suite(
        ((*PYTEST, "--timeout", "1200", "tests/vllm"),),
        heavy="installs 2.5 GB and starts real vLLM five times; `make test-vllm` does both",
    ),
    "torch": Suite(
        (
            (".venv-torch/bin/python", *PYTEST[1:], "tests/torch"),
            (
                ".venv-torch/bin/python",
                *PYTEST[1:],
                "tests/contract",
                "-k",
                "whisper or sentence or cross-encoder",
            ),
        ),
        heavy="installs torch and sentence-transformers (2 GB); `make test-torch` does both",
    ),
    "xtts": Suite(
        ((*PYTEST, "tests/xtts"),),
        heavy="installs 1.8 GB and runs real XTTS, tiny and random; `make test-xtts` does both",
    ),
    "images": Suite(
        ((*PYTEST, "-s", "tests/images"),),
        heavy="builds five images with podman, as root, and runs them (minutes); `make test-images` does",
    ),
}


def main(arguments: list[str]) -> int:
    everything = "--all" in arguments
    named = [argument for argument in arguments if not argument.startswith("-")]
    unknown = [name for name in named if name not in SUITES]
    if unknown:
        print(f"no such suite: {', '.join(unknown)}; there are {', '.join(SUITES)}")
        return 2
    report: list[str] = []
    failed = False
    for name, suite in SUITES.items():
        if named and name not in named:
            continue
        if suite.heavy and not everything and not named:
            report.append(f"{name:<10} not run: {suite.heavy}")
            continue
        began = time.monotonic()
        commands = suite.commands
        if "--record" in arguments:
            commands = tuple(_recorded(name, number, each) for number, each in enumerate(commands))
        passed = all(_run(command) for command in commands)
        report.append(f"{name:<10} {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.0f} s")
        failed = failed or not passed
    print("\n" + "\n".join(report), flush=True)
    return 1 if failed else 0


def _recorded(name: str, number: int, command: tuple[str, ...]) -> tuple[str, ...]:
    return (*command, "--record", f"build/record/{name}-{number}.jsonl") if "pytest" in command else command


def _run(command: tuple[str, ...]) -> bool:
    print(f"\n$ {' '.join(command)}", flush=True)
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
