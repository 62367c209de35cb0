from typing import Any

import pytest

from backends.contract.space import SHAPING, fingerprint

FACTS: dict[str, Any] = {
    "revision": "53aa51172d14",
    "dimensions": 384,
    "pooling": "mean",
    "normalised": True,
    "dtype": "float32",
    "runtime": "onnxruntime 1.31.0 cpu",
}


def test_equal_facts_are_one_space_whatever_else_is_said() -> None:
    found = fingerprint(FACTS)
    assert found is not None
    assert found.startswith("fp_")
    assert found == fingerprint(dict(reversed(FACTS.items()))) == fingerprint({**FACTS, "max_tokens": 256})


@pytest.mark.parametrize("name", SHAPING)
def test_each_of_them_makes_another(name: str) -> None:
    assert fingerprint({**FACTS, name: "other"}) != fingerprint(FACTS)


@pytest.mark.parametrize("name", [name for name in SHAPING if name != "revision"])
def test_what_is_not_said_is_not_the_same_as_what_is(name: str) -> None:
    told = {key: value for key, value in FACTS.items() if key != name}
    assert fingerprint(told) not in (None, fingerprint(FACTS))


def test_without_weights_nothing_is_known() -> None:
    assert fingerprint({key: value for key, value in FACTS.items() if key != "revision"}) is None
    assert fingerprint({}) is None
