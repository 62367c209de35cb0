"""What is read of documents, whose request it is, and which texts meet in a score."""

from typing import Any

import pytest

from app.wire.rerank import RerankRequest, RerankV1Request, ScoreRequest
from backends.contract.errors import InvalidRequest

BOOK = {"title": "Emma", "text": "A novel.", "author": "Austen"}


def ask(**fields: Any) -> RerankRequest:
    return RerankRequest.model_validate({"query": "q", "documents": ["plain", BOOK], **fields})


def test_a_text_is_read_unless_fields_are_named() -> None:
    assert ask().texts() == ("plain", "A novel.")
    assert ask(documents=[BOOK], rank_fields=["author", "title", "isbn"]).texts() == ("Austen\nEmma",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"documents": ["a", {"title": "b"}]}, "documents[1]"),
        ({"documents": [{"text": 3}]}, "documents[0].text"),
        ({"rank_fields": ["title"]}, "documents[0]"),
        ({"documents": [{**BOOK, "title": None}], "rank_fields": ["title", "text"]}, "documents[0].title"),
    ],
)
def test_a_document_without_what_is_to_be_read(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ask(**fields).texts()
    assert refused.value.param == param


def test_a_query_as_an_object() -> None:
    assert ask(query={"text": "why?"}).query == "why?"


@pytest.mark.parametrize(
    ("fields", "shows"),
    [
        ({}, True),
        ({"top_n": 3}, True),
        ({"rank_fields": None}, True),
        ({"rank_fields": ["text"]}, False),
        ({"max_chunks_per_doc": 10}, False),
        ({"max_tokens_per_doc": 10}, False),
        ({"max_tokens_per_doc": 10, "return_documents": True}, True),
        ({"return_documents": False}, False),
    ],
)
def test_jina_shows_documents_and_cohere_does_not(fields: dict[str, Any], shows: bool) -> None:
    body = RerankV1Request.model_validate({"query": "q", "documents": ["d"], **fields})
    assert body.shows is shows


def test_one_against_many_or_pair_by_pair() -> None:
    def asked(one: Any, other: Any) -> list[tuple[str, tuple[str, ...]]]:
        return ScoreRequest(text_1=one, text_2=other).asked()

    assert asked("a", "x") == [("a", ("x",))]
    assert asked("a", ["x", "y"]) == asked(["a"], ["x", "y"]) == [("a", ("x", "y"))]
    assert asked(["a", "b"], ["x", "y"]) == [("a", ("x",)), ("b", ("y",))]
    for one, other in ((["a", "b"], "x"), (["a", "b"], ["x", "y", "z"])):
        with pytest.raises(InvalidRequest) as refused:
            asked(one, other)
        assert refused.value.param == "text_1"
