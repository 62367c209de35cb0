"""How large, how deep and how slow a body may be."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.guard.body import DEEPEST, MOST, SLOWEST, BodyLimit, must_be_shallow
from backends.contract.errors import InvalidRequest, TooLarge, TooSlow
from tests.unit.app.conftest import Enter, fleet

CHAT = "/v1/chat/completions"


def deep(by: int) -> str:
    return "[" * by + "]" * by


@pytest.mark.parametrize(
    "body",
    [
        deep(DEEPEST),
        '{"a":' * DEEPEST + "1" + "}" * DEEPEST,
        json.dumps(["[" * 1000, 'a"b' + "[" * 1000, "\\" + "{" * 1000, '\\"' + "[" * 1000]),
        "[" + ",".join(["[]"] * (MOST - 1)) + "]",
        "",
        "]" * 1000,
    ],
)
def test_shallow(body: str) -> None:
    must_be_shallow(body.encode())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (deep(DEEPEST + 1).encode(), "deep"),
        (('["' + "[" * 99 + '",' + deep(DEEPEST) + "]").encode(), "deep"),
        (b"[" * 5_000, "deep"),
        (b'["\\\\",' + b"[" * 100, "deep"),
        (b'"[[[' + b"[" * 100 + b'", ' + deep(DEEPEST + 1).encode(), "deep"),
        (b"[" + b"[]," * MOST + b"[]]", "more than"),
        (deep(DEEPEST + 1).encode("utf-16"), "deep"),
        # Where a parser of UTF-16 sees the string end, one of UTF-8 sees another begin.
        ('["\\"", '.encode("utf-16") + deep(DEEPEST + 1).encode("utf-16-le"), "deep"),
    ],
)
def test_not_shallow(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        must_be_shallow(body)


class Sender:
    """Pieces, each after a pause in seconds."""

    def __init__(self, *pieces: tuple[float, bytes], kind: str = "application/json") -> None:
        self._pieces, self._kind = list(pieces), kind
        self.got: list[bytes] = []

    async def receive(self) -> dict[str, Any]:
        if not self._pieces:
            await asyncio.sleep(3600)
        pause, body = self._pieces.pop(0)
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": body, "more_body": bool(self._pieces)}

    async def reader(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            self.got.append(message["body"])
            if not message["more_body"]:
                break
        # Who waits for the client to leave may do so for as long as an answer takes.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await receive()

    async def passed(self, grace_s: float = 30, limit: int = 1000) -> list[bytes]:
        headers = [(b"content-type", self._kind.encode())]
        app = BodyLimit(self.reader, json=limit, upload=limit, grace_s=grace_s)
        await app({"type": "http", "headers": headers}, self.receive, lambda _: asyncio.sleep(0))
        return self.got


FORM = "multipart/form-data; boundary=x"


async def test_json_comes_whole_and_forms_in_pieces() -> None:
    assert await Sender((0, b"[1,"), (0, b"2]")).passed() == [b"[1,2]"]
    assert await Sender((0, b"--x"), (0, b"--"), kind=FORM).passed() == [b"--x", b"--"]


@pytest.mark.parametrize("kind", ["application/json", FORM])
async def test_a_body_that_stops_coming(kind: str) -> None:
    with pytest.raises(TooSlow):
        await Sender((0, b"[1,"), (3600, b"2]"), kind=kind).passed(grace_s=0.05)


@pytest.mark.parametrize("kind", ["application/json", FORM])
async def test_a_body_of_a_byte_now_and_then(kind: str) -> None:
    """Each byte alone is in time; all of them are not."""
    with pytest.raises(TooSlow):
        await Sender(*[(0.02, b" ")] * 200, kind=kind).passed(grace_s=0.2)


async def test_a_large_body_is_given_more_time() -> None:
    large = Sender((0, b" " * SLOWEST * 3600), (0.2, b"1"), kind=FORM)
    assert len(await large.passed(grace_s=0.05, limit=SLOWEST * 4000)) == 2


@pytest.mark.parametrize("kind", ["application/json", FORM])
async def test_what_is_too_large_is_not_gathered(kind: str) -> None:
    sender = Sender((0, b"x" * 600), (0, b"x" * 600), kind=kind)
    with pytest.raises(TooLarge):
        await sender.passed(limit=1000)


async def test_at_the_door(enter: Enter) -> None:
    client = await enter(fleet(one={}), body_s=0.1)
    body = {"model": "one", "messages": [{"role": "user", "content": "!words 1"}]}
    assert (await client.post(CHAT, json=body)).status_code == 200
    too_deep = f'{{"model": "one", "messages": {deep(5000)}}}'
    answer = await client.post(CHAT, content=too_deep, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "deep" in answer.json()["error"]["message"]

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.3)
        yield b"}"

    sent: list[dict[str, Any]] = []
    coming = slowly()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(coming), "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "headers": headers}
    await client.app(scope, receive, send)  # type: ignore[attr-defined]
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["error"]["code"] == "body_too_slow"


async def test_forms_have_few_parts(enter: Enter) -> None:
    client = await enter(fleet(ear={"task": "transcribe"}))
    path, file = "/v1/audio/transcriptions", ("a.wav", b"RIFF")
    many = {f"f{number}": "x" for number in range(513)}
    for data, files in (
        (many, {"file": file}),
        ({}, [("file", file)] * 3),
        ({"prompt": "x" * 257 * 1024}, {"file": file}),
    ):
        answer = await client.post(path, data={"model": "ear", **data}, files=files)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request"), answer.text
