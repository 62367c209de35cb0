"""Sides taking turns, and what comes of it."""

import base64
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np
import orjson

from bench.vectors.client import Callers
from bench.vectors.texts import Texts, embed_body

WARM = 2  # rounds that are not counted
ROUND_TOKENS = 4000  # half a second's work, where a single wave of the callers is less


class Cell(NamedTuple):
    """`inputs` of about `tokens` each in a request, `callers` at once."""

    inputs: int
    tokens: int
    callers: int

    @property
    def requests(self) -> int:
        return max(self.callers, -(-ROUND_TOKENS // (self.inputs * self.tokens)))

    @property
    def size(self) -> int:
        """Tokens of a round."""
        return self.requests * self.inputs * self.tokens

    def bodies(self, number: int) -> list[bytes]:
        return list(islice(Texts(number).bodies(self.inputs, self.tokens), self.requests))


@dataclass
class Side:
    """`rates`: inputs per second of each round; `latencies`: a round's median of a request, seconds."""

    name: str
    url: str
    rates: dict[Cell, list[float]] = field(default_factory=dict)
    latencies: dict[Cell, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.embed = Callers(self.url, "/v1/embeddings")
        self.rerank = Callers(self.url, "/v1/rerank")

    def forget(self) -> None:
        self.rates.clear()
        self.latencies.clear()

    async def measure(self, cell: Cell, number: int) -> None:
        load = await self.embed.ask(cell.bodies(number), cell.callers)
        if number >= WARM:
            self.rates.setdefault(cell, []).append(cell.requests * cell.inputs / load.took)
            self.latencies.setdefault(cell, []).append(statistics.median(load.latencies))

    async def vectors(self, texts: list[str]) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        answer = orjson.loads(await self.embed.once(embed_body(texts)))
        rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in answer["data"]]
        return np.stack(rows)


async def in_turn(count: int, sides: Sequence[Callable[[int], Awaitable[None]]]) -> None:
    """`count` rounds after those that warm up; another side begins each."""
    for number in range(count + WARM):
        for turn in range(len(sides)):
            await sides[(number + turn) % len(sides)](number)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Within rounds, so that what disturbs the machine disturbs both; their median."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def p99(latencies: Sequence[float]) -> float:
    return sorted(latencies)[int(len(latencies) * 0.99)]


def head(*columns: str) -> str:
    return f"{line(*columns)}\n|{'---|' * len(columns)}"


def line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
