"""Runs a worker in an interpreter whose packages are not ours.

    python -I abroad.py MODULE

`-I` keeps out our paths; of us, that interpreter sees the package `backends` and nothing that lies
beside it. MODULE may import what is installed there, `backends.worker`, `backends.contract`.
"""

import importlib.util
import sys
from pathlib import Path


def main() -> None:
    home = Path(__file__).parent
    spec = importlib.util.spec_from_file_location(
        "backends", home / "__init__.py", submodule_search_locations=[str(home)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = sys.modules["backends"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)

    from backends.worker import main as work

    work()


if __name__ == "__main__":
    main()
