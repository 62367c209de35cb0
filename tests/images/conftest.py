"""The images of this tree, built once for the session."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.images.podman import ROOT, build, make_bases, why_not


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Of a target, by its name. Skips where none can be built."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("images")
    make_bases(folder)
    return cache(lambda target: build(target, folder))


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded one, with a model that takes its time."""
    told = yaml.safe_load((ROOT / "deploy/fleets/embedded.yaml").read_text())
    told["drain_s"] = 60
    told["models"]["slow"] = {
        "task": "chat", "engine": "fake", "source": "builtin://fake", "place": {"node": "laptop"},
    }  # fmt: skip
    path = tmp_path_factory.mktemp("fleet") / "fleet.yaml"
    path.write_text(yaml.safe_dump(told))
    path.parent.chmod(0o755)
    path.chmod(0o644)
    return path
