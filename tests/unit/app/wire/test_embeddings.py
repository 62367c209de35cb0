"""The shapes of `input`: what is taken, as what, and which field a refusal names."""

from typing import Any

import pytest

from app.wire.embeddings import MOST, EmbeddingsRequest
from backends.contract.errors import InvalidRequest


def read(given: Any) -> Any:
    return EmbeddingsRequest.model_validate({"input": given}).input


def test_four_shapes() -> None:
    assert read("text") == ["text"]
    assert read(["one", "two"]) == ["one", "two"]
    assert read([15339, 1917]) == [[15339, 1917]]
    assert read([[15339], [1917, 0]]) == [[15339], [1917, 0]]


def test_a_text_of_many_tokens_is_one_input() -> None:
    assert read([0] * (MOST + 1)) == [[0] * (MOST + 1)]
    assert len(read([[0]] * MOST)) == MOST


REFUSED: list[tuple[Any, str]] = [
    (None, "input"),
    ({}, "input"),
    (3.5, "input"),
    (15339, "input"),
    ("", "input"),
    ([], "input"),
    (["a"] * (MOST + 1), "input"),
    ([[0]] * (MOST + 1), "input"),
    ([100_256], "input"),
    ([-1], "input"),
    ([10**30], "input"),
    ([None], "input[0]"),
    ([True], "input[0]"),
    ([1.0], "input[0]"),
    (["a", ""], "input[1]"),
    (["a", 1], "input[1]"),
    ([1, "a"], "input[1]"),
    ([1, True], "input[1]"),
    ([1, [2]], "input[1]"),
    (["a", [2]], "input[1]"),
    ([[1], 2], "input[1]"),
    ([[1], [], [2]], "input[1]"),
    ([[1], [2], [3], [100_300]], "input[3]"),
    ([[1, -1]], "input[0]"),
    ([[2**64]], "input[0]"),
    ([[1, "a"]], "input[0]"),
    ([[1, [2]]], "input[0]"),
    ([[1, False]], "input[0]"),
    ([[1.0]], "input[0]"),
]


@pytest.mark.parametrize(
    ("given", "param"), REFUSED, ids=[f"{n}-{param}" for n, (_, param) in enumerate(REFUSED)]
)
def test_the_rest_is_refused_by_name(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(given)
    assert refused.value.param == param
    assert f"'{param}'" in refused.value.message
