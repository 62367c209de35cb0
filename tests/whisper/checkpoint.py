"""A Whisper of a few million random weights as a CTranslate2 folder, made in seconds without torch.

python -m tests.whisper.checkpoint FOLDER

What it hears is nonsense, but it is the engine's true code path: special tokens, languages, timestamps,
word alignment. Random logits make timestamps likely, so that a clip gives several short segments.
"""

import atexit
import json
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from faster_whisper.tokenizer import _LANGUAGE_CODES
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

WIDTH, LAYERS, HEADS, MELS = 64, 2, 2, 80
LANGUAGES = [code for code in _LANGUAGE_CODES if code != "yue"]  # large-v3 alone has that one
# Options of `faster-whisper`: random weights are never sure, and its thresholds would doubt every clip.
SURE: dict[str, Any] = {
    "threads": 1,
    "beam_size": 1,
    "max_new_tokens": 16,
    "log_prob_threshold": None,
    "compression_ratio_threshold": None,
    "no_speech_threshold": None,
}
# CTranslate2 takes a model for multilingual if the empty string is in its vocabulary: Whisper's is here.
BLANK = 50_256
SPECIAL = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{code}|>" for code in LANGUAGES),
    *("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"),
    "<|notimestamps|>",
]


@cache
def made(*, english: bool = False) -> Path:
    """One for the whole test run."""
    folder = Path(tempfile.mkdtemp(prefix="whisper-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make(folder, english=english)


def make(folder: Path, *, english: bool = False, quantization: str = "int8") -> Path:
    """`english`: a model that knows no other language, as `tiny.en` does not."""
    folder.mkdir(parents=True, exist_ok=True)
    words = tokenizer(english=english)
    words.save(str(folder / "tokenizer.json"))
    vocabulary = sorted(words.get_vocab().items(), key=lambda item: item[1])
    spec = _spec(len(vocabulary))
    spec.register_vocabulary([token for token, _ in vocabulary])
    ids = dict(vocabulary)
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], [220, ids["<|endoftext|>"]]
    spec.config.lang_ids = [ids[f"<|{code}|>"] for code in LANGUAGES]
    spec.config.alignment_heads = [[LAYERS - 1, head] for head in range(HEADS)]
    spec.validate()
    spec.optimize(quantization)
    spec.save(str(folder))
    extractor = {"feature_size": MELS, "sampling_rate": 16_000, "hop_length": 160, "chunk_length": 30}
    (folder / "preprocessor_config.json").write_text(json.dumps({**extractor, "n_fft": 400}))
    return folder


def tokenizer(*, english: bool) -> Tokenizer:
    """Bytes, a few words for them to be found by, and fillers up to where Whisper's special tokens begin."""
    vocabulary = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    while len(vocabulary) <= BLANK:
        last = len(vocabulary) == BLANK and not english
        vocabulary["" if last else f"Ġw{len(vocabulary)}"] = len(vocabulary)
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    made.add_tokens([AddedToken(f"<|{step * 0.02:.2f}|>", special=False) for step in range(1501)])
    return made


def _spec(words: int) -> WhisperSpec:
    random = np.random.default_rng(7)

    def weights(*shape: int) -> np.ndarray[Any, Any]:
        return random.normal(0, 0.2, shape).astype(np.float32)

    def linear(layer: Any, out: int, into: int) -> None:
        layer.weight, layer.bias = weights(out, into), np.zeros(out, np.float32)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def feed_forward(layer: Any) -> None:
        norm(layer.layer_norm)
        linear(layer.linear_0, 2 * WIDTH, WIDTH)
        linear(layer.linear_1, WIDTH, 2 * WIDTH)

    def attention(layer: Any, *outs: int) -> None:
        norm(layer.layer_norm)
        for one, out in zip(layer.linear, outs, strict=True):
            linear(one, out, WIDTH)

    spec = WhisperSpec(1, HEADS, LAYERS, HEADS)
    for conv, into in ((spec.encoder.conv1, MELS), (spec.encoder.conv2, WIDTH)):
        conv.weight, conv.bias = weights(WIDTH, into, 3), np.zeros(WIDTH, np.float32)
    spec.encoder.position_encodings.encodings = weights(1500, WIDTH)
    spec.decoder.position_encodings.encodings = weights(448, WIDTH)
    spec.decoder.embeddings.weight = spec.decoder.projection.weight = weights(words, WIDTH)
    norm(spec.encoder.layer_norm)
    norm(spec.decoder.layer_norm)
    for layer in spec.encoder.layer:
        attention(layer.self_attention, 3 * WIDTH, WIDTH)
        feed_forward(layer.ffn)
    for layer in spec.decoder.layer:
        attention(layer.self_attention, 3 * WIDTH, WIDTH)
        attention(layer.attention, WIDTH, 2 * WIDTH, WIDTH)
        feed_forward(layer.ffn)
    return spec


if __name__ == "__main__":
    make(Path(sys.argv[1]))
