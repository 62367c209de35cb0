"""What the console asks for operators: the fleet as it changes, another traffic, whose keys there are."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.keys import PEPPER, Keys

from .conftest import Client, Enter, fleet

FAKE = {"engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}
TWO = {"task": "chat", "traffic": {"stable": 90, "canary": 10}, "variants": {"stable": FAKE, "canary": FAKE}}


async def test_traffic_is_split_otherwise_and_back(enter: Enter) -> None:
    client = await enter(fleet(llm={**TWO, "aliases": ["gpt"]}))
    done = await client.post("/v1/models/gpt/traffic", json={"shares": {"canary": 100}})
    old, new = {"stable": 90, "canary": 10}, {"stable": 0, "canary": 100}
    assert done.json() == {"model": "llm", "traffic": new, "before": old, "changed": True}
    told = (await client.get("/v1/fleet")).json()["models"]["llm"]
    assert {name: one["weight"] for name, one in told["variants"].items()} == new
    assert told["traffic"]["before"] == old
    again = await client.post("/v1/models/llm/traffic", json={"shares": new})
    assert again.json()["changed"] is False
    await client.post("/v1/models/llm/traffic", json={"shares": told["traffic"]["before"]})
    told = (await client.get("/v1/fleet")).json()["models"]["llm"]
    assert {name: one["weight"] for name, one in told["variants"].items()} == old


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"stable": 50}, "100"),
        ({"stabel": 100}, "stable"),
        ({"stable": 110, "canary": -10}, "less than nothing"),
        ({}, "100"),
        ("all", "object"),
    ],
)
async def test_a_split_that_makes_no_sense(enter: Enter, shares: Any, said: str) -> None:
    client = await enter(fleet(llm=TWO))
    answer = await client.post("/v1/models/llm/traffic", json={"shares": shares})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "shares"
    assert said in answer.json()["error"]["message"]


async def test_nobody_writes_over_who_was_quicker(enter: Enter) -> None:
    client = await enter(fleet(llm=TWO))
    app = client.app  # type: ignore[attr-defined]
    judged: list[Any] = []

    async def refused(model: str, before: Any, weights: Any, why: str) -> bool:
        judged.append((model, before, weights, why))
        return False

    object.__setattr__(app.state.desk, "shift", refused)
    answer = await client.post("/v1/models/llm/traffic", json={"shares": {"canary": 100}})
    assert answer.status_code == 503
    assert judged == [("llm", {"stable": 90, "canary": 10}, {"stable": 0, "canary": 100}, "")]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    found = Keys(tmp_path / "keys.json")
    found.add("root", ("operator",))
    found.add("eye", ("observer",))
    found.add("ann", ("chat:*",), {"requests/minute": 60}, 2, "high")
    return found


async def entered(enter: Enter, keys: Keys) -> Client:
    return await enter(fleet(llm={}), keys_file=str(keys.file), keys_pepper=PEPPER, api_keys="sk-static")


def as_(keys: Keys, owner: str) -> dict[str, str]:
    return {"authorization": f"Bearer {keys.texts[owner]}"}


async def test_keys_are_listed_without_what_opens_anything(enter: Enter, keys: Keys) -> None:
    client = await entered(enter, keys)
    answer = await client.get("/v1/keys", headers=as_(keys, "root"))
    told = answer.json()
    assert told["static"] == 1
    assert [one["owner"] for one in told["data"]] == ["root", "eye", "ann"]
    ann = told["data"][2]
    assert ann.pop("created")
    assert ann == {
        "id": keys.ids["ann"], "owner": "ann", "scopes": ["chat:*"], "limits": {"requests/minute": 60},
        "weight": 2, "priority": "high", "expires": None, "state": "valid",
    }  # fmt: skip
    digests = [
        secret["digest"] for key in json.loads(keys.file.read_text())["keys"] for secret in key["secrets"]
    ]
    for secret in (*keys.texts.values(), *digests, "sk-static"):
        assert secret not in answer.text
    for other in ("eye", "ann"):
        assert (await client.get("/v1/keys", headers=as_(keys, other))).status_code == 403


async def test_a_keys_file_that_cannot_be_read(enter: Enter, keys: Keys) -> None:
    client = await entered(enter, keys)
    keys.file.write_text("{")
    answer = await client.get("/v1/keys", headers=as_(keys, "root"))
    assert answer.status_code == 503
    assert str(keys.file) not in answer.text


async def test_no_keys_file_is_no_keys(enter: Enter) -> None:
    client = await enter(fleet(llm={}))
    assert (await client.get("/v1/keys")).json() == {"object": "list", "data": [], "static": 0}
