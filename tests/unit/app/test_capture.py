"""What is captured: redacted, bounded, and never in a request's way."""

import asyncio
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from app.settings import Settings
from app.telemetry import capture, redact
from app.telemetry.capture import Body, Capture, Exchange, HttpSink
from app.telemetry.visit import Visit

from .conftest import Client, Enter, fleet
from .test_metrics import samples, total

CHAT = "/v1/chat/completions"
FLEET = fleet(one={}, says={"task": "speak"})


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "one", "messages": [{"role": "user", "content": text}], **more}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def written(client: Client, path: Path, count: int) -> list[dict[str, Any]]:
    while total(await samples(client), "motley_captured_total", outcome="written") < count:
        await asyncio.sleep(0.01)
    return lines(path)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_and_its_answer(enter: Enter, tmp_path: Path, stream: bool) -> None:
    path = tmp_path / "events"
    client = await enter(FLEET, api_keys="sk-operator", capture=str(path), capture_share=1)
    client.headers["authorization"] = "Bearer sk-operator"
    said = "!say jo@example.com write to joe@example.com or +44 20 7946 0958, sk-abcdefgh12345"
    body = chat(said, stream=stream, user="somebody")
    assert (await client.post(CHAT, json=body, headers={"x-request-id": "mine"})).is_success
    request, response = await written(client, path, 1)
    for event in (request, response):
        assert (event["specversion"], event["source"], event["subject"]) == ("1.0", "/motley/door", "one")
        assert event["requestid"] == "mine"
    assert request["id"] != response["id"]
    assert (request["type"], response["type"]) == ("motley.request", "motley.response")
    assert request["data"]["path"] == CHAT
    [message] = request["data"]["body"]["messages"]
    assert message["content"] == "!say [email] write to [email] or [phone], [secret]"
    assert request["data"]["body"]["user"] == "[hidden]"
    assert response["data"]["status"] == 200
    # Whole, and cut into events wherever the engine did.
    assert "[email]" in json.dumps(response["data"]["body"])
    assert "example.com" not in path.read_text()
    assert "sk-operator" not in path.read_text()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


async def test_what_tensors_hold_is_not_kept(enter: Enter, tmp_path: Path) -> None:
    """The fields that `capture_hide` names are not there to be hidden."""
    path = tmp_path / "events"
    client = await enter(FLEET, capture=str(path), capture_share=1, capture_hide="messages, input")
    tensor = {"name": "prompt", "shape": [1], "datatype": "BYTES", "data": ["!say private"]}
    assert (await client.post("/v2/models/one/infer", json={"inputs": [tensor]})).is_success
    asked, answered = await written(client, path, 1)
    assert asked["data"]["body"].startswith("[tensors, ")
    assert answered["data"]["body"].startswith("[tensors, ")
    assert "private" not in path.read_text()


async def test_failures_and_media_are_told_of(enter: Enter, tmp_path: Path) -> None:
    path = tmp_path / "events"
    client = await enter(FLEET, capture=str(path), capture_share=1, capture_hide="messages, input")
    await client.post(CHAT, json=chat("!bug"))
    await client.post("/v1/audio/speech", json={"model": "says", "input": "private", "voice": "fake"})
    await client.get("/v1/models")
    asked, failed, speech, sound = await written(client, path, 2)
    assert asked["data"]["body"]["messages"] == "[hidden]"
    assert (failed["data"]["code"], failed["data"]["status"]) == ("engine_failed", 502)
    assert speech["data"]["body"]["input"] == "[hidden]"
    assert sound["data"]["body"] == f"[audio/mpeg, {sound['data']['bytes']} bytes]"


async def test_off_and_never_chosen(enter: Enter, tmp_path: Path) -> None:
    path = tmp_path / "events"
    for more in ({}, {"capture": str(path), "capture_share": 0}):
        client = await enter(FLEET, **more)
        assert (await client.post(CHAT, json=chat("x"))).is_success
    assert not path.exists()


class Slow:
    """Writes when it may."""

    def __init__(self) -> None:
        self.may, self.got = asyncio.Event(), 0

    async def write(self, events: Sequence[dict[str, Any]]) -> None:
        await self.may.wait()
        self.got += len(events) // 2

    async def close(self) -> None: ...


def exchange(text: bytes = b"{}") -> Exchange:
    made = Exchange(Visit("r"), CHAT)
    made.asked = Body("application/json")
    made.asked.add(text)
    return made


async def test_what_waits_is_bounded_and_what_is_dropped_counted() -> None:
    counts: dict[str, int] = {}

    def count(outcome: str, exchanges: int) -> None:
        counts[outcome] = counts.get(outcome, 0) + exchanges

    slow = Slow()
    kept = Capture(slow, 1, (), count)
    for _ in range(capture.MOST + 7):
        kept.offer(exchange())
    assert counts == {"dropped": 7}
    running = asyncio.create_task(kept.run())
    await asyncio.sleep(0.02)  # it holds a batch that the sink does not take
    running.cancel()
    await asyncio.wait({running})
    slow.may.set()
    await kept.close()
    assert slow.got == capture.MOST  # none is lost by ending
    assert counts == {"dropped": 7, "written": capture.MOST}


def test_bodies_are_bounded() -> None:
    body = Body("application/json")
    for _ in range(5):
        body.add(b"x" * 50_000)
    told = body.told(())
    assert len(body.kept) == capture.LARGEST
    assert told == {"bytes": 250_000, "body": f"[application/json, more than {capture.LARGEST} bytes]"}


@respx.mock
async def test_a_sink_that_takes_batches() -> None:
    route = respx.post("http://sink.test/events").mock(side_effect=[httpx.Response(503), httpx.Response(202)])
    counts: list[tuple[str, int]] = []
    kept = Capture(HttpSink("http://sink.test/events"), 1, (), lambda *told: counts.append(told))
    running = asyncio.create_task(kept.run())
    for _ in range(2):
        before = len(counts)
        kept.offer(exchange())
        while len(counts) == before:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    await kept.close()
    assert counts[:2] == [("failed", 1), ("written", 1)]
    sent = route.calls[1].request
    assert sent.headers["content-type"] == "application/cloudevents-batch+json"
    assert [event["type"] for event in json.loads(sent.content)] == ["motley.request", "motley.response"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("mail a.b+c@mail.example.org now", "mail [email] now"),
        ("card 4111 1111 1111 1111 and 4111 1111 1111 1112", "card [card] and 4111 1111 1111 1112"),
        ("to DE89 3704 0044 0532 0130 00.", "to [iban]."),
        ("call +49 (0)30 901820 today", "call [phone] today"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: [secret]"),
        ("key mk-abcdef0123456789", "key [secret]"),
        ("in 2024 there were 12345 of 67890", "in 2024 there were 12345 of 67890"),
        ("see data:image/png;base64,iVBORw0KGgo= here", "see [media, 34 characters] here"),
        ("A" * 300, "[media, 300 characters]"),
    ],
)
def test_what_is_taken_out(given: str, kept: str) -> None:
    assert redact.text(given) == kept


def test_no_text_makes_it_slow() -> None:
    """By its work, not by the clock: the longest that is kept, of what patterns stumble over."""
    for evil in ("data:", "a@", "1 ", "DE89 ", "+1 ", "sk-", "x.", "A"):
        redact.text(evil * (capture.LARGEST // len(evil)))


def test_an_address_across_events() -> None:
    pieces = ["jo", "hn@exam", "ple.com"]
    parts = [{"index": number, "delta": {"content": piece}} for piece in pieces for number in (0, 1)]
    events = [{"choices": [part]} for part in parts]
    raw = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    told = redact.body(raw, "text/event-stream", True, ())
    assert set(told["content"].values()) == {"[email]"}
    assert redact.body(b"[" * 3000 + b"]" * 3000, "application/json", True, ()) == "[unreadable]"


def test_settings() -> None:
    for bad in ("relative", "ftp://x", "https://"):
        with pytest.raises(ValueError, match="must be a path"):
            Settings(_env_file=None, capture=bad)
    with pytest.raises(ValueError, match="less than or equal to 1"):
        Settings(_env_file=None, capture_share=2)
