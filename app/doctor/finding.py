"""What the doctor says."""

from dataclasses import dataclass
from typing import Literal

# wrong: it would not work · warning: it works, but worse or differently than one thinks
State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`about`: a word for what was looked at; `message`: a sentence; `fix`: the command that mends it, or
    what to write in the fleet; empty where all is well."""

    about: str
    state: State
    message: str
    fix: str = ""


def ok(about: str, message: str) -> Finding:
    return Finding(about, "ok", message)


def warning(about: str, message: str, fix: str) -> Finding:
    return Finding(about, "warning", message, fix)


def wrong(about: str, message: str, fix: str) -> Finding:
    return Finding(about, "wrong", message, fix)
