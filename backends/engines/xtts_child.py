"""XTTS itself: what runs in the child of `xtts`, in another interpreter than ours (3.10 or later).

A GPU's context that has failed once fails for good: the process ends then, and is started anew.
"""

import os
import sys
import traceback
import wave
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models.xtts import Xtts

from backends.contract.audio import Audio, opened
from backends.contract.errors import EngineFailed, InvalidRequest, Overloaded
from backends.worker import Item

# Of a model's configuration, what is handed on to its inference.
SETTINGS = ("temperature", "length_penalty", "repetition_penalty", "top_k", "top_p")
POISONED = 70  # the exit status


def start(options: Mapping[str, Any]) -> "Speaker":
    device = options["device"]
    if not _there(device):
        raise EngineFailed("the torch of its environment sees no GPU of this kind")
    if device != "cpu" and options["fraction"] < 1:
        of = torch.cuda if device == "cuda" else torch.xpu
        of.set_per_process_memory_fraction(options["fraction"])
    folder = Path(options["path"])
    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    model.to(device)
    return Speaker(model, config, device, options["chunk_tokens"])


class Speaker:
    def __init__(self, model: Any, config: Any, device: str, chunk_tokens: int) -> None:
        self._model, self._config, self._device = model, config, device
        self._settings = {name: config[name] for name in SETTINGS}
        self._settings["stream_chunk_size"] = chunk_tokens
        manager = model.speaker_manager
        self._speakers: dict[str, Any] = dict(manager.speakers) if manager is not None else {}

    def describe(self, _fields: Any, _data: bytes) -> Generator[Item, None, None]:
        """One item: `{"speakers", "languages", "limits", "rate"}`; limits in characters."""
        yield (
            {
                "speakers": list(self._speakers),
                "languages": [language for language in self._config.languages if self._writes(language)],
                "limits": dict(self._model.tokenizer.char_limits),
                "rate": self._config.model_args.output_sample_rate,
            },
            b"",
        )

    def learn(self, _fields: Any, recording: Audio) -> Generator[Item, None, None]:
        """WAV of 16 bits, mono → one item: the latents as float32, the speaker's embedding last."""
        with opened(recording) as sample, wave.open(sample) as file:
            rate, sound = file.getframerate(), bytearray(file.readframes(file.getnframes()))
        samples = torch.frombuffer(sound, dtype=torch.int16).float()[None] / 32_768
        config = self._config
        with self._guarded():
            samples = samples.to(self._device)
            latents = self._model.get_gpt_cond_latents(
                samples, rate, length=config.gpt_cond_len, chunk_length=config.gpt_cond_chunk_len
            )
            embedding = self._model.get_speaker_embedding(samples, rate)
            both = torch.cat([latents.flatten(), embedding.flatten()]).float().cpu()
        yield {}, both.numpy().astype("<f4").tobytes()

    def speak(self, fields: Any, latents: bytes) -> Generator[Item, None, None]:
        """Items `{}` and samples. `fields`: text, language, and speaker, which is None where
        `latents` are given."""
        like = self._like(fields["speaker"], latents)
        with self._guarded():
            for piece in self._fitting(fields["text"], fields["language"]):
                for chunk in self._model.inference_stream(piece, fields["language"], *like, **self._settings):
                    yield {}, _pcm(chunk)

    def _writes(self, language: str) -> bool:
        """Whether what a language's writing needs is installed: for some it is a package apart."""
        try:
            self._model.tokenizer.encode("a", lang=language)
        except ImportError:
            return False
        return True

    def _like(self, speaker: "str | None", latents: bytes) -> "tuple[Any, Any]":
        """What the voice is: the condition of the language model, and the vocoder's."""
        if speaker is not None:
            own = self._speakers[speaker]
            return own["gpt_cond_latent"], own["speaker_embedding"]
        values = torch.frombuffer(bytearray(latents), dtype=torch.float32)
        args = self._config.model_args
        width, size = args.gpt_n_model_channels, args.d_vector_dim
        return values[:-size].reshape(1, -1, width), values[-size:].reshape(1, size, 1)

    def _fitting(self, text: str, language: str) -> Iterator[str]:
        """Numbers are spelt out, so that few characters can be many tokens."""
        try:
            tokens = len(self._model.tokenizer.encode(text.lower(), lang=language))
        except NotImplementedError:
            raise InvalidRequest(
                f"in this voice's language ({language}) numbers must be written as words", param="input"
            ) from None
        if tokens < self._model.args.gpt_max_text_tokens:
            yield text
            return
        middle = len(text) // 2
        blanks = [at for at, letter in enumerate(text) if letter == " "]
        cut = min(blanks, key=lambda at: abs(at - middle), default=0)
        if not text[:cut].strip() or not text[cut:].strip():
            raise InvalidRequest("a word of the text is too long to be spoken", param="input")
        yield from self._fitting(text[:cut].strip(), language)
        yield from self._fitting(text[cut:].strip(), language)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            traceback.print_exc()
            torch.cuda.empty_cache()
            raise Overloaded("the GPU has no memory left for this; try again shortly") from None
        except RuntimeError:
            if self._device == "cpu" or _answers(self._device):
                raise
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(POISONED)  # an orderly end would ask the GPU to tidy up


def _there(device: str) -> bool:
    if device == "cpu":
        return True
    return bool(torch.cuda.is_available() if device == "cuda" else torch.xpu.is_available())


def _answers(device: str) -> bool:
    """Whether the device still computes."""
    try:
        return bool((torch.ones(1, device=device) + 1).item() == 2)
    except (RuntimeError, AssertionError):  # AssertionError: a build without such a device
        return False


def _pcm(chunk: Any) -> bytes:
    samples = (chunk.detach().float().cpu().clamp(-1, 1) * 32_767).round()
    content: bytes = samples.numpy().astype("<i2").tobytes()
    return content
