"""What can be wrong with a fleet file, in a form people and programs can read."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

Path = tuple[str | int, ...]


class Finding(NamedTuple):
    """Something wrong at `path`, the keys from the top of the fleet in its long form.

    `hint` says what would put it right; empty where the message already does.
    """

    path: Path
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding with its place in the file: `line` from 1, None when it is the file itself;
    `place` the keys as written, dotted (`models.whisper.place.node`)."""

    line: int | None
    place: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{place}{self.message}" + (f" ({self.hint})" if self.hint else "")


class FleetError(Exception):
    """A fleet that cannot be used, with all that is wrong with it, in the order of its lines."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        # A merged anchor may report one line several times.
        unique = dict.fromkeys(problems)
        self.file = file
        self.problems = tuple(sorted(unique, key=lambda problem: problem.line or 0))
        super().__init__(file, self.problems)

    def __str__(self) -> str:
        """One `file:line: place: message (hint)` per problem."""
        return "\n".join(
            f"{self.file}:{problem.line}: {problem}" if problem.line else f"{self.file}: {problem}"
            for problem in self.problems
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word as a hint, else all of them."""
    choices = sorted(known)
    near = get_close_matches(word.lower(), choices, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(choices)}" if choices else ""


def shown(value: object) -> str:
    """A value of the file as a reader would recognise it: never a Python repr."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{value if len(value) <= 40 else value[:39] + '…'}'"
        case int() | float():
            return str(value)
        case list() | tuple():
            return "a list"
        case _:
            return "a mapping"
