"""What the door and Ray cost: the same engines asked directly, through the door alone, and
through the door on Ray. One command, all sides in one run, interleaved.

    python bench/door.py [PAIRS]
    python bench/door.py chains [TIMES]    what chains cost the door: see bench/chains.py
    python bench/door.py glass [TIMES]     what keys, limits, metrics, logs and traces do: see bench/glass.py

- direct: the host in this process, no HTTP;
- door:   FastAPI under plain uvicorn, the host in the same process, over a socket;
- ray:    `motley up`: HAProxy, the door, Ray Serve, a replica.
"""

import asyncio
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from app.upstream.local import LocalUpstream  # noqa: E402
from backends.contract.tasks import ChatTask, EmbedTask, RerankTask, SpeakTask, StreamTask, Task  # noqa: E402
from backends.fleet.schema import Fleet, app_name  # noqa: E402
from bench import results  # noqa: E402
from tests.api.doors import Served  # noqa: E402
from tests.running import Running  # noqa: E402

FLEET = ROOT / "deploy" / "fleets" / "embedded.yaml"
ASKED = [{"role": "user", "content": "What is the capital of Japan?"}]
LINE = "I would like to order a cup of coffee please."

SIDES = ("the engine itself", "the door around it", "Motley")
# name → (model, path, body, the same as a task)
WORK: dict[str, tuple[str, str, dict[str, Any], Task[Any] | StreamTask[Any]]] = {
    "chat, 8 tokens": (
        "motley-demo-chat",
        "/v1/chat/completions",
        {"messages": ASKED, "max_tokens": 8},
        ChatTask("bench", {"model": "m", "messages": ASKED, "max_tokens": 8}),
    ),
    "chat, streamed": (
        "motley-demo-chat",
        "/v1/chat/completions",
        {"messages": ASKED, "max_tokens": 8, "stream": True},
        ChatTask("bench", {"model": "m", "messages": ASKED, "max_tokens": 8, "stream": True}),
    ),
    "embed, 1 text": (
        "all-minilm-l6-v2",
        "/v1/embeddings",
        {"input": LINE, "encoding_format": "base64"},
        EmbedTask("bench", (LINE,)),
    ),
    "embed, 64 texts": (
        "all-minilm-l6-v2",
        "/v1/embeddings",
        {"input": [LINE] * 64, "encoding_format": "base64"},
        EmbedTask("bench", (LINE,) * 64),
    ),
    "rerank, 10 documents": (
        "minilm-reranker",
        "/v1/rerank",
        {"query": "coffee", "documents": [LINE] * 10},
        RerankTask("bench", "coffee", (LINE,) * 10),
    ),
    "speak, a sentence": (
        "espeak-ng",
        "/v1/audio/speech",
        {"input": LINE, "voice": "nova", "response_format": "pcm"},
        SpeakTask("bench", LINE, "nova"),
    ),
}


def main(pairs: int) -> None:
    fleet = Fleet.model_validate(yaml.safe_load(FLEET.read_text()))
    upstream = LocalUpstream.from_fleet(fleet)
    from app.main import create_app
    from app.settings import Settings

    served = Served(create_app(Settings(_env_file=None), fleet, upstream))
    while not all(state.ready for state in upstream.states().values()):
        time.sleep(0.1)
    ray = Running(FLEET)
    loop = Loop()
    direct = LocalUpstream.from_fleet(fleet)
    try:
        loop.run(_load(direct))
        print(f"{f'milliseconds, median of {pairs}':<28}{'direct':>9}{'door':>9}{'ray':>9}{'ray/direct':>12}")
        rows: dict[str, dict[str, float]] = {}
        for name, (model, path, body, task) in WORK.items():
            sides: list[Callable[[], None]] = [
                lambda task=task, model=model: loop.run(_ask(direct, model, task)),
                _over(served.base_url, path, {"model": model, **body}),
                _over(ray.url, path, {"model": model, **body}),
            ]
            took = _interleaved(sides, pairs)
            print(f"{name:<28}" + "".join(f"{t * 1000:>9.1f}" for t in took) + f"{took[2] / took[0]:>11.1f}x")
            rows[name] = {side: 1000 * t for side, t in zip(SIDES, took, strict=True)}
        results.kept("door", "The engines asked directly, and through Motley", "ms", rows, rounds=pairs)
    finally:
        loop.run(direct.close())
        served.close()
        ray.stop()


def _interleaved(sides: list[Callable[[], None]], pairs: int) -> list[float]:
    took: list[list[float]] = [[] for _ in sides]
    for number in range(pairs + 2):
        for side, seconds in zip(sides, took, strict=True):
            began = time.perf_counter()
            side()
            if number >= 2:  # the first two warm up
                seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds) for seconds in took]


def _over(url: str, path: str, body: dict[str, Any]) -> Callable[[], None]:
    client = httpx2.Client(base_url=url, timeout=60)
    return lambda: client.post(path, json=body).raise_for_status() and None


async def _load(upstream: LocalUpstream) -> None:
    await asyncio.gather(*(host.load() for host in upstream.hosts.values()))


async def _ask(upstream: LocalUpstream, model: str, task: Task[Any] | StreamTask[Any]) -> None:
    host = upstream.hosts[app_name(model, "main")]
    if isinstance(task, StreamTask):
        async for _ in host.stream(task):
            pass
    else:
        await host.call(task)


class Loop:
    """An event loop in a thread, for the hosts that are asked directly."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, work: Awaitable[None]) -> None:
        asyncio.run_coroutine_threadsafe(_as_coroutine(work), self._loop).result()


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work


if __name__ == "__main__":
    if sys.argv[1:2] == ["chains"]:
        from bench import chains

        chains.main(int(sys.argv[2]) if len(sys.argv) > 2 else 300)
        sys.exit()
    if sys.argv[1:2] == ["glass"]:
        from bench import glass

        glass.main(int(sys.argv[2]) if len(sys.argv) > 2 else 300)
        sys.exit()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
