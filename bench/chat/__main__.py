"""Chat streams through Motley beside plain vLLM and beside LiteLLM in front of that same vLLM.

    python -m bench.chat [vllm] [paced] [--pairs N]

`vllm`: tokens per second, time to the first token, and the servers' CPU per token (vLLM's own
processes counted on no side, what the servers use when idle subtracted), all sides in turn.
`paced`: how many streams of 50 tokens a second each still get p99 of a token's wait ≤ 60 ms.
"""

import argparse
import asyncio
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench import results
from bench.chat import sides
from bench.chat.streams import Stream, run
from tests.running import free_port

TOKENS = 128
AT_ONCE = (1, 8, 32)
# After its last step a vLLM waits for the next one with a core of its own for a second: it would be taken
# from the side whose turn comes next, if that has another vLLM.
SPINS_S = 1.5
ASKED = "Tell me about sharing a GPU between models, and how to add one."
Processes = Callable[[], list[psutil.Process]]


@dataclass
class Side:
    """`watched`: the processes whose CPU counts; `idle`: the cores they use while nobody asks."""

    name: str
    url: str
    watched: Processes
    idle: float = 0.0
    rate: dict[int, list[float]] = field(default_factory=dict)
    first: dict[int, list[float]] = field(default_factory=dict)
    cpu: dict[int, list[float]] = field(default_factory=dict)

    def measure(self, count: int, *, kept: bool) -> None:
        body = {
            "model": "demo",
            "messages": [{"role": "user", "content": ASKED}],
            "max_tokens": TOKENS,
            "stream": True,
            "stream_options": {"include_usage": True},
            "ignore_eos": True,
            "temperature": 0,
        }
        processes = self.watched()
        before, began = sides.cpu_s(processes), time.perf_counter()
        streams = asyncio.run(run(self.url, [body] * count, key=sides.KEY))
        took, used = time.perf_counter() - began, sides.cpu_s(processes) - before
        counted = [_usage(stream) for stream in streams]
        if counted != [TOKENS] * count:
            raise RuntimeError(f"{self.name} answered {counted} tokens")
        if kept:
            self.rate.setdefault(count, []).append(sum(counted) / took)
            self.first.setdefault(count, []).append(statistics.median(one.first() for one in streams))
            self.cpu.setdefault(count, []).append((used - self.idle * took) / sum(counted))

    def rest(self, seconds: float) -> None:
        processes = self.watched()
        before = sides.cpu_s(processes)
        time.sleep(seconds)
        self.idle = (sides.cpu_s(processes) - before) / seconds


def _usage(stream: Stream) -> int:
    return sum((event.get("usage") or {}).get("completion_tokens", 0) for event in stream.events())


def against_vllm(pairs: int, at_once: Sequence[int]) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "demo"
        maker = sides.ROOT / "tests" / "vllm" / "checkpoint.py"
        subprocess.run([sides.VLLM_PYTHON, maker, folder, "demo"], check=True, capture_output=True)
        plain = sides.vllm(folder)
        stack.callback(plain.stop)
        peer = sides.litellm(plain.url)
        stack.callback(peer.stop)
        ours = sides.motley({"engine": "vllm", "source": f"file://{folder}", "options": sides.VLLM_OPTIONS})
        stack.callback(ours.stop)
        compared = [
            Side("vLLM", plain.url, lambda: []),
            Side("Motley", ours.url, lambda: sides.without_vllm(ours.family())),
            Side("LiteLLM", peer.url, peer.processes),
        ]
        time.sleep(20)  # Ray has not come to rest when its applications are up
        for side in compared:
            side.rest(10)
        print(_head(*COLUMNS), flush=True)
        for count in at_once:
            for number in range(pairs + 2):  # the first two warm up
                for turn in range(3):
                    time.sleep(SPINS_S)
                    compared[(number + turn) % 3].measure(count, kept=number >= 2)
            print(_row(count, *compared), flush=True)
        _kept(compared, at_once, pairs)


def _kept(compared: Sequence[Side], at_once: Sequence[int], rounds: int) -> None:
    def rows(of: Callable[[Side], dict[int, list[float]]], unit: float = 1) -> dict[str, dict[str, float]]:
        return {
            f"{count} stream{'s'[: count > 1]}": {
                side.name: statistics.median(of(side)[count]) * unit for side in compared
            }
            for count in at_once
        }

    told: dict[str, Any] = {"rounds": rounds, "versions": sides.versions()}
    rates, cpu = rows(lambda side: side.rate), rows(lambda side: side.cpu, 1e6)
    for row in cpu.values():  # vLLM's own is counted on no side
        del row["vLLM"]
    results.kept("chat-tokens", "Chat streams", "tokens/s", rates, better="more", **told)
    results.kept("chat-first", "Time to the first token", "ms", rows(lambda side: side.first, 1000), **told)
    results.kept("chat-cpu", "CPU per token, vLLM's own left out", "µs", cpu, **told)


COLUMNS = (
    "streams", "tokens/s: vLLM", "Motley", "LiteLLM", "of vLLM's", "× LiteLLM's",
    "first token ms: vLLM", "Motley", "LiteLLM", "CPU µs/token: Motley", "LiteLLM", "LiteLLM's × ours",
)  # fmt: skip


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _head(*columns: str) -> str:
    return f"{_line(*columns)}\n|{'---|' * len(columns)}"


def _row(count: int, plain: Side, ours: Side, peer: Side) -> str:
    """Medians; ratios of speed are taken within a round, so that what disturbs the machine disturbs
    both sides."""
    median = statistics.median
    rates = [median(side.rate[count]) for side in (plain, ours, peer)]
    share, times = (
        median(a / b for a, b in zip(ours.rate[count], other.rate[count], strict=True))
        for other in (plain, peer)
    )
    first, *others = (median(side.first[count]) * 1000 for side in (plain, ours, peer))
    cpu = [median(side.cpu[count]) * 1e6 for side in (ours, peer)]
    cells = [
        str(count),
        *(f"{rate:.0f}" for rate in rates),
        f"{share:.2f}",
        f"{times:.2f}",
        f"{first:.1f}",
        *(f"+{other - first:.1f}" for other in others),
        *(f"{one:.0f}" for one in cpu),
        f"{cpu[1] / cpu[0]:.1f}",
    ]
    return _line(*cells)


def paced() -> None:
    """Streams of 50 tokens a second; the greatest number whose p99 between tokens is ≤ 60 ms."""
    with ExitStack() as stack:
        port = free_port()
        command = [sys.executable, str(Path(__file__).with_name("pacer.py")), str(port)]
        pacer = sides.Child(command, port, "/health")
        stack.callback(pacer.stop)
        peer = sides.litellm(pacer.url)
        stack.callback(peer.stop)
        ours = sides.motley({"engine": "fake", "source": "builtin://fake", "options": {"delay": 0.02}})
        stack.callback(ours.stop)
        found: dict[str, list[int]] = {"Motley": [], "LiteLLM": []}
        for _ in range(3):
            for name, url in (("Motley", ours.url), ("LiteLLM", peer.url)):
                found[name].append(_most(url))
                print(f"  {name}: {found[name][-1]} streams", flush=True)
    motley, litellm = (statistics.median(found[name]) for name in ("Motley", "LiteLLM"))
    print(_head("streams of 50 tokens/s with p99 ≤ 60 ms: Motley", "LiteLLM", "Motley's × LiteLLM's"))
    title, row = "Streams of 50 tokens a second with p99 ≤ 60 ms", {"Motley": motley, "LiteLLM": litellm}
    told: dict[str, Any] = {"rounds": 3, "enough": 3, "versions": sides.versions()}
    results.kept("chat-paced", title, "streams", {"at most": row}, better="more", **told)
    print(_line(f"{motley:g}", f"{litellm:g}", f"{motley / litellm:.1f}"))


def _most(url: str) -> int:
    """By bisection, to 5 %."""
    good, bad = 1, 2
    while _smooth(url, bad):
        good, bad = bad, bad * 2
    while bad - good > max(1, good * 0.05):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if _smooth(url, middle) else (good, middle)
    return good


def _smooth(url: str, count: int) -> bool:
    words, length = [f"s{number}" for number in range(count)], 200
    bodies: list[dict[str, Any]] = [
        {
            "model": "demo",
            "messages": [{"role": "user", "content": f"!words {length} !say {word}"}],
            "max_tokens": length,
            "stream": True,
        }
        for word in words
    ]
    streams = asyncio.run(run(url, bodies, spread=1.0, key=sides.KEY))
    for word, stream in zip(words, streams, strict=True):
        if stream.text() != "".join(f"{word}-{number} " for number in range(length)):
            raise RuntimeError(f"the stream of {word} is broken or crossed")
    gaps = sorted(gap for stream in streams for gap in stream.gaps())
    p99 = gaps[int(len(gaps) * 0.99)]
    print(f"    {count} streams: p99 {p99 * 1000:.1f} ms", flush=True)
    return p99 <= 0.060


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.chat")
    parser.add_argument("parts", nargs="*", metavar="vllm|paced", default=["vllm", "paced"])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--streams", type=int, nargs="*", default=AT_ONCE)
    asked = parser.parse_args()
    # So that the servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print("; ".join(sides.versions()))
    if "vllm" in asked.parts:
        against_vllm(asked.pairs, asked.streams)
    if "paced" in asked.parts:
        paced()
