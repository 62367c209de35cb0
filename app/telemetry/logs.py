"""Logs: one JSON object a line, each with the request id; one line a request."""

import contextlib
import logging
import re
import sys
import time
from functools import lru_cache
from itertools import islice
from typing import Any, TextIO
from urllib.parse import quote

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from app.settings import Settings
from app.telemetry.visit import Visit, request_id

log = logging.getLogger("motley.access")

_PLAIN = re.compile(r"[A-Za-z0-9/_.:-]*")
_PLAIN = re.compile(r"[A-Za-z0-9/_.:-]*")
# What every record has stands first in it; what formatters add is not `extra` either.
_BORN, _MADE = len(vars(logging.makeLogRecord({}))), {"message", "asctime"}


def configure(settings: Settings, to: TextIO | None = None) -> None:
    """Send every logger of this process to stderr (or elsewhere) in the chosen format. For entry points."""
    # What no line shows is not found out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # Serve puts an object in place of `sys.stderr` that looks through the stack at every line.
    handler = Lines(to or sys.__stderr__)
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
        line = _head(record.created, record.levelname.lower(), record.name, record.getMessage())
        line |= {
            name: value for name, value in islice(vars(record).items(), _BORN, None) if name not in _MADE
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class Lines(logging.StreamHandler[TextIO]):
    def put(self, line: dict[str, Any]) -> None:
        """A line that is made already: what logging does for a record is two thirds of what one for each
        request would cost. One that cannot be written is lost, as there."""
        with contextlib.suppress(OSError, ValueError), self.lock or contextlib.nullcontext():
            self.stream.write(orjson.dumps(line).decode() + self.terminator)
            self.flush()


def _head(at: float, level: str, logger: str, message: str) -> dict[str, Any]:
    return {"time": _shown(int(at)), "level": level, "logger": logger, "message": message}


@lru_cache(1)
def _shown(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(second))


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
    if not log.isEnabledFor(logging.INFO):
        return
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
    path = scope["path"]
    asked = f"{scope['method']} {path if _PLAIN.fullmatch(path) else quote(path, safe='/:@')}"
    if (lines := _alone()) is not None:
        lines.put({**_head(time.time(), "info", log.name, asked), "request_id": visit.request_id, **seen})
    else:
        log.info("%s", asked, extra=seen)


def _alone() -> Lines | None:
    """Where this module's own handler is all that listens, and what it writes is JSON."""
    listening = logging.root.handlers
    one = listening[0] if len(listening) == 1 else None
    return one if isinstance(one, Lines) and isinstance(one.formatter, JsonLines) else None
