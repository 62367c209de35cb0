"""Who changed what runs, or who may use it: one line each, in the log and, where one is set, in a file.

Also of what operators tried and were refused. What is written holds names, never what was said or a key.
"""

import getpass
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from app.guard.needs import need, spends
from app.settings import Settings
from app.telemetry.capture import private
from app.telemetry.metrics import routed
from app.telemetry.visit import Visit

log = logging.getLogger("motley.audit")


class Audit:
    """`path`: of the file, else empty. Doors and commands may write the same one: a line is added whole."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None

    def note(self, actor: str, action: str, outcome: str = "done", **more: Any) -> None:
        """`actor`: a key's id, `anyone` where no keys are asked for, `user NAME` of a command, or `door`."""
        told = {"actor": actor, "action": action, "outcome": outcome, **more}
        log.info("%s by %s: %s", action, actor, outcome, extra={"audit": told})
        if self._path is None:
            return
        line = orjson.dumps({"time": datetime.now(UTC).isoformat(), **told}) + b"\n"
        try:
            with open(self._path, "ab", buffering=0, opener=private) as file:
                file.write(line)
        except OSError as error:
            log.error("the audit file cannot be written: %s", error.strerror)  # noqa: TRY400 - its path is none of the log's


def by_command(action: str, **more: Any) -> None:
    """A command of this machine's user has changed something."""
    Audit(Settings().audit).note(f"user {getpass.getuser()}", action, **more)


class Audited:
    """Notes what is asked of the routes that operators alone may use, by whoever has a key."""

    def __init__(self, app: ASGIApp, audit: Audit) -> None:
        self.app, self.audit = app, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http" and scope["method"] != "GET":
                self._note(scope, Visit.of(scope), scope["method"], scope["path"])

    def _note(self, scope: Scope, visit: Visit, method: str, asked: str) -> None:
        # Strangers are not noted: they could fill the file.
        if spends(method, asked) or visit.caller is None or need(method, asked) != "operator":
            return
        route = routed(scope)
        path = quote(asked[:200], safe="/:@")
        action = f"{method} {path if route == 'none' else route}"
        outcome = "done" if 200 <= visit.status < 300 else visit.code or str(visit.status or 499)
        about = {**scope.get("path_params", {}), "request_id": visit.request_id}
        self.audit.note(visit.caller.key or "anyone", action, outcome, **about)
