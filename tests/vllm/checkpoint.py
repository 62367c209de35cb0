"""Make a checkpoint for vLLM, with a window of 1024 tokens: `checkpoint.py FOLDER [tiny|demo]`.

Runs in vLLM's environment. What makes the demo model makes this one too, from a few seconds of
training: enough for words of English, too little for sense.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main(folder: Path, size: str = "tiny") -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    import demo_corpus  # type: ignore[import-not-found]  # they live in tools/, on the path just now
    import train_demo_model as trainer  # type: ignore[import-not-found]

    shape = trainer.SHAPES[size]
    corpus = demo_corpus.dialogues(1000, name="Tiny")
    tokenizer = trainer.build_tokenizer(corpus, shape.vocabulary)
    model, _ = trainer.train(corpus, tokenizer, shape, budget_seconds=5)
    trainer.save(model, tokenizer, folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = shape.context
    (folder / "config.json").write_text(json.dumps(config))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
