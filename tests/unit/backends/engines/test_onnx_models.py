"""The engine `onnx` over folders of every kind: vectors are what the graph itself says, whatever they
were computed with, and options and files mean what they say."""

import asyncio
import gc
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import psutil
import pytest
from tokenizers import Tokenizer

from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import ContextExceeded, EngineFailed, InvalidRequest, Overloaded
from backends.contract.results import Vectors
from backends.contract.tasks import Verb
from backends.engines.onnx import Onnx
from backends.host import Host
from tests.vectors import embed, rerank, rows, text

DATA = Path(__file__).parents[3] / "data"
TINY, PAIRS = DATA / "tiny_onnx", DATA / "tiny_pairs"
LIBRARY = "sentence_transformers.models."


async def hosted(folder: Path, task: Verb = "embed", **options: Any) -> Host:
    model = ModelRef("m", task, f"file://{folder}", folder)
    host = Host(Onnx(model, Onnx.Options(**options), GpuShare()), max_ongoing=1000)
    await host.load()
    return host


async def refused(folder: Path, task: Verb = "embed", **options: Any) -> str:
    with pytest.raises(EngineFailed) as raised:
        await hosted(folder, task, **options)
    assert "/" not in raised.value.message
    return raised.value.message


def copy(tmp_path: Path, source: Path = TINY, **files: Any) -> Path:
    """A copy of a folder with other JSON files; `__` in a name is a slash."""
    target = shutil.copytree(source, tmp_path / "model")
    for name, content in files.items():
        file = target / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return target


class Reference:
    """The graph and the tokenizer by themselves, a text at a time: no padding, no batch."""

    def __init__(self, folder: Path, graph: str = "model.onnx") -> None:
        self._session = onnxruntime.InferenceSession(str(folder / graph))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def __call__(self, *texts: str) -> np.ndarray:
        encoding = self._tokenizer.encode(*texts)
        given = {"input_ids": encoding.ids, "token_type_ids": encoding.type_ids}
        given["attention_mask"] = [1] * len(encoding.ids)
        feed = {name: np.array([numbers], np.int64) for name, numbers in given.items()}
        (output,) = self._session.run(None, feed)
        found: np.ndarray = output[0]
        return found


def unit(row: np.ndarray) -> np.ndarray:
    found: np.ndarray = row / np.linalg.norm(row)
    return found


POOLED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda hidden: hidden.mean(0),
    "cls": lambda hidden: hidden[0],
    "lasttoken": lambda hidden: hidden[-1],
    "max": lambda hidden: hidden.max(0),
    "mean_sqrt_len_tokens": lambda hidden: hidden.sum(0) / np.sqrt(len(hidden)),
    "weightedmean": lambda hidden: np.average(hidden, axis=0, weights=np.arange(1, len(hidden) + 1)),
    "cls+max": lambda hidden: np.concatenate([hidden[0], hidden.max(0)]),
}


@pytest.mark.parametrize("way", POOLED)
async def test_vectors_are_the_models_in_any_company(tmp_path: Path, way: str) -> None:
    """By seeds: requests of any size, at once, in batches of any make-up; to 1e-4 of a text alone."""
    folder = copy(tmp_path, **{"1_Pooling__config": {"pooling_mode": way}})
    host, reference = await hosted(folder, max_batch_tokens=300, max_batch=9), Reference(TINY)
    chance = random.Random(11)
    asked = [[text(chance) for _ in range(chance.choice([1, 1, 1, 3, 40]))] for _ in range(30)]
    answers = await asyncio.gather(*(embed(host, *texts) for texts in asked))
    for texts, answer in zip(asked, answers, strict=True):
        for one, row in zip(texts, rows(answer), strict=True):
            assert np.abs(row - unit(POOLED[way](reference(one)))).max() < 1e-4
    assert host.engine.facts()["pooling"] == way
    await host.close()


async def test_scores_of_a_cross_encoder_are_the_models_in_any_company() -> None:
    host = await hosted(PAIRS, "rerank", max_batch_tokens=300)
    reference, chance = Reference(PAIRS, "onnx/model.onnx"), random.Random(12)
    asked = [
        (text(chance, 20), [text(chance, 30) for _ in range(chance.choice([1, 2, 30]))]) for _ in range(20)
    ]
    answers = await asyncio.gather(*(rerank(host, query, *documents) for query, documents in asked))
    seen = set()
    for (query, documents), answer in zip(asked, answers, strict=True):
        logits = [float(reference(query, document)[0]) for document in documents]
        assert answer.scores == pytest.approx([1 / (1 + np.exp(-logit)) for logit in logits], abs=1e-4)
        seen |= {round(score, 2) for score in answer.scores}
    assert len(seen) > 20, "what stands in the texts makes a difference"
    await host.close()


async def test_a_cross_encoder_says_what_it_is() -> None:
    host = await hosted(PAIRS, "rerank")
    facts = dict(host.engine.facts())
    assert len(facts.pop("revision")) == 64
    assert facts == {
        "max_tokens": 64,
        "dtype": "float32",
        "runtime": f"onnxruntime {onnxruntime.__version__} CPU",
        "scoring": "cross-encoder",
        "long_documents": "truncated",
    }
    assert "no vectors" in await refused(PAIRS)
    weights = sum(file.stat().st_size for file in (PAIRS / "onnx").iterdir())
    model = ModelRef("m", "rerank", "", PAIRS)
    assert Onnx.estimate(model, Onnx.Options(), GpuShare()).weights == weights
    await host.close()


async def test_the_bounds_of_a_pair() -> None:
    host = await hosted(PAIRS, "rerank")
    long, cut = await rerank(host, "a b", "c " * 500), await rerank(host, "a b", "c " * 59)
    assert long.scores == pytest.approx(cut.scores, abs=1e-5)
    assert long.tokens == cut.tokens == 64
    with pytest.raises(ContextExceeded, match="half") as raised:
        await rerank(host, "a " * 31, "c")
    assert raised.value.param == "query"
    assert (await rerank(host, "a " * 30, "c")).tokens == 34
    forgiving = await hosted(PAIRS, "rerank", truncate=True)
    assert (await rerank(forgiving, "a " * 31, "c")).tokens == 34


@pytest.mark.parametrize("folder", [TINY, PAIRS], ids=["bi-encoder", "cross-encoder"])
async def test_of_each_document_so_many_tokens(folder: Path) -> None:
    host = await hosted(folder, "rerank")
    asked = await rerank(host, "a b", "c d e f g", "c", max_tokens=3)
    meant = await rerank(host, "a b", "c d e", "c")
    assert asked == meant != await rerank(host, "a b", "c d e f g", "c")


async def test_a_text_too_long_is_cut_where_the_fleet_says_so() -> None:
    host, long = await hosted(TINY, truncate=True, max_tokens=16), "a b c d " * 2000
    found = await embed(host, long, "a b")
    assert found.tokens == 16 + 4
    assert rows(found)[0] == pytest.approx(rows(await embed(host, ("a b c d " * 9)[:28]))[0], abs=1e-5)


ASYMMETRIC = {"prompts": {"query": "query: ", "passage": "text: "}}


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ({"config_sentence_transformers": ASYMMETRIC}, {}),
        ({}, {"prompts": {"query": "query: ", "document": "text: "}}),
        (
            {"config_sentence_transformers": {"prompts": {"query": "no "}}},
            {"prompts": {"query": "query: ", "document": "text: "}},
        ),
    ],
    ids=["of the folder", "of the fleet", "of the fleet before the folder's"],
)
async def test_prompts(tmp_path: Path, files: dict[str, Any], options: dict[str, Any]) -> None:
    host, plain = await hosted(copy(tmp_path, **files), **options), await hosted(TINY)
    for kind, prompt in (("query", "query: "), ("document", "text: "), (None, "")):
        asked, meant = await embed(host, "a b", input_type=kind), await embed(plain, f"{prompt}a b")
        assert rows(asked) == pytest.approx(rows(meant), abs=1e-5)
        assert asked.tokens == meant.tokens
    assert host.engine.facts()["prompts"] == ["query", "document"]


async def test_a_symmetric_model_takes_any_type() -> None:
    host = await hosted(TINY)
    assert await embed(host, "a b", input_type="query") == await embed(host, "a b")
    assert "prompts" not in host.engine.facts()


async def test_prompts_and_their_place_in_the_pooling(tmp_path: Path) -> None:
    pooling = {"pooling_mode": "mean", "include_prompt": False}
    folder = copy(tmp_path, config_sentence_transformers=ASYMMETRIC, **{"1_Pooling__config": pooling})
    assert "prompts" in await refused(folder)


async def test_lengths_are_the_folders(tmp_path: Path) -> None:
    modules = [
        {"type": f"{LIBRARY}Transformer", "path": ""},
        {"type": f"{LIBRARY}Pooling", "path": "1_Pooling"},
    ]
    host = await hosted(copy(tmp_path, modules=modules))
    (row,) = rows(await embed(host, "a b"))
    assert row == pytest.approx(Reference(TINY)("a b").mean(0), abs=1e-4)
    assert host.engine.facts()["normalised"] is False
    (cut,) = rows(await embed(host, "a b", dimensions=8))
    assert cut == pytest.approx(unit(row[:8]), abs=1e-5), "what is cut is normalised anew"


async def test_a_graph_that_leaves_modules_out_is_refused(tmp_path: Path) -> None:
    modules = [{"type": f"{LIBRARY}{name}", "path": name} for name in ("Transformer", "Pooling", "Dense")]
    assert "Dense" in await refused(copy(tmp_path, modules=modules))


async def test_lower_case_is_the_folders(tmp_path: Path) -> None:
    folder = copy(tmp_path, sentence_bert_config={"max_seq_length": 64, "do_lower_case": True})
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"] = None
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    host = await hosted(folder)
    assert rows(await embed(host, "A B")) == pytest.approx(rows(await embed(host, "a b")), abs=1e-6)


async def test_another_graph_of_the_folder(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    (folder / "other").mkdir()
    (folder / "model.onnx").rename(folder / "other" / "small.onnx")
    assert "no model.onnx" in await refused(folder)
    assert "no large.onnx" in await refused(folder, graph="other/large.onnx")
    host = await hosted(folder, graph="other/small.onnx")
    assert rows(await embed(host, "a b"))[0] == pytest.approx(unit(Reference(TINY)("a b").mean(0)), abs=1e-4)


async def test_weights_beside_the_graph_are_missed(tmp_path: Path) -> None:
    folder = copy(tmp_path, PAIRS)
    (folder / "onnx" / "model.onnx_data").unlink()
    assert "no model.onnx_data" in await refused(folder, "rerank")


async def test_a_text_of_nothing_is_refused(tmp_path: Path) -> None:
    """Control characters are no white space, and no tokens either."""
    folder = copy(tmp_path)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    host = await hosted(folder)
    with pytest.raises(InvalidRequest) as raised:
        await embed(host, "a", "\x01\x02")
    assert raised.value.param == "input"
    assert (await embed(host, "a b")).tokens == 2


@pytest.mark.parametrize(("folder", "task"), [(TINY, "embed"), (PAIRS, "rerank")])
async def test_after_a_failure_it_is_healthy_if_it_computes(folder: Path, task: Verb) -> None:
    host = await hosted(folder, task)
    batcher = host.engine._batcher  # type: ignore[attr-defined]
    batcher.failed = True
    assert await host.engine.healthy()
    assert not batcher.failed
    run, batcher._run = batcher._run, lambda items: 1 // 0
    with pytest.raises(EngineFailed):
        await (embed(host, "a") if task == "embed" else rerank(host, "a", "b"))
    assert not await host.engine.healthy()
    batcher._run = run
    assert await host.engine.healthy()


async def test_a_provider_that_is_not_there_is_named() -> None:
    assert "onnxruntime-openvino" in await refused(TINY, openvino=True)


async def test_what_waits_is_bounded() -> None:
    host = await hosted(TINY, max_waiting=600)
    asked = [asyncio.create_task(embed(host, *["a b c"] * 500)) for _ in range(3)]
    first, *others = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, Vectors)
    assert {type(other) for other in others} == {Overloaded}
    assert (await embed(host, *["a b c"] * 700)).count == 700


async def test_memory_does_not_creep_with_lengths() -> None:
    host, chance = await hosted(TINY), random.Random(13)
    process = psutil.Process()

    async def requests(count: int) -> int:
        """Asks, eight at a time; the memory after, in bytes."""
        for _ in range(count // 8):
            await asyncio.gather(*(embed(host, text(chance)) for _ in range(8)))
        gc.collect()
        return process.memory_info().rss

    early = await requests(1000)
    assert await requests(4000) < 1.05 * early
