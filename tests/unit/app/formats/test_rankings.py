from app.formats.rankings import render
from backends.contract.results import Ranking

RANKING = Ranking((0.2, 0.9, 0.2, 0.5), tokens=11)


def test_best_first_and_equals_as_given() -> None:
    body = render(RANKING, "m", "abcd", top_n=None, with_documents=True)
    assert [result["index"] for result in body["results"]] == [1, 3, 0, 2]
    assert body["results"][0] == {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}
    assert body["usage"]["total_tokens"] == 11


def test_top_n_without_documents() -> None:
    body = render(RANKING, "m", "abcd", top_n=1, with_documents=False)
    assert body["results"] == [{"index": 1, "relevance_score": 0.9}]
