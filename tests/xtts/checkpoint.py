"""Writes a tiny XTTS with random weights: `checkpoint.py FOLDER`, in XTTS's own environment.

The real code path, and noise for speech. The vocoder and the speaker encoder have the one size they
can have; the rest is as small as can be.
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
from TTS.tts.models.xtts import Xtts

WIDTH, STOP = 64, 1025
LETTERS = "abcdefghijklmnopqrstuvwxyz'.,!?-:;\"()0123456789äöüß"


def main(folder: Path) -> None:
    torch.manual_seed(0)
    config = XttsConfig()
    write_vocabulary(folder / "vocab.json", config.languages)
    config.model_args = XttsArgs(
        gpt_layers=2,
        gpt_n_model_channels=WIDTH,
        gpt_n_heads=2,
        gpt_num_audio_tokens=1026,
        gpt_start_audio_token=1024,
        gpt_stop_audio_token=STOP,
        gpt_max_audio_tokens=24,  # some 1.1 s for each sentence
        gpt_use_perceiver_resampler=True,
        decoder_input_dim=WIDTH,
        num_chars=255,
    )
    model = Xtts(config)
    model.tokenizer = VoiceBpeTokenizer(str(folder / "vocab.json"))
    model.init_models()
    with torch.no_grad():
        model.gpt.mel_head.bias[STOP] = -1e4  # else noise ends by chance, now and then at once
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    config.save_json(str(folder / "config.json"))
    voices = {
        name: {
            "gpt_cond_latent": torch.randn(1, 32, WIDTH),
            "speaker_embedding": torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1),
        }
        for name in ("Ana Florence", "Craig Gutsy")
    }
    torch.save(voices, folder / "speakers_xtts.pth")


def write_vocabulary(path: Path, languages: list[str]) -> None:
    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{language}]" for language in languages)]
    vocabulary = {piece: number for number, piece in enumerate([*special, *LETTERS])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
