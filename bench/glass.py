"""What the guard and the glass cost the door: CPU per request with and without each part, all sides in one
run, in turn. `python bench/door.py glass` runs it.

The door under uvicorn, answered by a fake at once: what is left of a request is HTTP and the door's own work.
On Ray a door also does what a handle costs, so that the parts' share of it is smaller there.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.types import ASGIApp, Receive, Scope, Send  # noqa: E402

from app.guard import keyfile  # noqa: E402
from app.guard.keys import Keys  # noqa: E402
from app.guard.limited import Limited  # noqa: E402
from app.guard.scopes import ANYONE  # noqa: E402
from app.main import create_app  # noqa: E402
from app.settings import Settings  # noqa: E402
from app.telemetry.audit import Audited  # noqa: E402
from app.telemetry.logs import AccessLog, configure  # noqa: E402
from app.telemetry.metrics import Metered  # noqa: E402
from app.telemetry.visit import Visit  # noqa: E402
from app.upstream.local import LocalUpstream  # noqa: E402
from app.usage.booked import Booked  # noqa: E402
from app.usage.ledger import WRITE_S  # noqa: E402
from backends.fleet.schema import Fleet  # noqa: E402
from backends.tracing import Tracing  # noqa: E402
from bench import results  # noqa: E402
from tests.api.doors import Served  # noqa: E402

PEPPER = "sixteen characters at least"
ASKED = [{"role": "user", "content": "!words 8"}]
WORK: dict[str, tuple[str, dict[str, Any]]] = {
    "embed, 1 text": ("/v1/embeddings", {"model": "vectors", "input": "x", "encoding_format": "base64"}),
    "chat, 8 tokens": ("/v1/chat/completions", {"model": "mind", "messages": ASKED}),
    "chat, streamed": ("/v1/chat/completions", {"model": "mind", "messages": ASKED, "stream": True}),
}
ROUNDS = 25
ASKING = """
import http.client, json, sys, urllib.parse
for line in sys.stdin:
    url, path, body, times = json.loads(line)
    to = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
    headers = {"authorization": "Bearer " + sys.argv[1], "content-type": "application/json"}
    status = 0
    for _ in range(times):
        to.request("POST", path, json.dumps(body), headers)
        answer = to.getresponse()
        answer.read()
        status = max(status, answer.status)
    to.close()
    print(status, flush=True)
"""
GUARD: tuple[type, ...] = (Keys, Limited)
GLASS: tuple[type, ...] = (Metered, Audited, AccessLog, Booked)
AIMED = {"+ usage: everything": 15, "… tracing, 1 % sampled": 25}


class Someone:
    """In the place of the keys: everybody comes in."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            Visit.of(scope).caller = ANYONE
        await self.app(scope, receive, send)


def main(times: int) -> None:
    with (
        open(os.devnull, "w") as nowhere,
        tempfile.TemporaryDirectory() as folder,
        _keys(Path(folder)) as (settings, key),
    ):
        configure(Settings(_env_file=None), nowhere)
        _measured(settings, key, times)


def _measured(settings: dict[str, Any], key: str, times: int) -> None:
    fleet = Fleet.model_validate({
        "version": 1,
        "nodes": {"here": {}},
        "models": {
            name: {"task": task, "engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}
            for name, task in (("mind", "chat"), ("vectors", "embed"))
        },
    })  # fmt: skip

    def door(without: tuple[type, ...] = (), tracing: Tracing | None = None, **more: Any) -> Served:
        upstream = LocalUpstream.from_fleet(fleet)
        app = create_app(Settings(_env_file=None, **settings, **more), fleet, upstream, tracing=tracing)
        kept: list[Any] = []
        for one in app.user_middleware:
            if one.cls is Keys and Keys in without:
                kept.append(Middleware(Someone))
            elif one.cls not in without:
                kept.append(one)
        app.user_middleware = kept
        served = Served(app)
        while not all(state.ready for state in upstream.states().values()):
            time.sleep(0.05)
        return served

    sides = {
        "neither": door(GUARD + GLASS),
        "+ keys and limits": door(GLASS),
        "+ metrics": door((AccessLog, Booked)),
        "+ logs": door((Booked,)),
        "+ usage: everything": door(),
        "… tracing, none sampled": door(tracing=_tracing("0")),
        "… tracing, 1 % sampled": door(tracing=_tracing("0.01")),
        "… tracing, all sampled": door(tracing=_tracing("1")),
        "… capture of 1 %": door(capture=os.devnull, capture_share=0.01),
    }
    client = Client(key)
    rows: dict[str, dict[str, float]] = {}
    try:
        for name, (path, body) in WORK.items():
            print(f"{f'{name}: microseconds of CPU':<42}{'':>8}{'more':>8}{'aimed at':>10}")
            took: dict[str, list[float]] = {side: [] for side in sides}
            for number in range(ROUNDS + 1):
                # In another order each time: what comes round, as a full collection of garbage, meets all.
                for side, served in random.sample(list(sides.items()), len(sides)):
                    began = time.process_time()
                    client.ask(served.base_url, path, body, times)
                    time.sleep(WRITE_S)  # what is written behind is paid by whom it is written for
                    if number:  # the first warms up
                        took[side].append((time.process_time() - began) / times)
            rows[name] = _show(took)
        title = "Keys, limits, metrics, logs and usage: their share of the door's CPU"
        results.kept("glass", title, "%", rows, rounds=ROUNDS)
    finally:
        client.close()
        for served in sides.values():
            served.close()


def _show(took: dict[str, list[float]]) -> dict[str, float]:
    """`more`: of what a side takes, beyond what the bare door took in the same round. In percent, by side."""
    shares: dict[str, float] = {}
    for side, seen in took.items():
        more = statistics.median(1 - bare / one for bare, one in zip(took["neither"], seen, strict=True))
        shares |= {side: 100 * more} if side != "neither" else {}
        aimed = f"{AIMED[side]} %" if side in AIMED else ""
        print(f"  {side:<40}{statistics.median(seen) * 1e6:>8.0f}{100 * more:>7.1f}%{aimed:>10}")
    return shares


class Client:
    """Asks from a process of its own, whose CPU is not counted, on one connection at a time."""

    def __init__(self, key: str) -> None:
        command = [sys.executable, "-c", ASKING, key]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, url: str, path: str, body: dict[str, Any], times: int) -> None:
        """Returns when all have been answered. Raises RuntimeError where one was not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([url, path, body, times]) + "\n")
        self._process.stdin.flush()
        if (said := self._process.stdout.readline()) != "200\n":
            raise RuntimeError(said)

    def close(self) -> None:
        self._process.communicate("")


@contextmanager
def _keys(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Settings with a file of one key, which has limits that it never reaches, and with a ledger."""
    path = folder / "keys.json"
    limits = {"requests/minute": 10**9, "tokens/day": 10**12, "concurrency": 10**6}
    with keyfile.changing(path) as held:
        key, plain = keyfile.created("b", ["*:*"], PEPPER.encode(), datetime.now(UTC), None, limits)
        held.append(held[0].with_one(key))
    usage = f"sqlite:///{folder}/usage.db"
    yield {"keys_file": str(path), "keys_pepper": PEPPER, "usage_url": usage}, plain


def _tracing(share: str) -> Tracing:
    os.environ |= {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": share}
    return Tracing(BatchSpanProcessor(InMemorySpanExporter()), "bench")
