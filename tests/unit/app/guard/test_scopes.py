"""What a key may do."""

import pytest

from app.guard.scopes import Caller, Scopes
from backends.contract.errors import Forbidden


def may(scopes: list[str], verb: str, model: str) -> bool:
    return Scopes.parsed(scopes).may(verb, model)  # type: ignore[arg-type]


def test_a_verb_of_a_model() -> None:
    assert may(["chat:llama"], "chat", "llama")
    assert not may(["chat:llama"], "chat", "llama-2")
    assert not may(["chat:llama"], "embed", "llama")
    assert not may([], "chat", "llama")


def test_patterns() -> None:
    assert may(["*:team-*"], "speak", "team-voice")
    assert not may(["*:team-*"], "speak", "other")
    assert may(["embed:*"], "embed", "any/thing:at-all")
    assert may(["chat:org/name:tag"], "chat", "org/name:tag")
    assert not may(["chat:LLAMA"], "chat", "llama")


def test_offices_are_no_models_and_models_no_offices() -> None:
    operator, all_models = Scopes.parsed(["operator"]), Scopes.parsed(["*:*"])
    assert not operator.may("chat", "llama")
    assert operator.offices == {"operator", "observer"}
    assert Scopes.parsed(["observer"]).offices == {"observer"}
    assert not all_models.offices
    with pytest.raises(Forbidden) as refused:
        Caller("key_1", "ann", Scopes.parsed(["observer", "*:*"])).must_hold("operator")
    assert (refused.value.status, refused.value.code) == (403, "scope_missing")


@pytest.mark.parametrize("wrong", ["", "chat", "chat:", ":llama", "tts:*", "admin", "operator:*", "*"])
def test_what_is_no_scope(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no scope"):
        Scopes.parsed([wrong])


def test_a_near_miss_is_helped() -> None:
    with pytest.raises(ValueError, match="did you mean transcribe"):
        Scopes.parsed(["transcibe:*"])
