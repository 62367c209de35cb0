"""What chains cost the door's process: CPU of each beside the CPU of its steps alone, asked in turn of the
same engines, which are fakes. `python bench/door.py chains` runs it.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from app.catalogue import Catalogue, Target  # noqa: E402
from app.upstream import Layer, Upstream  # noqa: E402
from app.upstream.chain import Chains  # noqa: E402
from app.upstream.chain.audio import Ears  # noqa: E402
from app.upstream.chain.hooks import Hooks  # noqa: E402
from app.upstream.local import LocalUpstream  # noqa: E402
from backends.contract.tasks import (  # noqa: E402
    AnyTask,
    ChatTask,
    RerankTask,
    SpeakTask,
    StreamTask,
    Task,
)
from backends.fleet.schema import Fleet  # noqa: E402
from bench import results  # noqa: E402

R = TypeVar("R")
C = TypeVar("C")

ASKED = [{"role": "user", "content": "!tell It is a fine day today."}]
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
ALOUD = {
    "model": "m",
    "messages": [{"role": "user", "content": [SOUND, {"type": "text", "text": "!tell A fine day to you."}]}],
    "modalities": ["text", "audio"],
    "audio": {"voice": "fake", "format": "pcm16"},
}
TASKS = {"mind": "chat", "ears": "transcribe", "mouth": "speak", "vectors": "embed", "judge": "rerank"}

WHOLE = ChatTask("b", {"model": "m", "messages": ASKED})
STREAMED = ChatTask("b", {"model": "m", "messages": ASKED, "stream": True})

# name → (task of the chain, its steps, what is asked)
CHAINS: dict[str, tuple[str, dict[str, Any], AnyTask]] = {
    "sequence of 2 chats": ("chat", {"sequence": ["mind", "mind"]}, WHOLE),
    "sequence, streamed": (
        "chat", {"sequence": ["mind", "mind"]}, STREAMED
    ),
    "chat, then speech": ("speak", {"sequence": ["mind", "mouth"]}, SpeakTask("b", "Good day.", "fake")),
    "before and after": (
        "chat", {"before": "same:task", "model": "mind", "after": "same:result"},
        WHOLE,
    ),
    "switch by a field": (
        "chat", {"switch": [{"field": "tools", "model": "mind"}, {"model": "mind"}]},
        WHOLE,
    ),
    "switch by a classifier": (
        "chat", {"classify": "mind", "switch": [{"answer": "fine", "model": "mind"}, {"model": "mind"}]},
        WHOLE,
    ),
    "rerank 50 of 200": (
        "rerank", {"embed": "vectors", "rerank": "judge"},
        RerankTask("b", "fox", tuple(f"fox {number}" for number in range(200))),
    ),
    "audio chat": ("chat", {"hear": "ears", "think": "mind", "speak": "mouth"}, ChatTask("b", ALOUD)),
    "audio chat, streamed": (
        "chat", {"hear": "ears", "think": "mind", "speak": "mouth"}, ChatTask("b", {**ALOUD, "stream": True})
    ),
}  # fmt: skip
FUNCTIONS = "def task(task): return task\ndef result(task, result): return result\n"


class Recorder(Layer):
    """Notes what passes."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self.seen: list[tuple[Target, AnyTask]] = []

    async def call(self, target: Target, task: Task[R]) -> R:
        self.seen.append((target, task))
        return await self._upstream.call(target, task)

    def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        self.seen.append((target, task))
        return self._upstream.stream(target, task)


def main(times: int) -> None:
    asyncio.run(_main(times))


async def _main(times: int) -> None:
    place = {"engine": "fake", "source": "builtin://fake", "options": {"words": 2}, "place": {"node": "here"}}
    models: dict[str, Any] = {name: {"task": task, **place} for name, task in TASKS.items()}
    models |= {_named(name): {"task": task, "steps": steps} for name, (task, steps, _) in CHAINS.items()}
    fleet = Fleet.model_validate({"version": 1, "nodes": {"here": {}}, "models": models})
    local, catalogue, steps = LocalUpstream.from_fleet(fleet), Catalogue(fleet), list[str]()
    await asyncio.gather(*(host.load() for host in local.hosts.values()))
    headings = f"{'chain':>8}{'steps alone':>13}{'steps':>7}{'own, a step':>13}"
    print(f"{f'CPU milliseconds, mean of {times}':<36}{headings}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "same.py").write_text(FUNCTIONS)  # noqa: ASYNC240
        recorder = Recorder(local)
        told = lambda _chain, step, _model, _code, _seconds: steps.append(step)  # noqa: E731
        chains = Chains(recorder, catalogue, Hooks(folder), Ears(None, 60), told)
        rows: dict[str, dict[str, float]] = {}
        for name, (verb, _, task) in CHAINS.items():
            recorder.seen.clear()
            steps.clear()

            async def whole(name: str = name, verb: Any = verb, task: AnyTask = task) -> None:
                await _ask(chains, catalogue.target(_named(name), verb, states=chains.states()), task)

            await whole()
            passed, taken = recorder.seen[:], len(steps)

            async def alone(passed: list[tuple[Target, AnyTask]] = passed) -> None:
                for target, task in passed:
                    await _ask(local, target, task)

            of_chain, of_steps = await _cpu(whole, alone, times)
            own = (of_chain - of_steps) / taken
            print(f"{name:<36}{of_chain:>8.2f}{of_steps:>13.2f}{taken:>7}{own:>13.2f}")
            rows[name] = {"its steps alone": of_steps, "Motley": of_chain}
    results.kept("chains", "Chains: CPU of the door", "ms", rows, rounds=times, enough=100)
    await local.close()


async def _cpu(
    one: Callable[[], Awaitable[None]], two: Callable[[], Awaitable[None]], times: int
) -> list[float]:
    """Milliseconds of this process each, in turns of ten."""
    took = [0.0, 0.0]
    for _ in range(max(1, times // 10)):
        for which, work in enumerate((one, two)):
            began = time.process_time()
            for _ in range(10):
                await work()
            took[which] += time.process_time() - began
    return [each / (max(1, times // 10) * 10) * 1000 for each in took]


async def _ask(upstream: Upstream, target: Target, task: AnyTask) -> None:
    if isinstance(task, StreamTask):
        async for _ in upstream.stream(target, task):
            pass
    else:
        await upstream.call(target, task)


def _named(name: str) -> str:
    return name.replace(" ", "-").replace(",", "")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
