"""Usage, as those who pay for it see it. In this process whatever `--door` says: who is charged what is the
door's business, not that of what lies behind it."""

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from backends.fleet.schema import Fleet
from tests.running import MOTLEY, ROOT, free_port
from tests.servers import until

from .doors import Behind
from .keys import PEPPER, Keys

HELLO = [{"role": "user", "content": "!words 3"}]
FAKE = {"engine": "fake", "source": "builtin://fake"}
CARDS = {"node": "cards", "share": 8}
FLEET = Fleet.model_validate({
    "version": 1,
    "nodes": {"cards": {"vendor": "nvidia", "gpus": 16, "vram": "8Gi"}},
    "models": {
        "one": {"task": "chat", **FAKE, "place": CARDS, "aliases": ["uno"]},
        "duo": {"task": "chat", "steps": {"sequence": [{"model": "one"}, {"model": "one"}]}},
        "vec": {"task": "embed", **FAKE, "place": {"node": "cards"}},
        "say": {"task": "speak", **FAKE, "place": {"node": "cards"}},
    },
})  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("keys") / "keys.json")
    made.add("ann")
    made.add("bob")
    made.add("poor", limits={"gpu_seconds/day": 1})
    made.add("eve", scopes=("observer",))
    return made


@pytest.fixture(scope="module")
def door(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    database = f"sqlite:///{tmp_path_factory.mktemp('usage')}/usage.db"
    one = Behind(FLEET, keys_file=str(keys.file), keys_pepper=PEPPER, usage_url=database)
    yield one
    one.close()


@pytest.fixture
def sdk(door: Behind, keys: Keys) -> Callable[[str], openai.OpenAI]:
    return lambda owner: openai.OpenAI(
        base_url=f"{door.base_url}/v1", api_key=keys.texts[owner], max_retries=0, timeout=60
    )


@pytest.fixture
def told(door: Behind, keys: Keys) -> Callable[..., Any]:
    def ask(owner: str, status: int = 200, **asked: str) -> Any:
        headers = {"authorization": f"Bearer {keys.texts[owner]}"}
        answer = httpx2.get(f"{door.base_url}/v1/usage", params=asked, headers=headers, timeout=60)
        assert answer.status_code == status, answer.text
        return answer.json()["data" if status == 200 else "error"]

    return ask


def test_who_used_what(
    sdk: Callable[[str], openai.OpenAI], told: Callable[..., Any], keys: Keys, door: Behind
) -> None:
    with sdk("ann") as ann, sdk("bob") as bob:
        whole = ann.chat.completions.create(model="one", messages=HELLO)  # type: ignore[arg-type]
        list(ann.chat.completions.create(model="uno", messages=HELLO, stream=True))  # type: ignore[call-overload]
        vectors = ann.embeddings.create(model="vec", input=["a few words"])
        bob.audio.speech.create(model="say", voice="fake", input="twelve chars").read()
        with pytest.raises(openai.BadRequestError):
            bob.audio.speech.create(model="say", voice="nobody", input="twelve chars")
        with pytest.raises(openai.NotFoundError):
            bob.embeddings.create(model="none", input="reaches no model")
    assert whole.usage is not None
    rows = {(row["key"], row["model"]): row for row in told("eve")}
    assert set(rows) == {(keys.ids["ann"], "one"), (keys.ids["ann"], "vec"), (keys.ids["bob"], "say")}
    chat = rows[keys.ids["ann"], "one"]
    assert (chat["verb"], chat["variant"], chat["requests"], chat["errors"]) == ("chat", "main", 2, 0)
    assert chat["prompt_tokens"] == 2 * whole.usage.prompt_tokens > 0
    assert chat["completion_tokens"] == 2 * whole.usage.completion_tokens == 6
    assert chat["gpu_seconds"] > 0
    embedded = rows[keys.ids["ann"], "vec"]
    assert (embedded["prompt_tokens"], embedded["gpu_seconds"]) == (vectors.usage.prompt_tokens, 0)
    spoken = rows[keys.ids["bob"], "say"]
    assert (spoken["requests"], spoken["errors"], spoken["characters"]) == (2, 1, 12)


def test_what_is_kept_apart_and_what_is_left_out(
    sdk: Callable[[str], openai.OpenAI], told: Callable[..., Any], keys: Keys
) -> None:
    with sdk("ann") as ann, sdk("bob") as bob:
        for client in (ann, bob):
            client.embeddings.create(model="vec", input="a")
    (ann_,) = told("ann", by="key")
    assert ann_["key"] == keys.ids["ann"]
    assert told("ann", key=keys.ids["ann"], by="key") == [ann_]
    assert told("eve", key=keys.ids["ann"], by="key") == [ann_]
    assert {row["model"] for row in told("eve", verb="embed", by="model,variant")} == {"vec"}
    (hour, *_) = told("eve", by="hour", model="vec", variant="main")
    began = datetime.strptime(hour["hour"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert 0 <= (datetime.now(UTC) - began).total_seconds() < 2 * 3600
    assert told("eve", since=hour["hour"])
    assert told("eve", until=hour["hour"]) == told("eve", since="2100-01-01") == []
    assert len(told("eve", limit="1")) == 1


def test_every_step_of_a_chain_is_paid(sdk: Callable[[str], openai.OpenAI], told: Callable[..., Any]) -> None:
    slow = [{"role": "user", "content": "!slow 0.1 !words 1"}]
    with sdk("ann") as ann:
        ann.chat.completions.create(model="duo", messages=slow)  # type: ignore[arg-type]
    (row,) = told("ann", model="duo")
    assert (row["variant"], row["requests"]) == ("chain", 1)
    assert row["gpu_seconds"] >= 8 * 0.1


def test_of_others_only_observers_see_it(told: Callable[..., Any], keys: Keys) -> None:
    error = told("ann", 403, key=keys.ids["bob"])
    assert (error["code"], error["param"]) == ("scope_missing", "key")


@pytest.mark.parametrize(
    ("name", "value"), [("by", "week"), ("since", "soon"), ("verb", "sing"), ("limit", "0"), ("mode", "x")]
)
def test_what_cannot_be_asked(told: Callable[..., Any], name: str, value: str) -> None:
    assert told("eve", 400, **{name: value})["param"] == name


def test_a_budget_of_gpu_seconds(sdk: Callable[[str], openai.OpenAI], told: Callable[..., Any]) -> None:
    slow = [{"role": "user", "content": "!slow 0.2"}]
    with sdk("poor") as poor:
        poor.chat.completions.create(model="one", messages=slow)  # type: ignore[arg-type]
        with pytest.raises(openai.RateLimitError, match="1 gpu seconds per day") as enough:
            poor.chat.completions.create(model="one", messages=slow)  # type: ignore[arg-type]
        assert 86_000 < int(enough.value.response.headers["retry-after"]) <= 86_400
    (row,) = told("poor", by="key")
    assert row["requests"] == 1
    assert row["gpu_seconds"] >= 8 * 0.2


def test_the_command(
    sdk: Callable[[str], openai.OpenAI], told: Callable[..., Any], keys: Keys, door: Behind
) -> None:
    for owner in ("ann", "bob"):
        with sdk(owner) as client:
            client.embeddings.create(model="vec", input="a")

    def motley(*arguments: str) -> str:
        env = {**os.environ, "MOTLEY_URL": door.base_url, "MOTLEY_API_KEY": keys.texts["eve"]}
        command = [MOTLEY, "usage", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True).stdout

    rows = told("eve", by="key,model")
    assert json.loads(motley("--by", "key,model", "--json")) == rows
    written = list(csv.DictReader(io.StringIO(motley("--by", "key,model", "--csv", "--since", "2h"))))
    assert [(row["key"], row["model"], int(row["requests"])) for row in written] == [
        (row["key"], row["model"], row["requests"]) for row in rows
    ]
    shown = motley("--of", keys.ids["ann"])
    assert keys.ids["ann"] in shown
    assert "gpu seconds" in shown
    assert keys.ids["bob"] not in shown


def test_where_none_is_kept() -> None:
    plain = Behind(FLEET)
    try:
        answer = httpx2.get(f"{plain.base_url}/v1/usage", timeout=60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    finally:
        plain.close()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str, Path]]:
    """A door's process, its URL, and the file where it keeps usage."""
    port, file = free_port(), tmp_path / "usage.db"
    env = {**os.environ, "MOTLEY_USAGE_URL": f"sqlite:///{file}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.api.door_alone", str(port)],
        cwd=ROOT,
        env=env,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    until(lambda: answers(f"{url}/ready"))
    yield process, url, file
    process.kill()
    process.wait(60)


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=60).is_success
    except httpx2.TransportError:
        return False


def ask(url: str) -> None:
    body = {"model": "one", "messages": HELLO}
    httpx2.post(f"{url}/v1/chat/completions", json=body, timeout=60).raise_for_status()


def written(file: Path) -> int:
    if not file.exists():
        return 0
    connection = sqlite3.connect(file, timeout=60)
    try:
        (found,) = connection.execute("SELECT sum(requests) FROM motley_usage").fetchone()
    except sqlite3.OperationalError:  # not made yet
        return 0
    finally:
        connection.close()
    return int(found or 0)


def test_a_door_that_is_told_to_end_loses_nothing(alone: tuple[Any, str, Path]) -> None:
    process, url, file = alone
    ask(url)
    until(lambda: written(file) == 1)
    # Somebody else has the file just now: nothing can be written before the door is told to end.
    held = sqlite3.connect(file, timeout=60, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    ask(url)
    time.sleep(1)
    for _ in range(3):
        ask(url)
    process.send_signal(signal.SIGTERM)
    time.sleep(1)
    held.execute("ROLLBACK")
    held.close()
    process.wait(60)
    assert written(file) == 5


def test_a_door_that_is_killed_has_written_what_it_had(alone: tuple[Any, str, Path]) -> None:
    process, url, file = alone
    ask(url)
    until(lambda: written(file) == 1)
    ask(url)
    process.kill()
    process.wait(60)
    assert written(file) in (1, 2)
