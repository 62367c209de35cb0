"""Other interpreters than ours: which one, and what of our environment it may see."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from backends.child import Interpreter
from backends.contract.errors import InvalidRequest

ABROAD = str(Path(__file__).with_name("abroad.py"))

# Ours would lead it to our packages; its own must be found first and alone.
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


def other(option: str | None, variable: str, more: Mapping[str, str]) -> Interpreter:
    """The interpreter that the option `python` names, else a variable of the environment. `more`:
    further variables for it. Raises InvalidRequest (`param="python"`) where none is named, or ours."""
    named = option or os.environ.get(variable)
    if not named:
        raise InvalidRequest(
            f"it runs in an environment of its own: name its Python by the option 'python' or {variable}",
            param="python",
        )
    # Compared as written: environments link to one and the same binary.
    if os.path.abspath(named) == os.path.abspath(sys.executable):
        raise InvalidRequest("it cannot run in Motley's own environment", param="python")
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return Interpreter((named, "-I", ABROAD), {**kept, **more})
