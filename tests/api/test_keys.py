"""Keys as the SDK and the command line meet them. In this process whatever `--door` says: what a door makes
of its keys does not depend on what lies behind it."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from tests.running import MOTLEY

from .doors import Behind, on_one_node

SETTINGS = {"keys_pepper": "0123456789abcdef", "api_keys": "sk-all"}
FAKE = {"engine": "fake", "source": "builtin://fake"}
HELLO = [{"role": "user", "content": "!words 1"}]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("keys") / "keys.json"
    where.write_text('{"version": 1}')
    return where


@pytest.fixture(scope="module")
def guarded(file: Path) -> Iterator[Behind]:
    models = {name: {"task": "chat", **FAKE} for name in ("one", "two")}
    one = Behind(on_one_node(models), keys_file=str(file), **SETTINGS)
    yield one
    one.close()


@pytest.fixture(scope="module")
def motley(file: Path, guarded: Behind) -> Callable[..., str]:
    def run(*arguments: str, key: str = "") -> str:
        told = {f"MOTLEY_{name.upper()}": value for name, value in SETTINGS.items()}
        told |= {"MOTLEY_KEYS_FILE": str(file), "MOTLEY_URL": guarded.base_url, "MOTLEY_API_KEY": key}
        done = subprocess.run(
            [MOTLEY, *arguments], env={**os.environ, **told}, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        return done.stdout.strip() or done.stderr

    return run


def sdk(door: Behind, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{door.base_url}/v1", api_key=key, max_retries=0, timeout=60)


def ask(client: openai.OpenAI, model: str) -> str | None:
    said = client.chat.completions.create(model=model, messages=HELLO)  # type: ignore[arg-type]
    return said.choices[0].message.content


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refused(client: openai.OpenAI) -> bool:
    try:
        client.models.list()
    except openai.AuthenticationError as error:
        told = (error.status_code, error.code, error.type)
        return told == (401, "invalid_api_key", "authentication_error")
    return False


def test_a_key_from_its_making_to_its_end(guarded: Behind, motley: Callable[..., str]) -> None:
    plain = motley("keys", "create", "--owner", "ann", "--scope", "chat:one")
    with sdk(guarded, plain) as client:
        until(lambda: not refused(client))
        assert ask(client, "one") == "w0 "
        assert [model.id for model in client.models.list()] == ["one"]
        with pytest.raises(openai.PermissionDeniedError) as denied:
            ask(client, "two")
        assert (denied.value.status_code, denied.value.code, denied.value.param) == (
            403, "model_not_allowed", "model",
        )  # fmt: skip
        with pytest.raises(openai.PermissionDeniedError):
            client.models.retrieve("two")
        with pytest.raises(openai.NotFoundError):
            ask(client, "three")
        (key,) = [word for word in motley("keys", "list").split() if word.startswith("key_")]
        motley("keys", "revoke", key)
        until(lambda: refused(client))


def test_a_key_that_has_had_enough(guarded: Behind, motley: Callable[..., str]) -> None:
    plain = motley("keys", "create", "--owner", "bob", "--limit", "requests/day=1")
    with sdk(guarded, plain) as client:
        until(lambda: not refused(client))
        ask(client, "one")
        with pytest.raises(openai.RateLimitError) as enough:
            ask(client, "two")
        assert (enough.value.code, enough.value.type) == ("rate_limit_exceeded", "rate_limit_error")
        headers = enough.value.response.headers
        assert 86_000 < int(headers["retry-after"]) <= 86_400
        assert headers["x-ratelimit-remaining-requests"] == "0"


def test_a_key_that_was_never_made(guarded: Behind) -> None:
    for wrong in ("sk-none", "mk-0123456789abcdefghijkl000000"):
        with sdk(guarded, wrong) as client:
            assert refused(client)


def test_the_commands_take_theirs_from_the_environment(motley: Callable[..., str]) -> None:
    assert "│ one" in motley("status", key="sk-all")
    assert "answers 401" in motley("status")
