"""Tiny models of sentences and of pairs as transformers and sentence-transformers keep them, of random
weights. Needs torch and transformers."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

WORDS = Path(__file__).parents[1] / "data" / "tiny_onnx" / "tokenizer.json"
LIBRARY = "sentence_transformers.models."


def make_sentences(folder: Path, pooling: str = "mean", *, layers: int = 2, normalised: bool = True) -> Path:
    shape = _shape(layers)
    BertModel(shape, add_pooling_layer=False).save_pretrained(folder)
    _tokenizer(folder)
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalised else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    _write(
        folder / "modules.json",
        [
            {"idx": index, "name": str(index), "path": paths[index], "type": LIBRARY + name}
            for index, name in enumerate(modules)
        ],
    )
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": False})
    flags = {"mean": "mean_tokens", "cls": "cls_token", "lasttoken": "lasttoken", "max": "max_tokens"}
    said = {f"pooling_mode_{flag}": name == pooling for name, flag in flags.items()}
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": shape.hidden_size, **said})
    return folder


def make_pairs(folder: Path) -> Path:
    BertForSequenceClassification(_shape(2, num_labels=1)).save_pretrained(folder)
    _tokenizer(folder)
    return folder


def _shape(layers: int, **more: Any) -> BertConfig:
    torch.manual_seed(7)
    return BertConfig(
        vocab_size=len(json.loads(WORDS.read_text())["model"]["vocab"]),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,  # large: what stands in the texts must make a difference
        **more,
    )


def _tokenizer(folder: Path) -> None:
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(
        tokenizer_file=str(WORDS),
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    ).save_pretrained(folder)


def _write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
