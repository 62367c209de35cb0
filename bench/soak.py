"""A door at its limit for a long time: does it grow, and what does it compute for callers who left?

    python -m bench.soak [--minutes 30]

The door has a process of its own, with all there is at a door: keys, limits, usage, logs, capture. Behind
it are fakes of every verb on a card that nobody has. More callers than the fakes have places ask without a
pause; one in five leaves before the end. After each of six parts, with nobody there, is shown what the door's
process holds: memory of its own (USS), tasks of the event loop, threads, open files and sockets, and files
in its temporary folder. The first part warms it up. Ends with status 1 where one of the aims is missed.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import uvicorn
from prometheus_client.parser import text_string_to_metric_families

from app.guard import keyfile
from app.main import create_app
from app.settings import Settings
from app.telemetry.logs import configure
from app.upstream.local import LocalUpstream
from backends.fleet.schema import Fleet
from tests.running import free_port

PEPPER = "sixteen characters at least"
CALLERS, LEAVING, PARTS = 48, 0.2, 6
# In parts of what memory was once it was warm, and of GPU-seconds.
GROWTH, WASTE = 0.05, 0.01
QUIET_S = 6.0  # longer than connections are kept without a request
# As `app/ingress.py` has it for doors.
HEAP = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 20)}
SCALE = {"max_ongoing": 4, "max_queued": 8}
FAKE = {"engine": "fake", "source": "builtin://fake", "place": {"node": "cards", "share": 1}, "scale": SCALE}
VERBS = ("chat", "transcribe", "speak", "embed", "rerank")
FLEET = {
    "version": 1,
    "nodes": {"cards": {"vendor": "nvidia", "gpus": 5, "vram": "8Gi"}},
    "models": {verb: {"task": verb, **FAKE} for verb in VERBS},
}
STEPS = "!slow 0.02 !words 20"
SOUND = bytes(1_500_000)  # more than is kept in memory
ASKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/chat/completions", {"json": {"messages": [{"role": "user", "content": STEPS}], "stream": True}}),
    ("/v1/chat/completions", {"json": {"messages": [{"role": "user", "content": STEPS}]}}),
    ("/v1/audio/speech", {"json": {"input": STEPS, "voice": "fake", "response_format": "mp3"}}),
    ("/v1/audio/transcriptions", {"data": {"prompt": STEPS}, "files": {"file": ("a.wav", SOUND)}}),
    ("/v1/embeddings", {"json": {"input": "!slow 0.1"}}),
    ("/v1/rerank", {"json": {"query": "!slow 0.1", "documents": ["a", "b"]}}),
)
MODELS = ("chat", "chat", "speak", "transcribe", "embed", "rerank")


@dataclass(frozen=True, slots=True)
class Held:
    """By the door's process, with nobody there."""

    uss: int
    tasks: int
    threads: int
    handles: int
    files: int

    def __str__(self) -> str:
        rest = f"{self.tasks} tasks, {self.threads} threads, {self.handles} handles, {self.files} files"
        return f"{self.uss / 1e6:.1f} MB, {rest}"


class Door:
    """In a process of its own, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._temporary, self.port = folder / "tmp", free_port()
        self._temporary.mkdir()
        self.key = _key(folder / "keys.json")
        settings = {
            "keys_file": folder / "keys.json",
            "keys_pepper": PEPPER,
            "usage_url": f"sqlite:///{folder}/usage.db",
            "capture": folder / "captured",
            "capture_share": 0.05,
            "audit": folder / "audit",
        }
        given = {f"MOTLEY_{name.upper()}": str(value) for name, value in settings.items()}
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.soak", "--door", str(self.port)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, **HEAP, **given, "TMPDIR": str(self._temporary)},
            )  # fmt: skip

    def held(self) -> Held:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        tasks = int(self._process.stdout.readline())
        seen = psutil.Process(self._process.pid)
        files = sum(len(names) for _, _, names in os.walk(self._temporary))
        return Held(seen.memory_full_info().uss, tasks, seen.num_threads(), seen.num_fds(), files)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(60)


def _key(file: Path) -> str:
    with keyfile.changing(file) as held:
        limits = {"requests/second": 1_000_000, "tokens/day": 10**12}
        key, plain = keyfile.created("ann", ("*:*", "observer"), PEPPER.encode(), keyfile.now(), None, limits)
        held.append(held[0].with_one(key))
    return plain


def serve(port: int) -> None:
    """The door's process. For each line that comes in it tells how many tasks it has, itself not counted."""

    @asynccontextmanager
    async def told(_: Any) -> AsyncIterator[None]:
        def tell() -> None:
            sys.stdin.readline()
            gc.collect()
            print(len(asyncio.all_tasks()), flush=True)

        asyncio.get_running_loop().add_reader(sys.stdin, tell)
        yield

    settings = Settings(_env_file=None)
    configure(settings)
    fleet = Fleet.model_validate(FLEET)
    app = create_app(settings, fleet, LocalUpstream.from_fleet(fleet))
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def both(one: Any) -> AsyncIterator[Any]:
        async with inner(one) as state, told(one):
            yield state

    app.router.lifespan_context = both
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False, loop="asyncio")


async def load(door: Door, seconds: float, seen: Counter[str]) -> None:
    """All callers at once, each one request after the other."""
    until = time.monotonic() + seconds
    limits = httpx2.Limits(max_connections=None, keepalive_expiry=2)
    headers = {"authorization": f"Bearer {door.key}"}

    async def caller(http: httpx2.AsyncClient, dice: random.Random) -> None:
        while time.monotonic() < until:
            number = dice.randrange(len(ASKS))
            patience = dice.uniform(0, 0.3) if dice.random() < LEAVING else 60
            seen[await _asked(http, number, patience)] += 1

    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{door.port}", headers=headers, limits=limits) as http,
        asyncio.TaskGroup() as group,
    ):
        for number in range(CALLERS):
            group.create_task(caller(http, random.Random(number)))


async def _asked(http: httpx2.AsyncClient, number: int, patience: float) -> str:
    """Its status; `left` where patience ended before the answer did."""
    (path, sent), model = ASKS[number], MODELS[number]
    form = "data" if "data" in sent else "json"
    try:
        async with (
            asyncio.timeout(patience),
            http.stream("POST", path, **{**sent, form: {**sent[form], "model": model}}, timeout=60) as answer,
        ):
            async for _ in answer.aiter_raw():
                pass
            if answer.status_code != 200:
                await asyncio.sleep(0.05)  # it was told to come again later
            return str(answer.status_code)
    except TimeoutError:
        return "left"
    except httpx2.HTTPError as error:
        return type(error).__name__


def waste(door: Door) -> tuple[float, float]:
    """GPU-seconds: all, and those for callers who had left."""
    url, headers = f"http://127.0.0.1:{door.port}/metrics", {"authorization": f"Bearer {door.key}"}
    text = httpx2.get(url, headers=headers, timeout=60).raise_for_status().text
    sums = Counter[str]()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] += sample.value
    return sums["motley_gpu_seconds_total"], sums["motley_wasted_gpu_seconds_total"]


async def until_up(door: Door) -> None:
    async with httpx2.AsyncClient() as http:
        for _ in range(600):
            with suppress(httpx2.HTTPError):
                if (await http.get(f"http://127.0.0.1:{door.port}/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise TimeoutError("the door did not come up")


async def soak(minutes: float, folder: Path) -> list[str]:
    """The aims that were missed."""
    door, seen = Door(folder), Counter[str]()
    try:
        await until_up(door)
        held: list[Held] = []
        for part in range(PARTS):
            before = seen.total()
            await load(door, minutes * 60 / PARTS, seen)
            await asyncio.sleep(QUIET_S)
            held.append(door.held())
            print(f"{part + 1}/{PARTS}: {seen.total() - before} requests; {held[-1]}", flush=True)
        all_s, wasted_s = waste(door)
    finally:
        door.close()
    warm, last, share = held[0], held[-1], wasted_s / all_s
    # What an allocator keeps goes up and down: the least of two parts after the first, and of the last two.
    grown = min(one.uss for one in held[-2:]) / min(one.uss for one in held[1:3]) - 1
    wasted = f"{wasted_s:.3f} of {all_s:.0f} GPU-seconds wasted"
    print(f"answers: {json.dumps(seen)}; {grown:+.1%} of memory; {wasted}")
    missed = [
        f"{name}: {getattr(warm, name)} → {getattr(last, name)}"
        for name in ("tasks", "handles", "files")  # threads of a pool come and go
        if getattr(last, name) > getattr(warm, name)
    ]
    missed += [f"memory grew by {grown:.1%}"] if grown >= GROWTH else []
    missed += [f"{share:.2%} of the GPU-seconds were wasted"] if share >= WASTE else []
    strange = sorted(set(seen) - {"200", "503", "left"})
    missed += [f"answers that nobody ordered: {', '.join(strange)}"] if strange else []
    return missed


def main(arguments: list[str]) -> int:
    reader = argparse.ArgumentParser(prog="python -m bench.soak")
    reader.add_argument("--minutes", type=float, default=30)
    reader.add_argument("--door", type=int, help=argparse.SUPPRESS)
    given = reader.parse_args(arguments)
    if given.door:
        serve(given.door)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        missed = asyncio.run(soak(given.minutes, Path(folder)))
    print("\n".join(missed) or "nothing leaks")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
