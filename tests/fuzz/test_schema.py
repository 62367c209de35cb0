"""What the live OpenAPI says is taken, and what it says is not: no failure of the server's, ever."""

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tests.api.doors import Behind

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode

# Who does what a path asks for: of names at random all would be a 404.
MODELS = {
    "/v1/audio/transcriptions": "ear", "/v1/audio/translations": "ear", "/v1/audio/speech": "voice",
    "/v1/embeddings": "vectors", "/embed": "vectors", "/v1/rerank": "judge", "/v2/rerank": "judge",
    "/rerank": "judge",
    "/v1/score": "judge", "/score": "judge",
}  # fmt: skip


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as one:
        yield one


def named(document: dict[str, Any]) -> dict[str, Any]:
    """The same, where bodies name a model that there is, and nothing that is not described."""
    document = copy.deepcopy(document)
    for path, methods in document["paths"].items():
        for content in methods.get("post", {}).get("requestBody", {}).get("content", {}).values():
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            body = copy.deepcopy(document["components"]["schemas"].get(name))
            if body and "model" in body.get("properties", {}):
                body["properties"]["model"] = {"const": MODELS.get(path, "chat")}
                body["required"] = [*body.get("required", []), "model"]
                content["schema"] = {**body, "additionalProperties": False}
    return document


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_the_description(door: Behind, session: requests.Session, many: int, seed: int, mode: str) -> None:
    document = session.get(f"{door.base_url}/openapi.json", timeout=60).json()
    described = schemathesis.openapi.from_dict(named(document) if mode == "positive" else document)
    # What is watched answers for as long as one watches: tests/unit/app/test_live.py does.
    described = described.exclude(path="/v1/fleet/events")
    operations = [found.ok() for found in described.get_all_operations()]
    statuses: dict[int, int] = {}
    asked = [one for one in operations if one.method == "post"]
    for operation in operations:
        # Bodies are where most can go wrong.
        share = 0.85 / len(asked) if operation in asked else 0.15 / (len(operations) - len(asked))

        @seeded(seed)
        @settings(
            max_examples=max(2, round(many / 2 * share)), deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate],
        )  # fmt: skip
        @given(operation.as_strategy(generation_mode=GenerationMode[mode.upper()]))
        def fine(case: Any) -> None:
            answer = case.call(base_url=door.base_url, session=session, timeout=60)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            assert answer.status_code < 500, (answer.text, case.as_curl_command())
            if answer.status_code >= 400:
                told = answer.json()["error"]  # tensors' routes have a bare string
                assert told if isinstance(told, str) else told["message"], case.as_curl_command()

        fine()
    print(f"\n{sum(statuses.values())} {mode} requests:", dict(sorted(statuses.items())))
