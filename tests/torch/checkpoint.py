"""A Whisper of random weights as transformers keeps it. Needs torch and transformers."""

from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from tests.whisper.checkpoint import HEADS, LANGUAGES, LAYERS, MELS, WIDTH, tokenizer


def make(folder: Path) -> Path:
    words = tokenizer(english=False)
    ids = words.token_to_id
    ends = {"pad_token_id": ids("<|endoftext|>"), "bos_token_id": ids("<|endoftext|>")}
    ends |= {"eos_token_id": ids("<|endoftext|>"), "decoder_start_token_id": ids("<|startoftranscript|>")}
    silent = {"suppress_tokens": [], "begin_suppress_tokens": [220, ids("<|endoftext|>")]}
    torch.manual_seed(7)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=words.get_vocab_size(),
            d_model=WIDTH,
            encoder_layers=1,
            decoder_layers=LAYERS,
            encoder_attention_heads=HEADS,
            decoder_attention_heads=HEADS,
            encoder_ffn_dim=2 * WIDTH,
            decoder_ffn_dim=2 * WIDTH,
            num_mel_bins=MELS,
            init_std=0.5,  # large: what is asked must make a difference
            **ends,
        )
    )
    model.generation_config = GenerationConfig(
        lang_to_id={f"<|{code}|>": ids(f"<|{code}|>") for code in LANGUAGES},
        task_to_id={task: ids(f"<|{task}|>") for task in ("transcribe", "translate")},
        no_timestamps_token_id=ids("<|notimestamps|>"),
        prev_sot_token_id=ids("<|startofprev|>"),
        max_initial_timestamp_index=50,
        is_multilingual=True,
        alignment_heads=[[LAYERS - 1, head] for head in range(HEADS)],
        max_length=448,
        **ends,
        **silent,
    )
    model.save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    WhisperFeatureExtractor(feature_size=MELS).save_pretrained(folder)
    return folder
