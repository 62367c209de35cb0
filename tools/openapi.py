"""Writes `docs/openapi/openapi.json`, or with `--check` says whether it is stale (exit status 1)."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.fleet.schema import Fleet
from tools.generated import kept

TARGET = Path(__file__).parents[1] / "docs" / "openapi" / "openapi.json"


def document() -> str:
    """The description of the door; no fleet changes it."""
    fleet = Fleet.model_construct(version=1, nodes={}, models={})
    app = create_app(Settings(_env_file=None), fleet, LocalUpstream({}))
    return json.dumps({**app.openapi(), "info": {**app.openapi()["info"], "version": "1"}}, indent=1) + "\n"


def main(arguments: list[str]) -> int:
    return kept(TARGET, document(), "`make openapi`", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
