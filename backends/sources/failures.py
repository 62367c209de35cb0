"""Why a model's files could not be brought: a word for programs, a sentence for people."""

from typing import Any, Literal

from backends.contract.errors import EngineFailed

Why = Literal["not_found", "gated", "offline", "no_space", "checksum", "unsafe", "unsupported", "failed"]


class SourceFailed(EngineFailed):
    """The sentence becomes the model's state: it holds no path, no address and no key."""

    def __init__(self, why: Why, message: str, **rest: Any) -> None:
        super().__init__(message, **rest)
        self.why = why


class Broken(Exception):
    """A transfer broke off; another attempt, from there, may succeed."""
