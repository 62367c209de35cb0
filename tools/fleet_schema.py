"""Write the JSON Schema of fleet files, for editors: `deploy/fleets/fleet.schema.json`.

python tools/fleet_schema.py            # write
python tools/fleet_schema.py --check    # exit 1 when the file is stale
"""

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "deploy" / "fleets" / "fleet.schema.json"
sys.path.insert(0, str(Path(__file__).parents[1]))

from backends.fleet.schema import Fleet  # noqa: E402
from tools.generated import kept  # noqa: E402


def fleet_schema() -> dict[str, Any]:
    """Draft 2020-12."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Fleet.model_json_schema(),
        "title": "A Motley fleet",
    }
    _close(schema)
    return schema


def _close(schema: object) -> None:
    """Names are patterns of keys; a key that matches none is refused, as the loader does."""
    if isinstance(schema, dict):
        if "patternProperties" in schema:
            schema["additionalProperties"] = False
        for value in schema.values():
            _close(value)
    elif isinstance(schema, list):
        for value in schema:
            _close(value)


def main(arguments: list[str]) -> int:
    text = json.dumps(fleet_schema(), indent=2, ensure_ascii=False) + "\n"
    return kept(TARGET, text, "python tools/fleet_schema.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
