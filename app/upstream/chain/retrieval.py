"""Vectors find the nearest documents, and only those are reranked."""

import asyncio

import numpy as np

from app.upstream.chain.run import Run
from backends.contract.results import Ranking, Vectors
from backends.contract.tasks import EmbedTask, RerankTask
from backends.fleet.steps import Retrieval

# Texts that are embedded by one task.
SLICE = 512

Rows = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Row = np.ndarray[tuple[int], np.dtype[np.float32]]


async def ranked(run: Run, steps: Retrieval, task: RerankTask) -> Ranking:
    """A score for every document, in their order. Those that were not reranked come after those that were,
    by their nearness, however good the worst of these is."""
    rerank = run.step("rerank")
    if len(task.documents) <= steps.keep:
        return await rerank.call(task)
    embed = run.step("embed", {"input": "documents"})
    embed.target.alone()  # vectors of two models do not compare
    texts, found = (task.query, *task.documents), list[Vectors]()
    for at in range(0, len(texts), SLICE):
        found.append(await embed.call(EmbedTask(run.request_id, texts[at : at + SLICE])))
    near = await asyncio.to_thread(nearness, found)
    kept = [int(index) for index in np.sort(np.argsort(-near, kind="stable")[: steps.keep])]
    some = RerankTask(
        task.request_id, task.query, tuple(task.documents[index] for index in kept), task.max_tokens
    )
    best = await rerank.call(some)
    return Ranking(scattered(near, kept, best.scores), best.tokens + sum(vectors.tokens for vectors in found))


def nearness(found: list[Vectors]) -> Row:
    """Of each text but the first to the first: the cosine of their vectors as 0…1."""
    parts = [np.frombuffer(one.data, "<f4").reshape(one.count, one.dimensions) for one in found]
    rows: Rows = np.concatenate(parts)
    lengths = np.linalg.norm(rows, axis=1)
    cosines = rows[1:] @ rows[0] / np.maximum(lengths[1:] * lengths[0], 1e-12)
    near: Row = np.clip((1 + cosines) / 2, 0, 1)
    return near


def scattered(near: Row, kept: list[int], scores: tuple[float, ...]) -> tuple[float, ...]:
    """`scores` at the places of `kept`; everywhere else less than the least of them, by nearness."""
    told = near.astype(np.float64) * (0.999 * min(scores))
    told[kept] = scores
    return tuple(float(score) for score in told)
