"""A file → `Fleet`, or every problem of its shape at once, each with its line."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backends.fleet import wording
from backends.fleet.document import Document, Unreadable, parse
from backends.fleet.problems import FleetError, Problem, did_you_mean, shown
from backends.fleet.schema import Fleet

__all__ = ["FleetError", "Problem", "load", "read", "shape"]


def load(path: str | Path) -> Fleet:
    """The first ring alone: syntax and shape. Raises FleetError."""
    document = read(path)
    fleet, problems = shape(document)
    if fleet is None or problems:
        raise FleetError(str(path), problems)
    return fleet


def read(path: str | Path) -> Document:
    """The file's text as data with lines. Raises FleetError."""
    path = Path(path)
    try:
        return parse(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(line, "", "not UTF-8", "save the file as UTF-8")
    except FileNotFoundError:
        problem = Problem(None, "", "no such file", _neighbour(path))
    except IsADirectoryError:
        problem = Problem(None, "", "a directory, not a fleet file", _inside(path))
    except OSError as error:
        problem = Problem(None, "", f"cannot be read: {(error.strerror or 'unknown reason').lower()}")
    except Unreadable as error:
        problem = error.problem
    raise FleetError(str(path), [problem])


def shape(document: Document) -> tuple[Fleet | None, list[Problem]]:
    """The fleet, and what is wrong with its shape.

    With problems the fleet is what remains without the models they are in, so that the other
    rings can report on the rest; None where nothing remains to be judged.
    """
    problems = list(document.problems)
    data = document.data
    if data is None:
        return None, [*problems, Problem(1, "", "the file is empty", "see deploy/fleets/embedded.yaml")]
    if not isinstance(data, dict):
        message = f"a fleet is a mapping with version, nodes and models, not {shown(data)}"
        return None, [*problems, Problem(1, "", message)]
    try:
        return Fleet.model_validate(data), problems
    except ValidationError as error:
        found = wording.findings(error, Fleet)
    problems += [document.problem(finding) for finding in found]
    broken = {
        finding.path[1] for finding in found if finding.path[0:1] == ("models",) and len(finding.path) > 1
    }
    return _without(data, broken), problems


def _without(data: dict[str, Any], models: set[str | int]) -> Fleet | None:
    kept = data.get("models")
    if not models or not isinstance(kept, dict):
        return None
    try:
        return Fleet.model_validate({**data, "models": {k: v for k, v in kept.items() if k not in models}})
    except ValidationError:
        return None


def _neighbour(path: Path) -> str:
    names = [one.name for one in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    hint = did_you_mean(path.name, names)
    return hint if hint.startswith("did") else ""


def _inside(path: Path) -> str:
    names = sorted(one.name for one in path.glob("*.yaml"))
    return f"it holds {', '.join(names[:5])}" if names else ""
