"""What runs in infinity's environment (`.venv-infinity`): making its folders, and its engines in process.

    python -m bench.vectors.peer make MINILM FOLDER
    python -m bench.vectors.peer engine torch|optimum FOLDER

`make`: the same MiniLM as transformers' folder and exported to ONNX, and a cross-encoder of its size with
random weights, likewise. `engine`: one line of JSON in, a list of texts; one out, the seconds that the
engine took for it.
"""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

LAYERS, WIDTH, HEADS, SEED = 6, 384, 12, 7
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "config.json")


def make(minilm: Path, folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    from tools.export_minilm_graph import Hidden, export

    class Logits(Hidden):
        def forward(self, ids: Any, mask: Any, types: Any) -> Any:
            return self.bert(input_ids=ids, attention_mask=mask, token_type_ids=types).logits

    shutil.copytree(minilm, folder / "embed-torch", dirs_exist_ok=True)
    bert = BertModel.from_pretrained(minilm, attn_implementation="eager", add_pooling_layer=False)
    _folder(minilm, folder / "embed-optimum")
    export(Hidden(bert), folder / "embed-optimum" / "model.onnx", "last_hidden_state", fold=True)

    torch.manual_seed(SEED)
    shape = {"num_hidden_layers": LAYERS, "hidden_size": WIDTH, "num_attention_heads": HEADS}
    config = BertConfig(**shape, intermediate_size=4 * WIDTH, num_labels=1, attn_implementation="eager")
    ranker = BertForSequenceClassification(config)
    for name in ("rerank-torch", "rerank-optimum"):
        _folder(minilm, folder / name)
        ranker.save_pretrained(folder / name)
    export(Logits(ranker), folder / "rerank-optimum" / "model.onnx", "logits", fold=True)
    (folder / "rerank-optimum" / "model.safetensors").unlink()
    for name in ("embed", "rerank"):
        _optimise(folder / f"{name}-optimum", name)


def _optimise(folder: Path, name: str) -> None:
    """As infinity does when it loads, which with this optimum no longer finds a local file to begin with;
    it takes what is here under the name that it would have given it."""
    from optimum.onnxruntime import (
        ORTModelForFeatureExtraction,
        ORTModelForSequenceClassification,
        ORTOptimizer,
    )
    from optimum.onnxruntime.configuration import OptimizationConfig

    kind = ORTModelForFeatureExtraction if name == "embed" else ORTModelForSequenceClassification
    model = kind.from_pretrained(folder, file_name="model.onnx")
    ORTOptimizer.from_pretrained(model).optimize(
        save_dir=folder,
        optimization_config=OptimizationConfig(
            optimization_level=99, optimize_with_onnxruntime_only=False, optimize_for_gpu=False
        ),
    )


def _folder(minilm: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(minilm / name, folder)


def engine(name: str, folder: Path) -> None:
    from infinity_emb.args import EngineArgs
    from infinity_emb.primitives import Device, Dtype, InferenceEngine, PoolingMethod
    from infinity_emb.transformer.utils import EmbedderEngine

    args = EngineArgs(
        model_name_or_path=str(folder),
        engine=InferenceEngine[name],
        device=Device.cpu,
        dtype=Dtype.float32,
        pooling_method=PoolingMethod.mean,
        model_warmup=False,
    )
    one: Any = EmbedderEngine.from_inference_engine(args.engine).value(engine_args=args)
    for line in sys.stdin:
        texts = json.loads(line)
        began = time.perf_counter()
        one.encode_post(one.encode_core(one.encode_pre(texts)))
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        engine(sys.argv[2], Path(sys.argv[3]))
