"""What a key may do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Literal, Self

from app.guard.limits import UNLIMITED, Limits
from backends.contract.errors import Forbidden
from backends.contract.tasks import VERBS, Asker, Verb

# `observer`: metrics and the fleet's state. `operator`: that, and everything that changes what runs.
Office = Literal["observer", "operator"]
Priority = Literal["low", "normal", "high"]
RANKS: Mapping[Priority, int] = {"low": -1, "normal": 0, "high": 1}
OFFICES: tuple[Office, ...] = ("observer", "operator")
ANY = "*"


@dataclass(frozen=True, slots=True)
class Scopes:
    """`grants`: (verb or `*`, pattern of models' own names) pairs."""

    grants: tuple[tuple[str, str], ...] = ()
    offices: frozenset[str] = frozenset()

    @classmethod
    def parsed(cls, scopes: Iterable[str]) -> Self:
        """Of `VERB:MODEL` (either may be `*`, and a model's name may hold some) and offices.

        Raises ValueError."""
        grants, offices = [], set()
        for scope in scopes:
            verb, colon, model = scope.partition(":")
            if scope in OFFICES:
                offices.add(scope)
            elif verb not in (ANY, *VERBS) or not colon or not model:
                raise ValueError(f"'{scope}' is no scope{_hint(verb)}")
            else:
                grants.append((verb, model))
        return cls(tuple(grants), frozenset({"observer", "operator"} if "operator" in offices else offices))

    def may(self, verb: Verb, model: str) -> bool:
        """`model`: its own name, no alias: an alias that moves on takes nobody's key with it."""
        for by, pattern in self.grants:
            if by in (ANY, verb) and (pattern in (ANY, model) or fnmatchcase(model, pattern)):
                return True
        return False


@dataclass(frozen=True)
class Caller:
    """Whom a key belongs to. `key`: its id, which is no secret. `weight`, `priority`: where requests of
    several keys wait."""

    key: str
    owner: str
    scopes: Scopes
    limits: Limits = UNLIMITED
    weight: int = 1
    priority: Priority = "normal"

    @cached_property
    def asker(self) -> Asker:
        return Asker(self.key, self.weight, RANKS[self.priority])

    def may(self, verb: Verb, model: str) -> bool:
        return self.scopes.may(verb, model)

    def may_see(self, verb: Verb, model: str) -> bool:
        """What it may use, and for those who look after the fleet, everything."""
        return self.may(verb, model) or "observer" in self.scopes.offices

    def must_hold(self, office: Office) -> None:
        """Raises Forbidden."""
        if office not in self.scopes.offices:
            raise Forbidden(
                f"This API key may not do that: it lacks the scope `{office}`", code="scope_missing"
            )


ALL = Scopes.parsed(("*:*", "operator"))
# Who comes in where no keys are asked for.
ANYONE = Caller("", "", ALL)


def _hint(verb: str) -> str:
    close = get_close_matches(verb, (*VERBS, *OFFICES), 1)
    near = f": did you mean {close[0]}?" if close else ""
    return f"{near or ':'} write VERB:MODEL ({', '.join(VERBS)}, or * for any), {' or '.join(OFFICES)}"
