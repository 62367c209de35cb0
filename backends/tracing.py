"""Spans of OpenTelemetry, in any process of ours: off, and free, unless the environment asks for them.

What is set is what its SDK reads everywhere: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER` …
From the door to the replica a trace goes inside the task (`Task.trace`, a W3C `traceparent`).
"""

import logging
import os
from asyncio import CancelledError
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from backends.contract.tasks import AnyTask

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span, SpanKind

T = TypeVar("T", bound=AnyTask)

# Verbs by OpenTelemetry's names for what generative models do; it has none for the others.
OPERATIONS = {"embed": "embeddings"}

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PARENT = "traceparent"

log = logging.getLogger(__name__)


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether anybody is to be told of spans."""
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    off |= environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp"
    return not off and any(environment.get(name) for name in _ENDPOINTS)


class Tracing:
    """Makes spans for one service and hands them to `processor`."""

    def __init__(self, processor: "SpanProcessor", service: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        # The sampler is that of `OTEL_TRACES_SAMPLER`.
        named = "OTEL_SERVICE_NAME" in os.environ
        self._provider = TracerProvider(resource=Resource.create({} if named else {"service.name": service}))
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("motley")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, name: str, kind: "SpanKind", parent: str, attributes: Mapping[str, Any]) -> "Span":
        """`parent`: a `traceparent`, or nothing. What is current in this process is left aside."""
        from opentelemetry.context import Context

        context = self._propagator.extract({_PARENT: parent}, Context()) if parent else Context()
        return self._tracer.start_span(name, context, kind, dict(attributes))

    @contextmanager
    def around(self, name: str, task: T) -> Iterator[T]:
        """A span of the task's trace; the task as what is in it gets it."""
        from opentelemetry.trace import SpanKind

        operation = OPERATIONS.get(task.verb, task.verb)
        about = {"gen_ai.operation.name": operation, "motley.request_id": task.request_id}
        span = self.begin(name, SpanKind.INTERNAL, task.trace, about)
        try:
            yield replace(task, trace=parent_of(span))
        except BaseException as error:
            left = isinstance(error, (GeneratorExit, CancelledError))
            failed(span, "left" if left else getattr(error, "code", type(error).__name__))
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Returns once everything has been sent, or given up."""
        self._provider.shutdown()


def failed(span: "Span", why: str) -> None:
    """`why`: an error's code. Never its text, which may quote what was asked."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", why)
    span.set_status(StatusCode.ERROR)


def parent_of(span: "Span") -> str:
    """What to hand on, so that others are its children."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@cache
def tracing(service: str) -> Tracing | None:
    """Of this process, by its environment; None where that asks for none, or the package is missing."""
    if not wanted(os.environ):
        return None
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        log.error("traces are asked for, but the package for it is not there: install motley[otlp]")  # noqa: TRY400
        return None
    return Tracing(BatchSpanProcessor(OTLPSpanExporter()), service)
