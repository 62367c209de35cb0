"""A bare socket: the one client that can leave when it likes, and see bytes when they come."""

import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from .doors import Door


class Caller:
    """Sends one request, then reads or hangs up."""

    def __init__(self, door: Door, path: str, headers: dict[str, str] | None = None, **body: Any) -> None:
        """`body` is httpx2's: `json=…`, or `data=…` with `files=…`."""
        headers = {"authorization": f"Bearer {door.key}", **(headers or {})}
        request = httpx2.Request("POST", f"{door.base_url}{path}", headers=headers, **body)
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        at = urlsplit(door.base_url)
        self.socket = socket.create_connection((at.hostname, at.port), timeout=30)
        self.socket.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode())
        time.sleep(0.05)  # as clients do; a proxy that has the body at once may behave better than it is
        self.socket.sendall(request.read())
        self.seen = b""

    def until(self, word: bytes) -> "Caller":
        """Read until `word` has come. Raises EOFError when the server ends before."""
        while word not in self.seen:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError(self.seen[-300:])
            self.seen += piece
        return self

    def rest(self) -> bytes:
        """All that has come when the server has closed."""
        while piece := self.socket.recv(65536):
            self.seen += piece
        return self.seen

    def hang_up(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Caller":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()


def until(true: Callable[[], bool], told: Callable[[], str] = str) -> None:
    """Also for figures in `/metrics`: a request is counted when its last byte is out, so not at once.
    `told`: what to say where it never comes."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, told()
        time.sleep(LOOK_S)


def counted(http: httpx2.Client, name: str, **labels: str) -> float:
    """The sum of all series of that name in `/metrics` with these labels, whatever others they have."""
    families = text_string_to_metric_families(http.get("/metrics").raise_for_status().text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def wait_until_busy(door: Door, model: str) -> None:
    until(lambda: door.busy(model) > 0)


# Within this an engine stops whose caller has left, which would else work for 8 s and more. On a quiet
# machine it is half a second, but a shared one stands still for seconds now and then.
SOON = 6.0
# Who looks all the time takes the core of those that are waited for.
LOOK_S = 0.05


def seconds_until_idle(door: Door, model: str, most: float = 20) -> float:
    """How long its engines work on; `most` if they do not stop."""
    begun = time.monotonic()
    while door.busy(model):
        if time.monotonic() - begun > most:
            return most
        time.sleep(LOOK_S)
    return time.monotonic() - begun
