"""The open inference protocol goes the way of all requests: keys, limits, fallbacks, loads."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.guard import keyfile
from tests.unit.app.conftest import Client, Enter, fleet

PEPPER = "0123456789abcdef"
Add = Callable[..., dict[str, str]]


@pytest.fixture
def add(file: Path) -> Add:
    """A key with these scopes and limits, as the headers that bring it."""

    def made(*scopes: str, **limits: float) -> dict[str, str]:
        amounts = {name.replace("_per_", "/"): amount for name, amount in limits.items()} or None
        with keyfile.changing(file) as held:
            key, plain = keyfile.created("ann", scopes, PEPPER.encode(), datetime.now(UTC), None, amounts)
            held.append(held[0].with_one(key))
        return {"authorization": f"Bearer {plain}"}

    return made


async def ask(client: Client, model: str, name: str, *texts: str, **headers: Any) -> Any:
    tensor = {"name": name, "shape": [len(texts)], "datatype": "BYTES", "data": texts}
    return await client.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]}, **headers)


async def test_scopes(enter: Enter, file: Path, add: Add) -> None:
    user, operator = add("embed:vectors"), add("operator")
    models = {"vectors": {"task": "embed"}, "one": {"scale": {"replicas": [0, 1]}, "aliases": ["uno"]}}
    client = await enter(fleet(**models), keys_file=str(file), keys_pepper=PEPPER)
    assert (await ask(client, "vectors", "text", "a", headers=user)).status_code == 200
    refused = await ask(client, "one", "prompt", "a", headers=user)
    assert (refused.status_code, refused.json()["code"]) == (403, "model_not_allowed")
    for path in ("/v2/models/uno", "/v2/models/one/ready"):
        assert (await client.get(path, headers=user)).status_code == 403
        assert (await client.get(path, headers=operator)).status_code == 200
    for headers, seen in ((user, ["vectors"]), (operator, ["vectors", "one"])):
        listed = (await client.post("/v2/repository/index", headers=headers)).json()
        assert [one["name"] for one in listed] == seen
    for what in ("load", "unload"):
        path = f"/v2/repository/models/uno/{what}"
        assert (await client.post(path, headers=user)).json()["code"] == "scope_missing"
        done = await client.post(path, headers=operator)
        assert (done.status_code, done.content) == (200, b"")


async def test_limits(enter: Enter, file: Path, add: Add) -> None:
    key = add("*:*", requests_per_minute=2, tokens_per_day=1000)
    client = await enter(fleet(one={}, vectors={"task": "embed"}), keys_file=str(file), keys_pepper=PEPPER)
    assert "x-ratelimit-limit-requests" not in (await client.get("/v2", headers=key)).headers
    first = await ask(client, "one", "prompt", "a b", "c", headers=key)
    second = await ask(client, "vectors", "text", "a b", headers=key)
    used = first.json()["parameters"]
    assert second.headers["x-ratelimit-remaining-requests"] == "0"
    assert second.headers["x-ratelimit-remaining-tokens"] == str(1000 - sum(used.values()))
    refused = await ask(client, "one", "prompt", "a", headers=key)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) > 0


async def test_a_fallback_answers_one_and_never_some(enter: Enter) -> None:
    client = await enter(fleet(one={"fallback": ["two"], "options": {"load_s": 60}}, two={}))
    answer = await ask(client, "one", "prompt", "!words 1")
    assert (answer.status_code, answer.json()["model_name"]) == (200, "two")
    several = await ask(client, "one", "prompt", "a", "b")
    assert (several.status_code, several.json()["code"]) == (503, "model_loading")
    loading = await client.get("/v2/models/one/ready")
    assert (loading.status_code, loading.json()) == (503, {"name": "one", "ready": False})
    index = (await client.post("/v2/repository/index", json={"ready": True})).json()
    assert [one["name"] for one in index] == ["two"]


async def test_a_model_that_is_kept_is_not_unloaded(enter: Enter) -> None:
    client = await enter(fleet(one={}))
    kept = await client.post(
        "/v2/repository/models/one/unload", json={"parameters": {"unload_dependents": False}}
    )
    assert (kept.status_code, kept.json()["code"]) == (400, "model_kept")
    more = await client.post(
        "/v2/repository/models/one/unload", json={"parameters": {"unload_dependents": True}}
    )
    assert (more.status_code, more.json()["param"]) == (400, "parameters.unload_dependents")
    for body, param in ((b'{"all": 1}', "all"), (b"{", None), (b"[]", None)):
        refused = await client.post("/v2/repository/index", content=body)
        assert (refused.status_code, refused.json()["param"]) == (400, param)


async def test_how_much_and_how_deep(enter: Enter) -> None:
    """Texts are no upload, however they come; and a header of tensors opens no other route."""
    client = await enter(fleet(one={}, ear={"task": "transcribe"}), max_body_mb=0.01, max_upload_mb=0.02)
    for size, of, status in (
        (9_000, "one", 200),
        (12_000, "one", 413),
        (12_000, "ear", 200),
        (30_000, "ear", 413),
    ):
        name = "prompt" if of == "one" else "audio"
        data = size.to_bytes(4, "little") + b"x" * size
        told = f'{{"binary_data_size": {len(data)}}}'
        head = (
            f'{{"inputs": [{{"name": "{name}", "shape": [1], "datatype": "BYTES", "parameters": {told}}}]}}'
        )
        headers = {"inference-header-content-length": str(len(head))}
        answer = await client.post(f"/v2/models/{of}/infer", content=head.encode() + data, headers=headers)
        assert answer.status_code == status, (of, answer.text)
    deep = '{"model": "one", "messages": ' + "[" * 500 + "]" * 500 + "}"
    headers = {"inference-header-content-length": "10", "content-type": "application/json"}
    answer = await client.post("/v1/chat/completions", content=deep, headers=headers)
    assert (answer.status_code, "deep" in answer.json()["error"]["message"]) == (400, True)


async def test_a_predictors_name_without_keys(enter: Enter) -> None:
    """Of the fleet's own, and where no page of a stranger's can be."""
    client = await enter(fleet(one={"aliases": ["llm"]}))
    body = {"messages": [{"role": "user", "content": "!words 1"}]}
    for host, status in (
        ("llm-predictor.ai-ml", 200), ("one-predictor.ai-ml.svc.cluster.local:8000", 200),
        ("llm-predictor", 200),
        ("two-predictor.ai-ml", 403), ("llm-predictor.evil.example", 403), ("llm-predictor.dev", 403),
    ):  # fmt: skip
        answer = await client.post("/v1/chat/completions", json=body, headers={"host": host})
        assert answer.status_code == status, host
    everyone = await enter(fleet(one={}), open_to_all=True)
    named = await everyone.post(
        "/v1/chat/completions", json=body, headers={"host": "one-predictor.example.com"}
    )
    assert named.status_code == 200
