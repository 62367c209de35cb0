"""The description of the door is generated, committed, and fresh."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
WRITTEN = ROOT / "docs" / "openapi" / "openapi.json"


def test_it_is_fresh() -> None:
    check = [sys.executable, str(ROOT / "tools" / "openapi.py"), "--check"]
    told = {"cwd": ROOT, "env": {"PYTHONPATH": str(ROOT)}, "capture_output": True, "text": True}
    done = subprocess.run(check, check=False, **told)
    assert done.returncode == 0, done.stderr


def test_every_route_says_what_it_does() -> None:
    paths = json.loads(WRITTEN.read_text())["paths"]
    assert {"/v1/chat/completions", "/v1/audio/speech", "/v1/models/{model}", "/ready"} <= set(paths)
    for path, methods in paths.items():
        for operation in methods.values():
            assert operation["summary"], path
            assert operation["tags"], path
