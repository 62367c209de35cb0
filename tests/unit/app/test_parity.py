"""How far the vectors of a model's replicas lie apart, and in which space they say they are."""

import asyncio
from typing import Any

import numpy as np
import pytest

from app.parity import PROBES, apart

from .conftest import Client, Enter, fleet

PLACE = {"source": "builtin://fake", "place": {"node": "here"}}


def rows(*values: float) -> "np.ndarray[Any, Any]":
    return np.array([values], np.float32)


def test_each_to_the_farthest_other() -> None:
    assert apart([rows(0, 1), rows(0.5, 1), rows(0, 0.75)]) == [0.5, 0.5, 0.5]
    assert apart([rows(0, 1), rows(0, 1)]) == [0, 0]
    assert apart([rows(3, 1)]) == [0]
    assert apart([]) == []


@pytest.mark.parametrize("other", [rows(0), rows(0, float("nan")), rows(0, float("inf"))])
def test_what_does_not_compare(other: "np.ndarray[Any, Any]") -> None:
    assert apart([rows(0, 1), other]) == [None, None]


def variants(**options: dict[str, Any]) -> dict[str, Any]:
    made = {name: {"engine": "fake", "options": one, **PLACE} for name, one in options.items()}
    return {"task": "embed", "variants": made, "traffic": dict.fromkeys(made, 100 // len(made))}


async def serving(client: Client, count: int) -> None:
    """Until so many variants are ready."""
    async with asyncio.timeout(60):
        while await _ready(client) != count:
            await asyncio.sleep(0.02)


async def _ready(client: Client) -> int:
    models = (await client.get("/v1/fleet")).json()["models"].values()
    return sum(one["state"] == "ready" for model in models for one in model["variants"].values())


async def asked(client: Client, model: str) -> dict[str, Any]:
    answer = await client.get("/v1/fleet/parity", params={"model": model})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_twins_agree_to_the_bit(enter: Enter) -> None:
    client = await enter(fleet(twins={**variants(one={}, other={"words": 4}), "aliases": ["t"]}))
    await serving(client, 2)
    told = await asked(client, "t")
    assert (told["model"], told["probes"], told["largest"]) == ("twins", len(PROBES), 0)
    assert [each["variant"] for each in told["replicas"]] == ["one", "other"]
    assert len({each["fingerprint"] for each in told["replicas"]}) == 1


async def test_strangers_do_not(enter: Enter) -> None:
    client = await enter(fleet(strangers=variants(one={}, other={"revision": "newer"})))
    await serving(client, 2)
    told = await asked(client, "strangers")
    assert told["largest"] > 0.1
    assert {each["difference"] for each in told["replicas"]} == {told["largest"]}
    assert len({each["fingerprint"] for each in told["replicas"]}) == 2


async def test_who_does_not_answer_leaves_the_verdict_open(enter: Enter) -> None:
    client = await enter(fleet(half=variants(one={}, other={"load_s": 60})))
    await serving(client, 1)
    told = await asked(client, "half")
    assert told["largest"] is None
    one, other = told["replicas"]
    assert (one["difference"], one["error"]) == (0, None)
    assert (other["difference"], other["error"], other["pid"]) == (None, "it is loading", None)


async def test_only_vectors_compare(enter: Enter) -> None:
    client = await enter(fleet(talker={}))
    for model, status, param in (("talker", 400, "model"), ("nobody", 404, "model"), (None, 400, "model")):
        given = {} if model is None else {"model": model}
        answer = await client.get("/v1/fleet/parity", params=given)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


async def test_batches_cut_otherwise_give_the_same_vectors(enter: Enter) -> None:
    """The real thing: MiniLM text by text, and many at a time."""
    place = {"engine": "onnx", "source": "builtin://minilm", "place": {"node": "here"}}
    both = {"single": {**place, "options": {"max_batch": 1}}, "many": place}
    client = await enter(
        fleet(minilm={"task": "embed", "variants": both, "traffic": {"single": 50, "many": 50}})
    )
    await serving(client, 2)
    assert 0 <= (await asked(client, "minilm"))["largest"] < 1e-5


async def test_the_answer_names_its_space(enter: Enter) -> None:
    client = await enter(fleet(strangers=variants(one={}, other={"revision": "newer"}), talker={}))
    await serving(client, 3)
    entry = (await client.get("/v1/models/strangers")).json()
    assert set(entry["fingerprints"]) == {"one", "other"}
    assert entry["fingerprint"] in entry["fingerprints"].values()
    seen = {}
    for number in range(40):
        body = {"model": "strangers", "input": "x", "user": str(number)}
        answer = await client.post("/v1/embeddings", json=body)
        seen[answer.headers["x-motley-variant"]] = answer.headers["x-motley-fingerprint"]
    assert seen == entry["fingerprints"]
    chat = {"model": "talker", "messages": [{"role": "user", "content": "!words 1"}]}
    assert "x-motley-fingerprint" not in (await client.post("/v1/chat/completions", json=chat)).headers
    assert "fingerprint" not in (await client.get("/v1/models/talker")).json()


async def test_a_fallback_names_its_own(enter: Enter) -> None:
    main = {"task": "embed", "options": {"load_s": 60}, "fallback": ["spare"]}
    client = await enter(fleet(main=main, spare={"task": "embed", "options": {"revision": "spare"}}))
    await serving(client, 1)
    answer = await client.post("/v1/embeddings", json={"model": "main", "input": "x"})
    entry = (await client.get("/v1/models/spare")).json()
    assert answer.headers["x-motley-fingerprint"] == entry["fingerprint"]
