"""Embeddings and reranking through Motley beside infinity, all with the same MiniLM in float32.

    python -m bench.vectors [grid] [engine] [mixed] [rerank] [soak] [--pairs N] [--quick | --all]

`grid`: requests of 1 to 256 inputs, short and long, from 1 to 32 callers; infinity with each of its
engines. `engine`: what is left of the engine asked in process, stage by stage, and what a server adds to
one query. `mixed`: 16 callers of one query each, alone and beside one with 2,048 inputs. `rerank`: 100
documents by a cross-encoder of random weights. `soak`: memory over 50,000 requests (not by default).
`--quick`: few cells; `--all`: those too that keep the machine busy for minutes a round.
"""

import argparse
import asyncio
import signal
import statistics
import sys
import time
from contextlib import ExitStack
from itertools import product
from typing import Any

import numpy as np
import psutil

from bench import results
from bench.vectors import sides
from bench.vectors.rounds import Cell, Side, head, in_turn, line, p99, ratio
from bench.vectors.texts import Texts, embed_body, rerank_body

CELLS = [Cell(*each) for each in product((1, 8, 32, 256), (20, 200), (1, 8, 32))]
QUICK = [Cell(1, 20, 1), Cell(1, 20, 32), Cell(32, 20, 1), Cell(1, 200, 1), Cell(8, 200, 1), Cell(32, 200, 1)]
LARGEST = 21_000  # tokens of a round: some seconds on two cores
SINGLE = Cell(1, 20, 1)
STAGES = [SINGLE, Cell(1, 20, 32), Cell(32, 20, 1), Cell(32, 200, 1), Cell(256, 20, 1)]
DOCUMENTS, DOCUMENT_TOKENS, RERANKS = 100, 100, 2


class Bench:
    """Every server up: Motley, and infinity with each engine."""

    def __init__(self, stack: ExitStack, pairs: int) -> None:
        self.pairs = pairs
        self.folder = sides.checkpoints()
        self.document = sides.fleet(self.folder, {}, sides.OPTIONS)
        self.stack = stack
        self.running = sides.motley(self.document)
        stack.callback(self.running.stop)
        self.ours = Side("Motley", self.running.url)
        self.theirs: list[Side] = []
        for engine in sides.ENGINES:
            child = sides.infinity(engine, self.folder)
            stack.callback(child.stop)
            self.theirs.append(Side(f"infinity {engine}", child.url))

    @property
    def every(self) -> list[Side]:
        return [self.ours, *self.theirs]

    async def same_vectors(self) -> None:
        """Raises RuntimeError where the sides are not the same model."""
        texts = Texts(0).some(8, 20) + Texts(1).some(8, 200)
        ours = await self.ours.vectors(texts)
        for side in self.theirs:
            apart = float(np.abs(await side.vectors(texts) - ours).max())
            print(f"{side.name} and Motley differ by at most {apart:.1e} in a component")
            if apart > 1e-4:
                raise RuntimeError("the sides do not compute the same")

    async def grid(self, cells: list[Cell]) -> None:
        names = [f"{side.name} inputs/s" for side in self.every]
        print(
            head("inputs", "tokens", "callers", *names, "× the better", "ms: Motley", "the better"),
            flush=True,
        )
        found: dict[Cell, float] = {}
        rows: dict[str, dict[str, float]] = {}
        for cell in cells:
            rounds = [lambda number, side=side, cell=cell: side.measure(cell, number) for side in self.every]
            await in_turn(self.pairs, rounds)  # type: ignore[arg-type]
            best = max(self.theirs, key=lambda side: statistics.median(side.rates[cell]))
            found[cell] = ratio(self.ours.rates[cell], best.rates[cell])
            rates = [f"{statistics.median(side.rates[cell]):.0f}" for side in self.every]
            each = [f"{statistics.median(side.latencies[cell]) * 1000:.1f}" for side in (self.ours, best)]
            print(line(*cell, *rates, f"{found[cell]:.2f}", *each), flush=True)
            rows[_said(cell)] = {side.name: statistics.median(side.rates[cell]) for side in self.every}
        _bars(found)
        if cells is not QUICK:
            self._kept("vectors", "Embeddings", "inputs/s", rows, better="more")

    def _kept(self, name: str, title: str, unit: str, rows: results.Rows, **more: Any) -> None:
        told = sides.versions().splitlines()
        results.kept(name, title, unit, rows, rounds=self.pairs, versions=told, **more)

    async def stages(self) -> None:
        door = sides.door(self.document)
        self.stack.callback(door.stop)
        alone, engine = Side("door", door.url), sides.Engine(self.document)
        await engine.host.load()
        columns = ("inputs", "tokens", "callers", "engine inputs/s", "Motley", "of the engine's")
        print(head(*columns, "share of the engine", "HTTP and door", "HAProxy and Ray"))
        for cell in STAGES:
            for side in (self.ours, alone):
                side.forget()
            rates: list[float] = []

            async def direct(number: int, cell: Cell = cell, rates: list[float] = rates) -> None:
                texts = Texts(number)
                requests = [texts.some(cell.inputs, cell.tokens) for _ in range(cell.requests)]
                took = await engine.ask(requests, cell.callers)
                rates.append(cell.requests * cell.inputs / took)

            await in_turn(self.pairs, [
                direct,
                lambda number, cell=cell: alone.measure(cell, number),  # type: ignore[misc]
                lambda number, cell=cell: self.ours.measure(cell, number),  # type: ignore[misc]
            ])  # fmt: skip
            kept = rates[-self.pairs :]
            share, outside = (
                ratio(self.ours.rates[cell], kept),
                ratio(self.ours.rates[cell], alone.rates[cell]),
            )
            shown = [f"{statistics.median(each):.0f}" for each in (kept, self.ours.rates[cell])]
            parts = [f"{part:.0%}" for part in (share, outside - share, 1 - outside)]
            print(line(*cell, *shown, f"{share:.2f}", *parts), flush=True)
        await self._added(engine)
        await engine.host.close()

    async def _added(self, engine: sides.Engine) -> None:
        """To a single query, by the server that is around the engine."""
        own: dict[str, list[float]] = {side.name: [] for side in self.every}
        peers = {
            side.name: sides.PeerEngine(name, self.folder)
            for side, name in zip(self.theirs, sides.ENGINES, strict=True)
        }
        for side in self.every:
            side.forget()

        async def direct(number: int) -> None:
            # One after the other, as servers are asked: each would find its weights out of the cache.
            texts = Texts(number).some(50, SINGLE.tokens)
            own[self.ours.name].append(statistics.median([await engine.ask([[text]], 1) for text in texts]))
            for name, peer in peers.items():
                own[name].append(statistics.median(peer.ask([text]) for text in texts))

        measured = [lambda number, side=side: side.measure(SINGLE, number) for side in self.every]
        await in_turn(self.pairs, [direct, *measured])  # type: ignore[list-item]
        print(head("a single query, ms", "the engine alone", "through the server", "added"))
        for side in self.every:
            alone = own[side.name][-self.pairs :]
            added = statistics.median(a - b for a, b in zip(side.latencies[SINGLE], alone, strict=True))
            shown = [statistics.median(each) for each in (alone, side.latencies[SINGLE])]
            print(line(side.name, *(f"{each * 1000:.2f}" for each in (*shown, added))), flush=True)
        for peer in peers.values():
            peer.close()

    async def mixed(self) -> None:
        print(head("16 callers, p99 ms", "alone", "beside 2,048 inputs", "×", "the 2,048 inputs, s"))
        rounds = {side.name: _Mixed(side) for side in self.every}
        rows: dict[str, dict[str, float]] = {"of 2,048 inputs": {}}
        await in_turn(self.pairs, [one.round for one in rounds.values()])
        for name, one in rounds.items():
            alone, beside = p99(one.alone), p99(one.beside)
            rows["of 2,048 inputs"][name] = beside / alone
            large = statistics.median(one.large)
            print(
                line(
                    name,
                    f"{alone * 1000:.0f}",
                    f"{beside * 1000:.0f}",
                    f"{beside / alone:.1f}",
                    f"{large:.1f}",
                )
            )
        title = "p99 of 16 callers' single queries beside a large request"
        self._kept("vectors-mixed", title, "× without it", rows, enough=5)

    async def rerank(self) -> None:
        rates: dict[str, list[float]] = {side.name: [] for side in self.every}

        async def measure(side: Side, number: int) -> None:
            texts = Texts(number)
            bodies = [
                rerank_body(texts.one(10), texts.some(DOCUMENTS, DOCUMENT_TOKENS)) for _ in range(RERANKS)
            ]
            load = await side.rerank.ask(bodies, 1)
            rates[side.name].append(DOCUMENTS * RERANKS / load.took)

        await in_turn(self.pairs, [lambda number, side=side: measure(side, number) for side in self.every])  # type: ignore[misc]
        kept = {name: each[-self.pairs :] for name, each in rates.items()}
        medians = {name: statistics.median(each) for name, each in kept.items()}
        best = max((side.name for side in self.theirs), key=medians.__getitem__)
        print(head(f"{DOCUMENTS} documents of {DOCUMENT_TOKENS} tokens", *medians, "× the better"))
        found = f"{ratio(kept[self.ours.name], kept[best]):.2f}"
        title = "Reranking 100 documents of 100 tokens"
        self._kept("vectors-rerank", title, "documents/s", {"by a cross-encoder": medians}, better="more")
        print(line("documents/s", *(f"{each:.0f}" for each in medians.values()), found))

    async def soak(self, count: int, each: int = 1000) -> None:
        process = psutil.Process(self.running.replica(sides.EMBED)["pid"])
        texts, first = Texts(7), 0
        for number in range(each, count + 1, each):
            bodies = [embed_body(texts.any_length(200)) for _ in range(each)]
            await self.ours.embed.ask(bodies, 8)
            memory = process.memory_info().rss
            first = first or memory
            if number % (5 * each) in (0, each):
                print(
                    f"{number:>6} requests: {memory / 2**20:.0f} MiB, {memory / first - 1:+.1%}", flush=True
                )


class _Mixed:
    """Latencies of 16 callers of one query each, alone and while another's 2,048 inputs are computed."""

    def __init__(self, side: Side) -> None:
        self._side, self._other = side, Side("", side.url)
        self.alone: list[float] = []
        self.beside: list[float] = []
        self.large: list[float] = []

    async def round(self, number: int) -> None:
        small = Texts(number).bodies(1, 20)
        until = asyncio.Event()
        asyncio.get_running_loop().call_later(3, until.set)
        alone = await self._side.embed.keep_asking(small, 16, until)
        until = asyncio.Event()
        asking = asyncio.create_task(self._side.embed.keep_asking(small, 16, until))
        began = time.perf_counter()
        await self._other.embed.once(embed_body(Texts(number).some(2048, 20)))
        self.large.append(time.perf_counter() - began)
        until.set()
        self.alone += alone.latencies
        self.beside += (await asking).latencies


def _said(cell: Cell) -> str:
    def many(count: int, what: str) -> str:
        return f"{count} {what}{'s'[: count > 1]}"

    return f"{many(cell.inputs, 'input')} of {cell.tokens} tokens, {many(cell.callers, 'caller')}"


def _bars(found: dict[Cell, float]) -> None:
    short = {cell: each for cell, each in found.items() if cell[:2] == (1, 20)}
    long = {cell: each for cell, each in found.items() if cell.inputs >= 8 and cell.tokens == 200}
    for name, cells, bar in (("one short input", short, 1.2), ("at least 8 long inputs", long, 0.95)):
        if cells:
            print(f"{name}: {min(cells.values()):.2f} at least, aimed at {bar}")
    print(f"geometric mean: {statistics.geometric_mean(found.values()):.2f}, aimed at 1.15")


async def main(asked: argparse.Namespace) -> None:
    with ExitStack() as stack:
        bench = Bench(stack, asked.pairs)
        await bench.same_vectors()
        await asyncio.sleep(asked.rest)  # Ray has not come to rest when its applications are up
        if "grid" in asked.parts:
            small = [cell for cell in CELLS if cell.size <= LARGEST]
            await bench.grid(QUICK if asked.quick else CELLS if asked.all else small)
        if "engine" in asked.parts:
            await bench.stages()
        if "mixed" in asked.parts:
            await bench.mixed()
        if "rerank" in asked.parts:
            await bench.rerank()
        if "soak" in asked.parts:
            await bench.soak(asked.requests)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.vectors")
    parts = ("grid", "engine", "mixed", "rerank", "soak")
    parser.add_argument(
        "parts", nargs="*", metavar="|".join(parts), default=["grid", "engine", "mixed", "rerank"]
    )
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--requests", type=int, default=50_000, help="of the soak")
    parser.add_argument("--rest", type=float, default=20, help="seconds before the first round")
    # So that the servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(sides.versions())
    asyncio.run(main(parser.parse_args()))
