"""Requests that nobody's client sends, made from right ones. The same number makes the same bytes.

No text here is a script for the fakes: they fail as they are told, and would as they are told crookedly.
"""

import json
from collections.abc import Callable
from random import Random

Change = Callable[[Random, bytes], bytes]

HELLO = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
BODIES: dict[str, object] = {
    "/v1/chat/completions": HELLO,
    "/chat/v1/chat/completions": {**HELLO, "stream": True},
    "/v1/completions": {"model": "chat", "prompt": "hello"},
    "/v1/responses": {"model": "chat", "input": [{"role": "user", "content": [IMAGE]}]},
    "/v1/embeddings": {"model": "vectors", "input": ["a", "b"], "encoding_format": "base64"},
    "/v1/rerank": {"model": "judge", "query": "a", "documents": ["a", {"text": "b"}]},
    "/v1/audio/speech": {"model": "voice", "input": "hello", "voice": "fake", "response_format": "wav"},
    "/tokenize": {"model": "chat", "prompt": "a"},
}
FORMS = ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/voices")
READ = (
    "/health",
    "/ready",
    "/v1/models",
    "/v1/models/chat",
    "/metrics",
    "/docs",
    "/v1/audio/voices?model=voice",
    "/*",
)
NASTY = (
    b"\0", b"\xff", b"\xed\xa0\x80", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"--", b"%00", b"%", b"..",
    b"/", b"\\",
    b"'", b'"', b";", b",", b":", b" ", b"\t", b"A" * 9_000, b"[" * 3_000, b"{" * 3_000, b"\\ud800",
    b"1e999", b"NaN",
    b"-1", b"99999999999999999999999", b"\xef\xbb\xbf", b"${x}",
)  # fmt: skip


def request(number: int) -> bytes:
    """The bytes of one, or of several in a row."""
    random = Random(number)
    whole = _whole(random)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        whole = random.choice(CHANGES)(random, whole)
    return whole


def _whole(random: Random) -> bytes:
    kind = random.random()
    if kind < 0.2:
        return _joined("GET", random.choice(READ), [], b"")
    if kind < 0.6:
        path = random.choice(tuple(BODIES))
        body = json.dumps(BODIES[path]).encode()
        return _joined("POST", path, ["content-type: application/json"], body, random.random() < 0.3)
    return _joined(
        "POST", random.choice(FORMS), ["content-type: multipart/form-data; boundary=x1"],
        form(), random.random() < 0.4,
    )  # fmt: skip


def form() -> bytes:
    parts = [
        b'content-disposition: form-data; name="%s"\r\n\r\n%s' % pair
        for pair in ((b"model", b"ear"), (b"prompt", b"hello"), (b"language", b"en"))
    ]
    parts.append(
        b'content-disposition: form-data; name="file"; filename="a.wav"\r\n'
        b"content-type: audio/wav\r\n\r\nRIFF" + bytes(200)
    )
    return b"".join(b"--x1\r\n" + part + b"\r\n" for part in parts) + b"--x1--\r\n"


def _joined(method: str, path: str, headers: list[str], body: bytes, chunked: bool = False) -> bytes:
    headers = ["host: localhost", *headers]
    if chunked:
        headers.append("transfer-encoding: chunked")
        pieces = [body[at : at + 40] for at in range(0, len(body), 40)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif method == "POST":
        headers.append(f"content-length: {len(body)}")
    head = "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", *headers))
    return head.encode() + b"\r\n" + body


def _flip(random: Random, whole: bytes) -> bytes:
    at = random.randrange(len(whole) or 1)
    return whole[:at] + bytes([random.randrange(256)]) + whole[at + 1 :]


def _cut(random: Random, whole: bytes) -> bytes:
    return whole[: random.randrange(len(whole) or 1)]


def _without(random: Random, whole: bytes) -> bytes:
    at = random.randrange(len(whole) or 1)
    return whole[:at] + whole[at + random.randrange(1, 40) :]


def _nasty(random: Random, whole: bytes) -> bytes:
    at = random.randrange(len(whole) or 1)
    return whole[:at] + random.choice(NASTY) + whole[at:]


def _twice(random: Random, whole: bytes) -> bytes:
    """Two requests, the second of which is sent before the first was answered."""
    return whole + _whole(random)


def _header(random: Random, whole: bytes) -> bytes:
    line = random.choice(HEADERS)
    end = whole.find(b"\r\n") + 2
    return whole[:end] + line + b"\r\n" + whole[end:]


def _first_line(random: Random, whole: bytes) -> bytes:
    return random.choice(FIRST) + whole[whole.find(b"\r\n") :]


def _length(random: Random, whole: bytes) -> bytes:
    said = random.choice(
        (b"0", b"1", b"-1", b"+5", b"0x10", b"1e3", b"", b"5, 5", b"5, 6", b"9" * 30, b"3000000", b"700")
    )
    return _in_head(whole, b"content-length: ", said)


def _chunks(random: Random, whole: bytes) -> bytes:
    """Sizes that are none, or too much, or of what is not there."""
    size = random.choice((
        b"-1", b"g", b"", b"0", b"fffffffffffffffff", b"7fffffff", b"28;x=" + b"y" * 5_000, b"28 ", b" 28",
        b"0x28", b"2\n8", b"28\r", b"0028", b"\xff",
    ))  # fmt: skip
    return whole.replace(b"\r\n28\r\n", b"\r\n" + size + b"\r\n", random.choice((1, -1)))


def _form(random: Random, whole: bytes) -> bytes:
    old, new = random.choice((
        (b"boundary=x1", b"boundary="), (b"boundary=x1", b"boundary=" + b"y" * 500),
        (b"; boundary=x1", b""),
        (b"boundary=x1", b'boundary="x1'), (b"boundary=x1", b"boundary=x1; charset=utf-7"),
        (b"--x1--", b""), (b"--x1--", b"--x1"), (b"--x1--", b"--x1--" + b"-" * 5_000),
        (b"--x1\r\n", b"--x1"),
        (b"--x1\r\n", b"--x1\n"), (b"--x1\r\n", b"\r\n--x1\r\n"), (b'name="file"', b"name"),
        (b'name="model"', b'name="file"'), (b'name="model"', b'name=""'), (b'name="', b'name="\xff'),
        (b"form-data;", b"attachment;"), (b"content-disposition", b"x" * 9_000),
        (b"content-disposition", b""),
        (b'; filename="a.wav"', b""),
        (b'filename="a.wav"', b'filename="../../a"; filename*=utf-7\'\'+AC8-'),
        (b"\r\n\r\n", b"\r\n"), (b"\r\n", b"\n"), (b"multipart/form-data", b"multipart/mixed"),
    ))  # fmt: skip
    return whole.replace(old, new)


def _json(random: Random, whole: bytes) -> bytes:
    return whole.replace(*random.choice((
        (b'"chat"', b"null"), (b'"chat"', b"[" * 400 + b"]" * 400), (b'"chat"', b'"\\u0000"'),
        (b'"chat"', b'"\\ud800"'),
        (b'": "', b'": 1e400, "x": "'), (b'": "', b'": 123456789012345678901234567890, "x": "'),
        (b'{"', b'{"": "", "'),
        (b'{"', b'{"n": 18446744073709551616, "'), (b'{"', b'{"seed": 99999999999999999999, "'),
        (b'"', b"'"),
        (b'{"', b'{"stop": [[]], "logit_bias": {"a": {}}, "'), (b'{"', b'{"messages": {}, "input": {}, "'),
        (b'{"', b'{"stream_options": {"include_usage": 3}, "stream": true, "'), (b"}", b"]"),
        (b"[", b"[" * 70),
    )))  # fmt: skip


def _in_head(whole: bytes, name: bytes, said: bytes) -> bytes:
    at = whole.lower().find(name)
    if at < 0:
        return whole
    at += len(name)
    return whole[:at] + said + whole[whole.find(b"\r\n", at) :]


HEADERS = (
    b"transfer-encoding: chunked", b"transfer-encoding: chunked, identity", b"transfer-encoding: xchunked",
    b"transfer-encoding:\tchunked", b"transfer-encoding : chunked", b"content-length: 3",
    b"content-length: 3\r\ncontent-length: 4",
    b"expect: 100-continue", b"expect: 200-never", b"connection: upgrade\r\nupgrade: websocket",
    b"upgrade: h2c",
    b"host: other", b"host:", b"host: [::1",
    b"host: " + b"x" * 4_000, b"content-type: application/json; charset=utf-7",
    b"content-type: application/json\r\ncontent-type: text/plain", b"content-type: multipart/form-data",
    b"content-type:",
    b"content-encoding: gzip", b"authorization: Bearer", b"authorization: Bearer \xff",
    b"authorization: " + b"x" * 20_000,
    b"x-request-id: \xff\xfe", b"x-request-id: " + b"x" * 9_000, b"x-request-id: a\r\nx-request-id: b",
    b"x-request-timeout-seconds: 0.0001", b"x-request-disconnect-disabled: ?1", b" folded: x",
    b"no colon", b":", b"\0: x",
    b"x: \0", b"x: " + b"y" * 200_000, b"range: bytes=" + b"0-," * 2_000, b"cookie: " + b"a=b;" * 5_000,
    b"\r\n".join(b"x%d: y" % number for number in range(2_000)), b"origin: null", b"accept: */*;q=x",
)  # fmt: skip
FIRST = (
    b"", b"GET", b"GET /", b"GET / HTTP/9.9", b"GET / HTTP/1.0", b"GET  /health  HTTP/1.1",
    b"get /health HTTP/1.1",
    b"PRI * HTTP/2.0", b"CONNECT localhost:1 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"TRACE / HTTP/1.1",
    b"BREW / HTTP/1.1",
    b"HEAD /v1/models HTTP/1.1", b"DELETE /v1/audio/voices/%00 HTTP/1.1",
    b"DELETE /v1/audio/voices/.. HTTP/1.1",
    b"GET http://other/health HTTP/1.1", b"GET //health HTTP/1.1", b"GET /../../etc/passwd HTTP/1.1",
    b"GET /%2e%2e/%00%ff HTTP/1.1", b"GET /v1/models/%ff%fe HTTP/1.1",
    b"GET /v1/models?%00=%ff&a=%% HTTP/1.1",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1", b"POST /%E2%98%83/v1/chat/completions HTTP/1.1",
    b"\x16\x03\x01\x02\0\x01\0",
    b"GET /v1/models/" + b"%2F" * 2_000 + b" HTTP/1.1", b"POST /v1/models/chat/load HTTP/1.1",
    b"GET /v1/fleet/parity?model=vectors HTTP/1.1", b"GET /v1/fleet/parity?model=\xff HTTP/1.1",
)  # fmt: skip
CHANGES: tuple[Change, ...] = (
    _flip, _cut, _without, _nasty, _nasty, _twice, _header, _header, _first_line, _length,
    _chunks, _chunks, _form, _form, _json, _json,
)  # fmt: skip
