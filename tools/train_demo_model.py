"""Train Motley's demo chat model on one CPU core and export it for onnxruntime-genai.

One command makes the model that ships with Motley, from nothing but `tools/demo_corpus`:

    python -m venv .venv-train && .venv-train/bin/pip install -r requirements/train.txt
    nice -n 5 .venv-train/bin/python tools/train_demo_model.py --out backends/builtin/demo_chat

`--budget-seconds` is the CPU time of the training loop (one torch thread), `--wall-seconds` its longest time
by the clock, `--peak` the highest learning rate, `--size tiny` makes a much smaller model for tests,
`--keep-checkpoint DIR` also keeps the Hugging Face checkpoint, `--continue-from DIR` trains such a checkpoint
further, with its tokenizer, and `--from-checkpoint DIR` exports one again without training. The learning rate
falls with the share of the budget that is spent, so a faster core takes more steps: seeds fix data, weights
and order, not the number of steps. What happened is written to `training.json` beside the model.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

sys.path.insert(0, str(Path(__file__).parent))
import demo_corpus

BUILDER = "onnxruntime_genai.models.builder"
BOUNDARY = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PAD = 0  # the id of <|endoftext|>: boundary tokens come first in the vocabulary
UNLEARNED = -100  # the label of a token that adds nothing to the loss
CALL_MARKS = ["<tool_call>", "</tool_call>"]
TEMPLATE = """\
{%- macro body(content) -%}
{%- if content is string %}{{- content }}
{%- elif content %}{%- for part in content %}{%- if part.text %}{{- part.text }}{%- endif %}{%- endfor %}
{%- endif %}
{%- endmacro -%}
{%- set first = messages[0] %}
{%- set led = first.role == 'system' or first.role == 'developer' %}
{%- if led or tools %}
{{- '<|im_start|>system\\n' }}
{%- if led %}{{- body(first.content) }}{%- endif %}
{%- if tools %}
{%- if led %}{{- '\\n' }}{%- endif %}
{{- 'Tools:' }}
{%- for tool in tools %}
{%- set f = tool.function if tool.function else tool %}
{{- '\\n' + f.name + '(' }}
{%- if f.parameters and f.parameters.properties %}
{%- for key in f.parameters.properties %}
{%- if not loop.first %}{{- ', ' }}{%- endif %}{{- key }}
{%- endfor %}
{%- endif %}
{{- ')' }}
{%- if f.description %}{{- ' ' + f.description }}{%- endif %}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if not (loop.first and led) %}
{%- set role = 'system' if message.role == 'developer' else message.role %}
{{- '<|im_start|>' + role + '\\n' }}
{%- if message.content %}{{- body(message.content) }}{%- endif %}
{%- if message.tool_calls %}
{%- for call in message.tool_calls %}
{%- set f = call.function if call.function else call %}
{{- '<tool_call>\\n{"name": "' + f.name + '", "arguments": ' }}
{%- if f.arguments is string %}{{- f.arguments }}{%- else %}{{- f.arguments | tojson }}{%- endif %}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a model: `window` is the training row in tokens, `context` the longest use declared."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    window: int
    context: int = 1024
    positions: int = 2048


SHAPES = {
    "demo": Shape(layers=4, hidden=256, heads=4, kv_heads=2, feed_forward=512, vocabulary=2048, window=320),
    "tiny": Shape(layers=1, hidden=64, heads=2, kv_heads=1, feed_forward=128, vocabulary=768, window=192),
}


@dataclass(slots=True)
class Report:
    """What a training run did; `loss` is the smoothed cross-entropy on assistant tokens, in nats."""

    corpus_seed: int
    seed: int
    dialogues: int
    parameters: int
    budget_seconds: float
    peak: float
    continued: bool
    cpu_seconds: int = 0
    steps: int = 0
    tokens: int = 0
    loss: float = math.nan

    def add(self, loss: float, tokens: int) -> None:
        """Count one step; the loss is smoothed over some fifty steps."""
        keep = min(0.98, self.steps / (self.steps + 10))
        self.loss = keep * self.loss + (1 - keep) * loss if self.steps else loss
        self.steps += 1
        self.tokens += tokens


@dataclass(slots=True)
class Rows:
    """Packed training rows, each tensor (rows, window): token, label, number of the dialogue, position."""

    tokens: torch.Tensor
    labels: torch.Tensor
    owners: torch.Tensor
    positions: torch.Tensor


# --- tokenizer -------------------------------------------------------------------------------------------


def build_tokenizer(corpus: list[demo_corpus.Dialogue], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most `vocabulary` tokens with single digits and the ChatML-style template."""
    bpe = Tokenizer(models.BPE())
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # Digits stand alone while merges are learned, so no merge holds one. The saved tokenizer can then do
    # without that step, which onnxruntime-genai does not read; the tokens are the same.
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pieces])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(CALL_MARKS),
        special_tokens=BOUNDARY,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator(_tokenizer_texts(corpus), trainer)
    bpe.pre_tokenizer = pieces
    # Ordinary tokens: a decoder that skips special tokens must still show a tool call.
    bpe.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in CALL_MARKS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _tokenizer_texts(corpus: list[demo_corpus.Dialogue]) -> Iterator[str]:
    """Message texts, calls and tool lists of the first dialogues."""
    part = corpus[:20000]
    yield from demo_corpus.texts(part)
    for dialogue in part:
        yield "system\nuser\nassistant\ntool\nTools:\n"
        for tool in dialogue.tools:
            yield f"\n{tool['function']['name']}({', '.join(tool['function']['parameters']['properties'])}) "
        for message in dialogue.messages:
            for call in message.get("tool_calls", []):
                yield "\n" + json.dumps(call["function"]) + "\n"


# --- data ------------------------------------------------------------------------------------------------


def _rendered(tokenizer: PreTrainedTokenizerFast, dialogue: demo_corpus.Dialogue) -> str:
    """The text of a dialogue as the chat template writes it."""
    tools: list[Any] | None = dialogue.tools or None
    return str(tokenizer.apply_chat_template(dialogue.messages, tools=tools, tokenize=False))


def _encode(tokenizer: PreTrainedTokenizerFast, corpus: list[demo_corpus.Dialogue]) -> list[list[int]]:
    """The token ids of every dialogue."""
    written: list[list[int]] = []
    for start in range(0, len(corpus), 1000):
        rendered = [_rendered(tokenizer, dialogue) for dialogue in corpus[start : start + 1000]]
        written += tokenizer(rendered, add_special_tokens=False)["input_ids"]
    return written


def _labels(ids: list[int], opening: list[int], end: int, foreign: int) -> list[int]:
    """The ids of assistant turns with their end marks; `UNLEARNED` elsewhere and in the first `foreign`."""
    labels, inside = [UNLEARNED] * len(ids), False
    for place, token in enumerate(ids):
        if inside:
            labels[place] = token if foreign <= 0 else UNLEARNED
            inside = token != end
            foreign -= not inside
        elif ids[place - len(opening) + 1 : place + 1] == opening:
            inside = True
    return labels


def _positions(ids: list[int], start_mark: int, limit: int, generator: torch.Generator) -> list[int]:
    """0, 1, 2 …; one dialogue in four has gaps before its turns, to meet far distances in training."""
    gaps = torch.rand(1, generator=generator).item() < 0.25
    turns = max(1, ids.count(start_mark))
    most = max(1, (limit - len(ids)) // turns)
    shift, positions = 0, []
    for place, token in enumerate(ids):
        if gaps and place and token == start_mark:
            shift += int(torch.randint(most, (1,), generator=generator).item())
        positions.append(place + shift)
    return positions


def pack(
    tokenizer: PreTrainedTokenizerFast, corpus: list[demo_corpus.Dialogue], shape: Shape, seed: int
) -> Rows:
    """Whole dialogues laid end to end in rows of `shape.window` tokens; longer dialogues are dropped."""
    generator = torch.Generator().manual_seed(seed)
    opening = tokenizer.encode("<|im_start|>assistant\n", add_special_tokens=False)
    start, end = BOUNDARY.index("<|im_start|>"), BOUNDARY.index("<|im_end|>")
    rows: list[list[list[int]]] = []
    still_open: list[list[list[int]]] = []
    columns: list[torch.Tensor] = []
    for number, ids in enumerate(_encode(tokenizer, corpus)):
        if len(ids) > shape.window:
            continue
        row = next((r for r in still_open if len(r[0]) + len(ids) <= shape.window), None)
        if row is None:
            row = [[], [], [], []]
            rows.append(row)
            still_open = [*still_open[-15:], row]
        parts = (
            ids,
            _labels(ids, opening, end, corpus[number].foreign_turns),
            [number] * len(ids),
            _positions(ids, start, shape.context, generator),
        )
        for column, part in zip(row, parts, strict=True):
            column.extend(part)
    for place, fill in enumerate([PAD, UNLEARNED, -1, 0]):
        columns.append(torch.tensor([r[place] + [fill] * (shape.window - len(r[place])) for r in rows]))
    return Rows(*columns)


# --- training --------------------------------------------------------------------------------------------


def build_model(shape: Shape, tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """A Qwen3 of this shape with random weights."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.hidden // shape.heads,
        max_position_embeddings=shape.positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    return Qwen3ForCausalLM(config)


def _loss(model: Qwen3ForCausalLM, rows: Rows, batch: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the learned tokens of these rows; a dialogue sees only itself."""
    owners, labels = rows.owners[batch], rows.labels[batch]
    window = owners.shape[1]
    same = owners[:, :, None] == owners[:, None, :]
    mask = (same & torch.ones(window, window, dtype=torch.bool).tril())[:, None]
    hidden = model.model(
        input_ids=rows.tokens[batch],
        attention_mask={"full_attention": mask},
        position_ids=rows.positions[batch],
        use_cache=False,
    ).last_hidden_state
    learned = labels[:, 1:] != UNLEARNED
    scores = model.lm_head(hidden[:, :-1][learned])
    return torch.nn.functional.cross_entropy(scores, labels[:, 1:][learned])


def _batches(rows: int, size: int, seed: int) -> Iterator[torch.Tensor]:
    """Row numbers, `size` at a time, in a new order every epoch, without end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(rows, generator=generator)
        for start in range(0, max(1, rows - size + 1), size):
            yield order[start : start + size]


def _rate(step: int, share: float) -> float:
    """The learning rate as a part of its peak: 60 steps up, then a cosine down over the budget's share."""
    return min(1.0, (step + 1) / 60) * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))


def train(
    corpus: list[demo_corpus.Dialogue],
    tokenizer: PreTrainedTokenizerFast,
    shape: Shape,
    *,
    budget_seconds: float,
    seed: int = 0,
    batch: int = 4,
    peak: float = 2e-3,
    model: Qwen3ForCausalLM | None = None,
    wall_seconds: float = math.inf,
) -> tuple[Qwen3ForCausalLM, Report]:
    """Train for `budget_seconds` of CPU time on one thread, or until `wall_seconds` are over if that comes
    first; from random weights where no `model` is given. At least one step is taken."""
    torch.set_num_threads(1)
    rows, continued = pack(tokenizer, corpus, shape, seed), model is not None
    model = model or build_model(shape, tokenizer, seed)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.05)
    size = sum(weights.numel() for weights in model.parameters())
    report = Report(demo_corpus.SEED, seed, len(corpus), size, budget_seconds, peak, continued)
    began, clock, share = time.process_time(), time.monotonic(), 0.0
    for chosen in _batches(len(rows.tokens), batch, seed):
        for group in optimiser.param_groups:
            group["lr"] = peak * _rate(report.steps, share)
        loss = _loss(model, rows, chosen)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        report.add(loss.item(), rows.tokens[chosen].numel())
        report.cpu_seconds = round(time.process_time() - began)
        share = max((time.process_time() - began) / budget_seconds, (time.monotonic() - clock) / wall_seconds)
        share = min(share, 1.0)
        if report.steps % 50 == 0:
            print(
                f"step {report.steps} loss {report.loss:.4f} cpu {report.cpu_seconds} s, {share:.0%}",
                flush=True,
            )
        if share >= 1:
            break
    return model.eval(), report


# --- export ----------------------------------------------------------------------------------------------


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a Hugging Face checkpoint (float32)."""
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def export(checkpoint: Path, out: Path, *, context: int) -> None:
    """Turn a Hugging Face checkpoint into an onnxruntime-genai folder that declares `context` tokens."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as cache:
        flags = {"-i": checkpoint, "-o": out, "-p": "fp32", "-e": "cpu", "-c": cache}
        subprocess.run(
            [sys.executable, "-m", BUILDER, *(str(part) for flag in flags.items() for part in flag)],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"},
        )
    path = out / "genai_config.json"
    config: dict[str, Any] = json.loads(path.read_text())
    config["model"]["context_length"] = context
    config["search"] |= {"max_length": context, "do_sample": False}
    path.write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the exported model")
    parser.add_argument("--budget-seconds", type=float, default=780, help="CPU seconds of training (780)")
    parser.add_argument(
        "--wall-seconds", type=float, default=math.inf, help="training ends then at the latest"
    )
    parser.add_argument("--peak", type=float, default=2e-3, help="the highest learning rate (0.002)")
    parser.add_argument("--size", choices=sorted(SHAPES), default="demo")
    parser.add_argument("--dialogues", type=int, help="corpus size (a fit for the budget)")
    parser.add_argument("--name", default=demo_corpus.NAME, help="what the model calls itself")
    parser.add_argument("--seed", type=int, default=0, help="weights and order (0)")
    parser.add_argument(
        "--keep-checkpoint", type=Path, metavar="DIR", help="also keep the Hugging Face checkpoint"
    )
    parser.add_argument(
        "--from-checkpoint", type=Path, metavar="DIR", help="export this checkpoint, train nothing"
    )
    parser.add_argument(
        "--continue-from", type=Path, metavar="DIR", help="train this checkpoint further, with its tokenizer"
    )
    options = parser.parse_args()
    shape = SHAPES[options.size]
    if options.from_checkpoint:
        export(options.from_checkpoint, options.out, context=shape.context)
        return
    count = options.dialogues or int(min(100_000, max(2000, 40 * options.budget_seconds)))
    torch.set_num_threads(1)
    corpus = demo_corpus.dialogues(count, name=options.name)
    if options.continue_from:
        begun = Qwen3ForCausalLM.from_pretrained(options.continue_from, dtype=torch.float32)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(options.continue_from)
        tokenizer.chat_template = TEMPLATE
    else:
        begun, tokenizer = None, build_tokenizer(corpus, shape.vocabulary)
    model, report = train(
        corpus,
        tokenizer,
        shape,
        budget_seconds=options.budget_seconds,
        peak=options.peak,
        wall_seconds=options.wall_seconds,
        seed=options.seed,
        model=begun,
    )
    print(f"{report.steps} steps, loss {report.loss:.4f}, {report.parameters} parameters")
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = options.keep_checkpoint or Path(scratch)
        save(model, tokenizer, checkpoint)
        export(checkpoint, options.out, context=shape.context)
    (options.out / "training.json").write_text(json.dumps(asdict(report), indent=2) + "\n")


if __name__ == "__main__":
    main()
