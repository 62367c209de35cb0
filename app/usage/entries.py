"""What one visit used, and whose account that goes to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from app.guard.limits import Kind
from app.telemetry.visit import Visit

BYTES_A_TOKEN = 4  # of English, about
HOUR_S = 3600


class Account(NamedTuple):
    """`key`: its id, empty where none was asked for; `model`, `variant`: who answered; `hour`: Unix seconds
    of its beginning."""

    key: str
    model: str
    verb: str
    variant: str
    hour: int


@dataclass(slots=True)
class Used:
    """`errors`: of the requests, those that failed, for whatever reason but the caller's leaving."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    audio_seconds: float = 0.0
    characters: int = 0
    gpu_seconds: float = 0.0

    def add(self, more: "Used") -> None:
        self.requests += more.requests
        self.errors += more.errors
        self.prompt_tokens += more.prompt_tokens
        self.completion_tokens += more.completion_tokens
        self.audio_seconds += more.audio_seconds
        self.characters += more.characters
        self.gpu_seconds += more.gpu_seconds

    def costs(self) -> Mapping[Kind, float]:
        """As limits count it."""
        return {
            "tokens": self.prompt_tokens + self.completion_tokens,
            "audio_seconds": self.audio_seconds,
            "characters": self.characters,
            "gpu_seconds": self.gpu_seconds,
        }


ACCOUNT = Account._fields
SUMS = tuple(one.name for one in fields(Used))


def used(visit: Visit, length: int) -> Used:
    """Of a visit that has ended. Of one whose caller left the engine tells no usage: what was sent out
    counts, and for the prompt the `length` of the body, in bytes."""
    prompt, completion = visit.usage.prompt_tokens, visit.usage.completion_tokens
    if not prompt + completion and visit.target is not None and visit.target.task == "chat" and visit.left:
        prompt, completion = length // BYTES_A_TOKEN, visit.tokens
    failed = not visit.left and (visit.code is not None or visit.cut is not None)
    gpu_s = visit.target.bill.gpu_s if visit.target is not None else 0.0
    return Used(1, int(failed), prompt, completion, visit.heard_s, visit.characters, gpu_s)


def account(visit: Visit, now: float) -> Account | None:
    """None for a visit that reached no model. `now`: Unix seconds."""
    if visit.target is None or visit.caller is None:
        return None
    target = visit.target
    hour = int(now // HOUR_S) * HOUR_S
    return Account(visit.caller.key, target.model, target.task, target.variant, hour)
