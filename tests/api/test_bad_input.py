"""Bad input: the right status, OpenAI's envelope, the right `param`, and a door that still stands."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from .doors import Door

CHAT, EMBED, RERANK = "/v1/chat/completions", "/v1/embeddings", "/v1/rerank"
SPEAK, HEAR = "/v1/audio/speech", "/v1/audio/transcriptions"
USER = {"role": "user", "content": "hi"}
JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def still_stands(http: httpx2.Client) -> Iterator[None]:
    yield
    body = {"model": "fake-chat", "messages": [{"role": "user", "content": "!words 1"}]}
    assert http.post(CHAT, json=body).json()["choices"][0]["message"]["content"] == "w0 "


def refused(answer: httpx2.Response, status: int, param: str | None, code: str = "invalid_request") -> str:
    """Checks the envelope; returns its message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = answer.json()
    if answer.request.url.path.endswith(RERANK):
        assert body.pop("detail") == body["error"]["message"]
    assert list(body) == ["error"]
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["param"], error["code"]) == (param, code)
    assert error["message"]
    for secret in (
        "Traceback",
        str(Path(__file__).parents[2]),
        ".py",
        "site-packages",
        "secret",
        "<class",
        "UploadFile",
    ):
        assert secret not in answer.text
    return str(error["message"])


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "fake-chat", "messages": [USER], **fields}


def message(**fields: Any) -> dict[str, Any]:
    return chat(messages=[USER, fields])


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


embed = {"model": "fake-embed", "input": "text"}
rerank = {"model": "fake-rerank", "query": "q", "documents": ["d"]}
speak = {"model": "fake-speak", "input": "text", "voice": "fake"}

WRONG: list[tuple[str, dict[str, Any], str]] = [
    # empty or missing fields
    (CHAT, {}, "messages"),
    (CHAT, without(chat(), "model"), "model"),
    (CHAT, chat(model=""), "model"),
    (CHAT, without(chat(), "messages"), "messages"),
    (CHAT, chat(messages=[]), "messages"),
    (CHAT, chat(messages=[{"content": "hi"}]), "messages[0].role"),
    (CHAT, chat(messages=[{"role": "user"}]), "messages[0].content"),
    (CHAT, message(role="user", content=None), "messages[1].content"),
    (CHAT, message(role="user", content=[]), "messages[1].content"),
    (EMBED, without(embed, "input"), "input"),
    (EMBED, {**embed, "input": ""}, "input"),
    (EMBED, {**embed, "input": []}, "input"),
    (EMBED, {**embed, "input": ["a", ""]}, "input[1]"),
    (RERANK, without(rerank, "query"), "query"),
    (RERANK, {**rerank, "query": ""}, "query"),
    (RERANK, without(rerank, "documents"), "documents"),
    (RERANK, {**rerank, "documents": []}, "documents"),
    (SPEAK, without(speak, "input"), "input"),
    (SPEAK, {**speak, "input": ""}, "input"),
    (SPEAK, without(speak, "voice"), "voice"),
    # wrong types
    (CHAT, chat(model=7), "model"),
    (CHAT, chat(messages="hi"), "messages"),
    (CHAT, chat(messages=["hi"]), "messages[0]"),
    (CHAT, message(role="user", content=3), "messages[1].content"),
    (CHAT, message(role="user", content=["hi"]), "messages[1].content[0]"),
    (CHAT, message(role="user", content=[{"text": "hi"}]), "messages[1].content[0].type"),
    (CHAT, message(role="user", content=[{"type": "text"}]), "messages[1].content[0].text"),
    (CHAT, chat(stream="yes"), "stream"),
    (CHAT, chat(temperature="warm"), "temperature"),
    (CHAT, chat(temperature=2.5), "temperature"),
    (CHAT, chat(top_p=-0.1), "top_p"),
    (CHAT, chat(max_tokens=0), "max_tokens"),
    (CHAT, chat(max_tokens=1.5), "max_tokens"),
    (EMBED, {**embed, "input": 3.5}, "input"),
    (EMBED, {**embed, "input": ["a", {}]}, "input[1]"),
    (EMBED, {**embed, "input": ["a"] * 2049}, "input"),
    (EMBED, {**embed, "input": [1, 2, 100_300]}, "input"),
    (EMBED, {**embed, "input": [[1, 2], [-3]]}, "input[1]"),
    (EMBED, {**embed, "input": [[1, 2], "a"]}, "input[1]"),
    (EMBED, {**embed, "input_type": "passage"}, "input_type"),
    (EMBED, {**embed, "encoding_format": "binary"}, "encoding_format"),
    (EMBED, {**embed, "dimensions": 0}, "dimensions"),
    (EMBED, {**embed, "truncate": True}, "truncate"),
    (RERANK, {**rerank, "documents": "d"}, "documents"),
    (RERANK, {**rerank, "documents": ["d", 1]}, "documents[1]"),
    (RERANK, {**rerank, "documents": [{"title": "d"}]}, "documents[0]"),
    (RERANK, {**rerank, "top_n": 0}, "top_n"),
    (SPEAK, {**speak, "input": "x" * 4097}, "input"),
    (SPEAK, {**speak, "speed": 5}, "speed"),
    (SPEAK, {**speak, "speed": "1"}, "speed"),
    (SPEAK, {**speak, "voice": {"name": "fake"}}, "voice"),
    (SPEAK, {**speak, "voice": "nobody"}, "voice"),
    (SPEAK, {**speak, "response_format": "midi"}, "response_format"),
    (SPEAK, {**speak, "stream_format": "video"}, "stream_format"),
    (SPEAK, {**speak, "instructions": "whisper it"}, "instructions"),
    (SPEAK, {**speak, "instructions": "x" * 4097}, "instructions"),
    (SPEAK, {**speak, "voice": {"id": ""}}, "voice"),
    # an unknown role
    (CHAT, message(role="wizard", content="hi"), "messages[1].role"),
    (CHAT, message(role=["user"], content="hi"), "messages[1].role"),
]


@pytest.mark.parametrize(("path", "body", "param"), WRONG, ids=[f"{p[4:]}-{w}" for p, _, w in WRONG])
def test_a_wrong_field_is_named(http: httpx2.Client, path: str, body: dict[str, Any], param: str) -> None:
    said = refused(http.post(path, json=body), 400, param)
    assert param.partition("[")[0] in said or param in ("voice", "model")


@pytest.mark.parametrize("path", [CHAT, EMBED, RERANK, SPEAK])
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"\xff\xfe{}",
        b'{"model": "\\ud800"}',
        b'{"model": "\xed\xa0\x80"}',
        '{"model": "\\ud800"}'.encode("utf-16"),
        b'{"model": NaN}',
        b"[" * 50_000,
    ],
)
def test_bad_json(http: httpx2.Client, path: str, body: bytes) -> None:
    refused(http.post(path, content=body, headers=JSON), 400, None)


@pytest.mark.parametrize("body", [[], "text", 3, None, True])
def test_json_but_no_object(http: httpx2.Client, body: object) -> None:
    refused(http.post(CHAT, content=json.dumps(body), headers=JSON), 400, None)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", None])
@pytest.mark.parametrize("path", [CHAT, EMBED, RERANK, SPEAK])
def test_a_wrong_content_type(http: httpx2.Client, path: str, kind: str | None) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = http.post(path, content=json.dumps(chat()).encode(), headers=headers)
    refused(answer, 415, None, "unsupported_media")


@pytest.mark.parametrize(
    ("path", "body"),
    [(CHAT, chat()), (EMBED, embed), (RERANK, rerank), (SPEAK, speak)],
    ids=["chat", "embed", "rerank", "speak"],
)
class TestTheModel:
    def test_unknown(self, http: httpx2.Client, path: str, body: dict[str, Any]) -> None:
        refused(http.post(path, json={**body, "model": "gpt-9"}), 404, "model", "model_not_found")

    def test_of_another_task(self, http: httpx2.Client, path: str, body: dict[str, Any]) -> None:
        other = "fake-embed" if path != EMBED else "fake-chat"
        said = refused(http.post(path, json={**body, "model": other}), 400, "model", "task_unsupported")
        assert other in said

    def test_through_the_wrong_alias(self, http: httpx2.Client, path: str, body: dict[str, Any]) -> None:
        answer = http.post(f"/whisper{path}", json=without(body, "model"))
        refused(answer, 400, "model", "task_unsupported")


def test_the_sdk_sees_kinds_of_errors(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.chat.completions.create(model="gpt-9", messages=[USER])  # type: ignore[list-item]
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as wrong:
        sdk.embeddings.create(model="fake-embed", input=["a", ""])
    assert wrong.value.param == "input[1]"
    assert wrong.value.type == "invalid_request_error"
    assert wrong.value.request_id


def test_an_over_long_prompt(http: httpx2.Client) -> None:
    body = chat(messages=[{"role": "user", "content": "word " * 1025}])
    for stream in (False, True):
        refused(http.post(CHAT, json={**body, "stream": stream}), 400, "messages", "context_length_exceeded")


@pytest.mark.parametrize("path", [CHAT, EMBED])
def test_a_body_of_30_mb(http: httpx2.Client, path: str) -> None:
    refused(
        http.post(path, json=chat(messages=[{**USER, "content": "x" * 30_000_000}])),
        413,
        None,
        "body_too_large",
    )


def test_a_body_of_30_mb_in_chunks(http: httpx2.Client) -> None:
    pieces = (b"x" * 1_000_000 for _ in range(30))
    refused(http.post(CHAT, content=pieces, headers=JSON), 413, None, "body_too_large")


def test_an_unknown_route(http: httpx2.Client) -> None:
    for path in (
        "/v1/nothing",
        "/nothing",
        "/llm/v1/nothing",
        "/nobody/v1/models",
        "/llm/health",
        "/v1/chat",
    ):
        refused(http.get(path), 404, None, "not_found")
        refused(http.post(path, json={}), 404, None, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_wrong_method(http: httpx2.Client, method: str) -> None:
    answer = http.request(method, CHAT)
    refused(answer, 405, None, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("stream", [False, True])
def test_failures_of_the_engine(http: httpx2.Client, stream: bool) -> None:
    """Told from the caller's own, before the first item, with a status code."""
    bodies = {
        CHAT: lambda script: chat(messages=[{"role": "user", "content": script}], stream=stream),
        EMBED: lambda script: {**embed, "input": script},
        RERANK: lambda script: {**rerank, "query": script},
        SPEAK: lambda script: {**speak, "input": script},
    }
    for path, body in bodies.items():
        refused(http.post(path, json=body("!bug")), 502, None, "engine_failed")
        full = http.post(path, json=body("!overloaded"))
        refused(full, 503, None, "overloaded")
        assert full.headers["retry-after"] == "3"


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_takes_too_long(http: httpx2.Client, stream: bool) -> None:
    messages = [{"role": "user", "content": "!slow 30"}]
    answer = http.post(CHAT, json=chat(model="fake-hasty", messages=messages, stream=stream))
    refused(answer, 504, None, "upstream_timeout")
    assert answer.elapsed.total_seconds() < 15


@pytest.mark.parametrize(
    "headers", [{"x-request-disconnect-disabled": "true"}, {"x-request-timeout-seconds": "0.1"}]
)
def test_headers_that_steer_other_servers_do_not_steer_this_one(
    http: httpx2.Client, headers: dict[str, str]
) -> None:
    body = chat(messages=[{"role": "user", "content": "!slow 0.2 !words 2"}])
    answer = http.post(CHAT, json=body, headers=headers)
    assert answer.json()["choices"][0]["message"]["content"] == "w0 w1 "
    streamed = http.post(CHAT, json={**body, "stream": True}, headers=headers)
    assert streamed.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer sk-wrong", "Basic c2stc3VpdGU=", "sk-suite", "Bearer sk-suite-"]
)
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/fleet", "/metrics", "/nothing", "/llm/v1/models"])
def test_a_wrong_key(door: Door, path: str, header: str) -> None:
    headers = {"authorization": header} if header else {}
    answer = httpx2.post(f"{door.base_url}{path}", headers=headers, json=chat())
    refused(answer, 401, None, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["type"] == "authentication_error"


def test_open_without_a_key(door: Door) -> None:
    for path in ("/health", "/ready", "/-/healthz", "/docs", "/openapi.json"):
        assert httpx2.get(f"{door.base_url}{path}").status_code == 200


def test_any_of_the_keys(door: Door) -> None:
    for key in ("sk-other", door.key):
        answer = httpx2.get(f"{door.base_url}/v1/models", headers={"authorization": f"bearer {key}"})
        assert answer.status_code == 200


SOUND = {"file": ("a.wav", b"RIFF and more", "audio/wav")}
WRONG_FORMS: list[tuple[dict[str, Any], str]] = [
    ({"response_format": "srt", "stream": "true"}, "response_format"),
    ({"response_format": "diarized_json"}, "response_format"),
    ({"response_format": "haiku"}, "response_format"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": "1.5"}, "temperature"),
    ({"stream": "perhaps"}, "stream"),
    ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
    ({"timestamp_granularities[]": "letter", "response_format": "verbose_json"}, "timestamp_granularities"),
    ({"include[]": "logprobs", "response_format": "text"}, "include"),
    ({"include[]": "item"}, "include"),
    ({"language": "?"}, "language"),
    ({"languages[]": "klingon speech"}, "languages"),
    ({"language": "de", "languages[]": "de"}, "languages"),
    ({"languages": "de"}, "languages"),
    ({"keywords": "Motley"}, "keywords"),
    ({"timestamp_granularities[0]": "word", "response_format": "verbose_json"}, "timestamp_granularities"),
    ({"chunking_strategy": "server_vad"}, "chunking_strategy"),
    ({"chunking_strategy": '{"type"'}, "chunking_strategy"),
    ({"chunking_strategy": '{"type": "semantic_vad"}'}, "chunking_strategy.type"),
    ({"chunking_strategy[type]": "auto"}, "chunking_strategy.type"),
    ({"chunking_strategy": '{"type": "server_vad", "loudness": 1}'}, "chunking_strategy.loudness"),
    ({"chunking_strategy[threshold]": "0.5"}, "chunking_strategy.type"),
    ({"chunking_strategy": "auto", "chunking_strategy[type]": "server_vad"}, "chunking_strategy"),
    ({"chunking_strategy": '{"type": "server_vad", "threshold": 2}'}, "chunking_strategy.threshold"),
    ({"known_speaker_references[]": "data:audio/wav;base64,"}, "known_speaker_references"),
    ({"known_speaker_names[]": "Ann"}, "known_speaker_names"),
    ({"model": ""}, "model"),
]


@pytest.mark.parametrize(("form", "param"), WRONG_FORMS, ids=[next(iter(form)) for form, _ in WRONG_FORMS])
def test_a_wrong_form_field_is_named(http: httpx2.Client, form: dict[str, Any], param: str) -> None:
    refused(http.post(HEAR, data={"model": "fake-transcribe", **form}, files=SOUND), 400, param)


def test_a_file_in_a_text_field_is_refused(http: httpx2.Client) -> None:
    files = {**SOUND, "response_format": ("a.txt", b"json")}
    refused(http.post(HEAR, data={"model": "fake-transcribe"}, files=files), 400, "response_format")


def test_uploads_that_are_none(http: httpx2.Client) -> None:
    data = {"model": "fake-transcribe"}
    refused(http.post(HEAR, data=data, files={"file": ("a.wav", b"", "audio/wav")}), 400, "file")
    refused(http.post(HEAR, data=data, files={"other": ("a.wav", b"RIFF")}), 400, "file")
    text = http.post(HEAR, files={"model": (None, "fake-transcribe"), "file": (None, "text")})
    assert "filename" in refused(text, 400, "file")
    refused(http.post(HEAR, json={**data, "file": "a.wav"}), 415, "file", "unsupported_media")
    refused(http.post(HEAR, content=b"RIFF"), 415, "file", "unsupported_media")
    broken = http.post(HEAR, content=b"--x\r\nnonsense", headers={"content-type": "multipart/form-data"})
    refused(broken, 400, None)


@pytest.mark.parametrize("charset", ["raw_unicode_escape", "utf-7"])
def test_a_form_in_a_charset_that_makes_no_text(http: httpx2.Client, charset: str) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n%s\r\n--x--\r\n'
    content = form % (b"+2AA-" if charset == "utf-7" else b"\\ud800")
    headers = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    refused(http.post(HEAR, content=content, headers=headers), 415, None, "unsupported_media")


@pytest.mark.parametrize("charset", ["UTF-8", '"utf-8"', "ISO-8859-1"])
def test_a_form_that_says_its_charset(http: httpx2.Client, charset: str) -> None:
    part = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    form = part.format("model", "whisper") + part.format('file"; filename="a.wav', "RIFF") + "--x--\r\n"
    headers = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    assert http.post(HEAR, content=form.encode(), headers=headers).status_code == 200


def test_transcription_models(http: httpx2.Client) -> None:
    refused(http.post(HEAR, files=SOUND), 400, "model")
    refused(http.post(HEAR, data={"model": "gpt-9"}, files=SOUND), 404, "model", "model_not_found")
    refused(http.post(HEAR, data={"model": "llm"}, files=SOUND), 400, "model", "task_unsupported")


def test_an_upload_over_the_limit(http: httpx2.Client) -> None:
    files = {"file": ("a.wav", b"x" * 65_000_000, "audio/wav")}
    answer = http.post(HEAR, data={"model": "fake-transcribe"}, files=files)
    refused(answer, 413, None, "body_too_large")


def test_failures_while_it_listens(http: httpx2.Client) -> None:
    data = {"model": "fake-transcribe", "prompt": "!bug"}
    refused(http.post(HEAR, data=data, files=SOUND), 502, None, "engine_failed")
    broken = http.post(HEAR, data={**data, "prompt": "!words 4 !break 2"}, files=SOUND)
    refused(broken, 502, None, "engine_failed")
