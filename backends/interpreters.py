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


def chosen(option: str | None, variable: str, environment: Mapping[str, str], what: str = "it") -> str:
    """The interpreter that the option `python` names, else a variable of the environment. Raises
    InvalidRequest (`param="python"`), about `what`, where none is named, or ours."""
    named = option or environment.get(variable)
    if not named:
        raise InvalidRequest(
            f"{what} runs in an environment of its own: name its Python by the option 'python' or {variable}",
            param="python",
        )
    # Compared as written: environments link to one and the same binary.
    if os.path.abspath(named) == os.path.abspath(sys.executable):
        raise InvalidRequest(f"{what} cannot run in Motley's own environment", param="python")
    return named


def kept(ours: Mapping[str, str]) -> dict[str, str]:
    """Our environment, less what would lead another interpreter to our packages."""
    return {name: value for name, value in ours.items() if name not in FOREIGN}


def other(option: str | None, variable: str, more: Mapping[str, str]) -> Interpreter:
    """The `chosen` one, ready to start. `more`: further variables for it. Raises as `chosen` does."""
    return Interpreter((chosen(option, variable, os.environ), "-I", ABROAD), {**kept(os.environ), **more})
