"""Loopback servers: files by HTTP with ranges, cuts and gates, and the hub's API over them."""

import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Files:
    """path → bytes. `cuts`: after how many bytes the next answers for a path end; `pause`: answers stop in
    their middle until it is set; `sent`: bytes per path; `refused`: path → (status, the hub's error code);
    `headless`: paths that take no HEAD."""

    def __init__(self, **files: bytes) -> None:
        self.files = dict(files)
        self.cuts: dict[str, list[int]] = {}
        self.gate: dict[str, threading.Event] = {}
        self.sent: dict[str, int] = {}
        self.ranges: list[tuple[str, int]] = []
        self.headers: list[dict[str, str]] = []
        self.refused: dict[str, tuple[int, str]] = {}
        self.headless: set[str] = set()
        self.url = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        told: Files = self.server.told  # type: ignore[attr-defined]
        path = unquote(urlsplit(self.path).path).lstrip("/")
        told.headers.append({"path": path, **{name.lower(): value for name, value in self.headers.items()}})
        for prefix, (status, code) in told.refused.items():
            if path.startswith(prefix):
                self._answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": "refused"})
                return
        if self.command == "HEAD" and path in told.headless:
            self._answer(405, b"", {})
            return
        if path not in told.files:
            self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        self._send(told, path, told.files[path])

    def _send(self, told: Files, path: str, data: bytes) -> None:
        start = int(self.headers.get("range", "bytes=0-")[6:].split("-")[0])
        status = 206 if "range" in self.headers else 200
        if self.command == "GET":
            told.ranges.append((path, start))
        body = data[start:]
        kind = "application/json" if path.startswith("api/") else "application/octet-stream"
        self._head(status, len(body), {"Content-Type": kind})
        if self.command == "HEAD":
            return
        cuts = told.cuts.get(path)
        if cuts:
            body = body[: cuts.pop(0)]
            self.close_connection = True
        for at in range(0, len(body), 1 << 16):
            if at >= len(body) // 2 and path in told.gate:
                told.gate[path].wait(30)
            self.wfile.write(body[at : at + (1 << 16)])
            told.sent[path] = told.sent.get(path, 0) + len(body[at : at + (1 << 16)])

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, len(body), headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that was killed."""


@contextmanager
def serving(told: Files, certificate: Path | None = None) -> Iterator[Files]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.told = told  # type: ignore[attr-defined]
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    told.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield told
    finally:
        for gate in told.gate.values():
            gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


def repository(name: str, files: dict[str, bytes], revision: str = "main") -> Files:
    """What a hub tells of a repository: its commit, its tree, and the files at that commit."""
    tree = [_entry(path, data) for path, data in files.items()]
    told = Files()
    told.files[f"api/models/{name}/revision/{revision}"] = json.dumps(
        {"id": name, "sha": COMMIT, "siblings": []}
    ).encode()
    told.files[f"api/models/{name}/tree/{COMMIT}"] = json.dumps(tree).encode()
    for folder in {path.rpartition("/")[0] for path in files} - {""}:
        inside = [entry for entry in tree if str(entry["path"]).startswith(f"{folder}/")]
        told.files[f"api/models/{name}/tree/{COMMIT}/{folder}"] = json.dumps(inside).encode()
    told.files.update({f"{name}/resolve/{COMMIT}/{path}": data for path, data in files.items()})
    return told


def _entry(path: str, data: bytes) -> dict[str, object]:
    """Large files by their sha256, small ones as git names them."""
    git = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": git}
    if len(data) > 1000:
        digest = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
    return entry
