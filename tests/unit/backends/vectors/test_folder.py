"""What a model's folder says of itself, what an ONNX file holds, and on what onnxruntime computes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from backends.contract.engine import GpuShare, Vendor
from backends.contract.errors import EngineFailed
from backends.encoder import Layout
from backends.sources import locate
from backends.vectors import folder
from backends.vectors.graph import Graph
from backends.vectors.providers import CONTEXT, provider

DATA = Path(__file__).parents[3] / "data"
POOLING = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"


def made(path: Path, **files: Any) -> Path:
    """A folder of JSON files; `__` in a name is a slash, `.json` is added."""
    for name, content in files.items():
        file = path / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"tokenizer_config": {"model_max_length": 10**30}}, None),
        ({"config": {"max_position_embeddings": 512}}, 512),
        ({"config": {"max_position_embeddings": 512}, "sentence_bert_config": {"max_seq_length": 256}}, 256),
        ({"config": {"max_position_embeddings": 512}, "sentence_bert_config": {"max_seq_length": None}}, 512),
        ({"config": {"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}}, 512),
        ({"config": {"max_position_embeddings": 512}, "tokenizer_config": {"model_max_length": 128}}, 128),
    ],
)
def test_the_longest_text(tmp_path: Path, files: dict[str, Any], limit: int | None) -> None:
    assert folder.max_tokens(made(tmp_path, **files)) == limit


@pytest.mark.parametrize(
    ("said", "ways"),
    [
        ({}, []),
        ({"pooling_mode": "lasttoken"}, ["lasttoken"]),
        ({"pooling_mode": "cls+mean"}, ["cls", "mean"]),
        ({"pooling_mode": ["cls", "max"]}, ["cls", "max"]),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, ["mean"]),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, ["cls", "mean"]),
        ({"pooling_mode_new": True}, ["pooling_mode_new"]),
    ],
)
def test_pooling_in_both_forms(tmp_path: Path, said: dict[str, Any], ways: list[str]) -> None:
    assert folder.pooling(made(tmp_path, **{"1_Pooling__config": said})) == ways


def test_pooling_stands_where_the_modules_say(tmp_path: Path) -> None:
    modules = [{"type": POOLING, "path": "7_Pooling"}]
    made(tmp_path, modules=modules, **{"7_Pooling__config": {"pooling_mode": "max"}})
    assert folder.pooling(tmp_path) == ["max"]
    assert not folder.normalised(tmp_path)
    assert folder.normalised(made(tmp_path, modules=[*modules, {"type": "x.Normalize", "path": "8"}]))


def test_a_folder_without_modules_is_normalised(tmp_path: Path) -> None:
    assert folder.normalised(tmp_path)


def test_prompts(tmp_path: Path) -> None:
    assert folder.prompts(tmp_path) == ("", "", "")
    said = {"prompts": {"query": "q: ", "passage": "p: ", "document": ""}, "default_prompt_name": "query"}
    prompts = folder.prompts(made(tmp_path, config_sentence_transformers=said))
    assert [prompts.of(kind) for kind in ("query", "document", None)] == ["q: ", "p: ", "q: "]


@pytest.mark.parametrize(
    ("config", "is_one"),
    [
        ({}, False),
        ({"architectures": ["BertModel"]}, False),
        ({"architectures": ["XForSequenceClassification"], "id2label": {"0": "a"}}, True),
        ({"architectures": ["XForSequenceClassification"], "num_labels": 1}, True),
    ],
)
def test_a_cross_encoder_is_known(tmp_path: Path, config: dict[str, Any], is_one: bool) -> None:
    assert folder.is_cross_encoder(made(tmp_path, config=config)) is is_one


def test_a_classifier_is_no_cross_encoder(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="2 classes"):
        folder.is_cross_encoder(made(tmp_path, config={"architectures": ["XForSequenceClassification"]}))


@pytest.mark.parametrize("content", ["no JSON", "[]"])
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(EngineFailed, match=r"config\.json"):
        folder.max_tokens(tmp_path)


def test_the_revision_is_the_files_sha256(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b")]
    for file in files:
        file.write_bytes(file.name.encode() * 5_000_000)
    seen: list[float | None] = []
    one = folder.revision(files[:1], lambda _, fraction: seen.append(fraction))
    assert one == hashlib.sha256(b"a" * 5_000_000).hexdigest()
    assert seen[-1] == 1
    both = folder.revision(files, lambda *_: None)
    assert both not in {one, folder.revision(files[::-1], lambda *_: None)}


# --- graphs ---


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(kind: int, *dimensions: int, beside: str = "") -> bytes:
    shape = b"".join(field(1, size) for size in dimensions)
    entry = field(13, field(1, b"location") + field(2, beside.encode())) if beside else field(9, b"\0" * 8)
    return field(5, shape + field(2, kind) + entry)


@pytest.mark.parametrize(
    ("tensors", "dtype", "beside"),
    [
        ([tensor(1, 300, 20)], "float32", ()),
        ([tensor(1, 300), tensor(10, 300, 2), tensor(7, 5000)], "float16", ()),
        ([tensor(1, 300), tensor(3, 100, 200)], "int8", ()),
        ([tensor(16, 4, beside="w.bin"), tensor(16, 4, beside="a.bin")], "bfloat16", ("a.bin", "w.bin")),
    ],
)
def test_what_a_graph_holds(
    tmp_path: Path, tensors: list[bytes], dtype: str, beside: tuple[str, ...]
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(field(1, 8) + field(7, field(2, b"graph") + b"".join(tensors)))
    assert Graph.read(file) == (dtype, beside)


def test_the_graphs_at_hand() -> None:
    minilm = locate("builtin://minilm")
    assert minilm is not None
    assert Graph.read(minilm / "model.onnx") == ("float32", ("model.safetensors",))
    assert Graph.read(DATA / "tiny_onnx" / "model.onnx") == ("float32", ())
    pairs = DATA / "tiny_pairs"
    graph = Layout.read(pairs).locate(pairs)
    assert graph == pairs / "onnx" / "model.onnx"
    assert Graph.read(graph) == ("float32", ("model.onnx_data",))


@pytest.mark.parametrize(
    "content", [b"", b"text, which is no graph", field(7, b"\x2a\xff\x01a"), field(1, 8)]
)
def test_what_is_no_graph(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(EngineFailed, match=r"model\.onnx"):
        Graph.read(tmp_path / "model.onnx")


# --- providers ---

GIB = 2**30


@pytest.mark.parametrize(
    ("vendor", "available", "name", "options"),
    [
        ("nvidia", "CUDA", "CUDA", {"gpu_mem_limit": str(4 * GIB - CONTEXT)}),
        ("amd", "ROCM", "ROCM", {"gpu_mem_limit": str(4 * GIB - CONTEXT)}),
        ("amd", "MIGraphX ROCM", "MIGraphX", {}),
        ("intel", "OpenVINO", "OpenVINO", {"device_type": "GPU", "precision": "ACCURACY"}),
    ],
)
def test_the_provider_is_the_vendors(
    vendor: Vendor, available: str, name: str, options: dict[str, str]
) -> None:
    names = [f"{each}ExecutionProvider" for each in ("CPU", *available.split())]
    found = provider(GpuShare(0.5, vendor, 8 * GIB), names)
    assert found.name == f"{name}ExecutionProvider"
    assert found.shown.startswith(name)
    assert options.items() <= found.options.items()
    assert found.limited == ("gpu_mem_limit" in found.options)


def test_openvino_on_a_cpu_where_it_is_asked_for() -> None:
    found = provider(GpuShare(), ["OpenVINOExecutionProvider"], threads=3, openvino=True)
    assert found.name == "OpenVINOExecutionProvider"
    assert found.options == {"device_type": "CPU", "precision": "ACCURACY", "num_of_threads": "3"}
    with pytest.raises(EngineFailed, match="install onnxruntime-openvino"):
        provider(GpuShare(), ["CPUExecutionProvider"], openvino=True)
    with pytest.raises(EngineFailed, match="card of nvidia"):
        provider(GpuShare(0.5, "nvidia", 8 * GIB), ["OpenVINOExecutionProvider"], openvino=True)


@pytest.mark.parametrize("vendor", ["nvidia", "amd", "intel"])
def test_without_the_vendors_provider_it_says_what_to_install(vendor: Vendor) -> None:
    assert provider(GpuShare(0, vendor), ["CPUExecutionProvider"]).name == "CPUExecutionProvider"
    with pytest.raises(EngineFailed, match="install onnxruntime-"):
        provider(GpuShare(0.5, vendor, 8 * GIB), ["CPUExecutionProvider"])
