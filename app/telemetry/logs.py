"""Logs: one JSON object a line, each with the request id; one line a request."""

import logging
import sys
from typing import Any
from urllib.parse import quote

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from app.settings import Settings
from app.telemetry.visit import Visit, request_id

log = logging.getLogger("motley.access")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(settings: Settings) -> None:
    """Send every logger of this process to stderr in the chosen format. For entry points."""
    # Serve puts an object in place of `sys.stderr` that looks through the stack at every line.
    handler = logging.StreamHandler(sys.__stderr__)
    text = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
    handler.setFormatter(JsonLines() if settings.log_format == "json" else logging.Formatter(text))
    handler.addFilter(WithRequestId())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


class WithRequestId(logging.Filter):
    """Gives each record the id of the request it was written for (the record's own wins)."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            record.request_id = request_id.get()
        return True


class JsonLines(logging.Formatter):
    """`{"time", "level", "logger", "message", …extra, "traceback"?}`"""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class AccessLog:
    """One line when a request has ended. Paths only: queries and headers may hold secrets."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                _write(scope, Visit.of(scope))


def _write(scope: Scope, visit: Visit) -> None:
    seen: dict[str, Any] = {"status": visit.status, "ms": round(visit.elapsed() * 1000, 1)}
    if visit.caller is not None and visit.caller.key:
        seen["key"] = visit.caller.key
    if visit.target is not None:
        seen |= {"model": visit.target.model, "variant": visit.target.variant, "node": visit.target.node}
        if visit.target.passed:
            seen["fallback_for"] = visit.target.passed[0][0]
    if visit.code:
        seen["code"] = visit.code
    if visit.cut:
        seen["cut"] = visit.cut
    # Quoted again: a line break in a path must not begin a line of the log.
    log.info("%s %s", scope["method"], quote(scope["path"], safe="/:@"), extra=seen)
