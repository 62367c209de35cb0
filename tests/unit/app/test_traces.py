"""Traces: from the door to the engine, as a collector gets them, without a word of what was said."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.contract.tasks import EmbedTask
from backends.tracing import Tracing, tracing, wanted

from .conftest import Client, fleet

CHAT = "/v1/chat/completions"
FLEET = fleet(one={"aliases": ["mine"]}, two={"task": "embed"}, gone={"fallback": ["one"]})
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def chat(text: str = "!words 3 a private matter", **more: Any) -> dict[str, Any]:
    return {"model": "mine", "messages": [{"role": "user", "content": text}], **more}


@asynccontextmanager
async def door(used: Tracing | None) -> AsyncIterator[Client]:
    """The same for the door and, as another process would have, for the hosts."""
    upstream = LocalUpstream.from_fleet(FLEET)
    for host in upstream.hosts.values():
        host.tracing = used
        await host.load()
    app = create_app(Settings(_env_file=None), FLEET, upstream, tracing=used)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with Client(transport=transport, base_url="http://door") as client:
        yield client


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def used(spans: InMemorySpanExporter) -> Iterator[Tracing]:
    made = Tracing(SimpleSpanProcessor(spans), "test")
    yield made
    made.close()


def named(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


@pytest.mark.parametrize("stream", [False, True])
async def test_one_trace_from_the_caller_to_the_engine(
    used: Tracing, spans: InMemorySpanExporter, stream: bool
) -> None:
    async with door(used) as client:
        await client.post(CHAT, json=chat(stream=stream), headers={"traceparent": CALLER})
    found = named(spans)
    outer, host, engine = (found[name] for name in (f"POST {CHAT}", "host chat", "engine chat"))
    assert {f"{span.context.trace_id:032x}" for span in found.values()} == {CALLER.split("-")[1]}
    assert outer.parent is not None
    assert f"{outer.parent.span_id:016x}" == CALLER.split("-")[2]
    assert (host.parent.span_id, engine.parent.span_id) == (outer.context.span_id, host.context.span_id)  # type: ignore[union-attr]
    told = dict(outer.attributes or {})
    assert told["gen_ai.operation.name"] == "chat"
    assert (told["gen_ai.request.model"], told["motley.variant"]) == ("one", "main")
    assert (told["http.route"], told["http.response.status_code"]) == (CHAT, 200)
    assert told["gen_ai.usage.output_tokens"] == 3
    said = " ".join(span.to_json() for span in found.values())
    assert "private" not in said


async def test_failures_are_told_by_their_codes(used: Tracing, spans: InMemorySpanExporter) -> None:
    async with door(used) as client:
        await client.post(CHAT, json=chat("!bug of a private matter"))
    found = named(spans)
    assert (found[f"POST {CHAT}"].attributes or {})["error.type"] == "engine_failed"
    # Inside the boundary it has the name that it had there; its text might quote the caller.
    assert (found["engine chat"].attributes or {})["error.type"] == "ZeroDivisionError"
    assert "private" not in " ".join(span.to_json() for span in found.values())


async def test_embeddings_by_their_own_name(used: Tracing, spans: InMemorySpanExporter) -> None:
    async with door(used) as client:
        await client.post("/v1/embeddings", json={"model": "two", "input": "x"})
        await client.get("/health")
    found = named(spans)
    assert (found["engine embed"].attributes or {})["gen_ai.operation.name"] == "embeddings"
    assert "GET /health" in found


async def test_what_is_not_sampled_goes_no_further(
    used: Tracing, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with door(used) as client:
        await client.post(CHAT, json=chat(), headers={"traceparent": CALLER[:-1] + "0"})
        assert not spans.get_finished_spans()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    never = Tracing(SimpleSpanProcessor(spans), "test")
    async with door(never) as client:  # whatever the caller says
        await client.post(CHAT, json=chat(), headers={"traceparent": CALLER})
    assert not spans.get_finished_spans()
    never.close()


async def test_off_it_is_not_there(spans: InMemorySpanExporter) -> None:
    async with door(None) as client:
        await client.post(CHAT, json=chat(), headers={"traceparent": CALLER})
    assert not spans.get_finished_spans()
    assert EmbedTask("r", ("x",)).trace == ""


def test_the_standard_environment() -> None:
    there = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    assert wanted(there)
    assert wanted({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"})
    assert not wanted({})
    assert not wanted({**there, "OTEL_SDK_DISABLED": "true"})
    assert not wanted({**there, "OTEL_TRACES_EXPORTER": "none"})


class Collector(BaseHTTPRequestHandler):
    """What speaks OTLP over HTTP and keeps the names of the spans."""

    names: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.names += [span.name for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


async def test_a_collector_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    Collector.names = []
    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    made = tracing("test of a collector")
    assert made is not None
    async with door(made) as client:
        await client.post(CHAT, json=chat())
    made.close()  # sends what it has
    server.shutdown()
    server.server_close()
    assert set(Collector.names) == {f"POST {CHAT}", "host chat", "engine chat"}
