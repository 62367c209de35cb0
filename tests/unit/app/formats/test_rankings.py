from app.formats import rankings
from backends.contract.results import Ranking

RANKING = Ranking((0.2, 0.9, 0.2, 0.5), tokens=11)
DOCUMENTS = [{"text": "a"}, {"text": "b", "id": 7}, {"text": "c"}, {"text": "d"}]


def test_best_first_and_equals_as_given() -> None:
    body = rankings.v1(RANKING, "r", "m", DOCUMENTS, top_n=None, with_documents=True)
    assert [result["index"] for result in body["results"]] == [1, 3, 0, 2]
    assert body["results"][0] == {"index": 1, "relevance_score": 0.9, "document": {"text": "b", "id": 7}}
    assert body["usage"] == {"prompt_tokens": 11, "total_tokens": 11}
    assert (body["id"], body["model"], body["object"]) == ("r", "m", "list")
    assert body["meta"]["api_version"]["version"] == "1"


def test_top_n_without_documents_as_cohere_has_it() -> None:
    body = rankings.v2(RANKING, "r", DOCUMENTS, top_n=1, with_documents=False)
    assert body == {
        "id": "r",
        "results": [{"index": 1, "relevance_score": 0.9}],
        "meta": {
            "api_version": {"version": "2", "is_experimental": False},
            "billed_units": {"search_units": 1},
            "tokens": {"input_tokens": 11, "output_tokens": 0},
        },
    }


def test_a_search_unit_is_a_hundred_documents() -> None:
    def units(count: int) -> int:
        ranking, documents = Ranking((0.5,) * count), [{"text": "a"}] * count
        body = rankings.v2(ranking, "r", documents, top_n=None, with_documents=False)
        return int(body["meta"]["billed_units"]["search_units"])

    assert [units(count) for count in (1, 100, 101, 200, 201)] == [1, 1, 2, 2, 3]


def test_tei_has_a_bare_array() -> None:
    assert rankings.tei(RANKING, "abcd", with_texts=False)[:2] == [
        {"index": 1, "score": 0.9},
        {"index": 3, "score": 0.5},
    ]
    assert [one["text"] for one in rankings.tei(RANKING, "abcd", with_texts=True)] == ["b", "d", "a", "c"]


def test_vllm_has_scores_in_the_order_of_the_texts() -> None:
    body = rankings.scores(RANKING, "r", "m")
    assert [item["score"] for item in body["data"]] == [0.2, 0.9, 0.2, 0.5]
    assert body["data"][3] == {"index": 3, "object": "score", "score": 0.5}
    assert body["usage"] == {"prompt_tokens": 11, "completion_tokens": 0, "total_tokens": 11}
    assert body["id"] == "score-r"
