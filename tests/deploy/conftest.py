import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.charts import NEWEST, Object, objects, template, values_files

Rendering = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Object]]:
    """Case → its objects, by the newest helm; each call gives others to change."""
    texts: dict[str, str] = {}
    folder = tmp_path_factory.mktemp("values")

    def case(name: str) -> list[Object]:
        if name not in texts:
            done = template(NEWEST, values_files(name, folder))
            assert done.returncode == 0, done.stderr
            texts[name] = done.stdout
        return objects(texts[name])

    return case


@pytest.fixture
def helm(tmp_path: Path) -> Rendering:
    """`helm template` of a case with more values: `helm("values-reference", "a: b")`."""

    def with_values(case: str, more: str = "") -> subprocess.CompletedProcess[str]:
        file = tmp_path / "more.yaml"
        file.write_text(more)
        return template(NEWEST, [*values_files(case, tmp_path), file])

    return with_values
