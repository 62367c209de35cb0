"""The door's part of a trace: one span a request, by OpenTelemetry's conventions for HTTP and for models."""

from typing import Any

from opentelemetry.trace import SpanKind
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.telemetry.metrics import routed
from app.telemetry.visit import Visit
from backends.contract.tasks import current_trace
from backends.tracing import OPERATIONS, Tracing, failed, parent_of


class Traced:
    """Begins or goes on with a trace, and hands it to the tasks that are made for the request. What is not
    sampled costs nothing further on."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self.app, self.tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit, method = Visit.of(scope), scope["method"]
        begun = {"http.request.method": method, "motley.request_id": visit.request_id}
        parent = Headers(scope=scope).get("traceparent", "")
        span = self.tracing.begin(method, SpanKind.SERVER, parent, begun)
        sampled = span.is_recording()
        token = current_trace.set(parent_of(span) if sampled else "")
        try:
            await self.app(scope, receive, send)
        finally:
            current_trace.reset(token)
            if sampled:
                span.update_name(f"{method} {routed(scope)}")
                span.set_attributes(_told(visit, routed(scope)))
                if visit.status >= 500 or visit.cut or not visit.status:
                    failed(span, visit.cut or visit.code or str(visit.status))
            span.end()


def _told(visit: Visit, route: str) -> dict[str, Any]:
    """Who asked which model, and how it went; nothing of what was said."""
    told: dict[str, Any] = {"http.route": route, "http.response.status_code": visit.status}
    if visit.caller is not None and visit.caller.key:
        told["motley.key"] = visit.caller.key
    if (target := visit.target) is not None:
        told |= {
            "gen_ai.operation.name": OPERATIONS.get(target.task, target.task),
            "gen_ai.provider.name": "motley",
            # Not the name as it was written: who knows what somebody writes there.
            "gen_ai.request.model": target.passed[0][0] if target.passed else target.model,
            "gen_ai.response.model": target.model,
            "gen_ai.usage.input_tokens": visit.usage.prompt_tokens,
            "gen_ai.usage.output_tokens": visit.usage.completion_tokens,
            "motley.variant": target.variant,
            "motley.engine": target.engine,
        }
        if target.node is not None:
            told["motley.node"] = target.node
    return told
