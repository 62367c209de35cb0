"""One Whisper by transformers: what a batch of clips says. Blocking; imported by `load` alone."""

import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import (
    StoppingCriteria,
    StoppingCriteriaList,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from backends import torch_device
from backends.contract.errors import EngineFailed, InvalidRequest
from backends.contract.results import Segment, Word
from backends.whisper.asked import Asked
from backends.whisper.clips import RATE, Clip, Sound
from backends.whisper.timestamps import closed, segments

# Written without spaces: each token that is a whole sign is a word.
SPACELESS = frozenset({"zh", "ja", "th", "lo", "my", "yue"})


class OnTorch:
    def __init__(
        self,
        folder: Path,
        *,
        device: str,
        dtype: str,
        share: float,
        threads: int | None,
        beam: int,
        max_new_tokens: int | None,
    ) -> None:
        """Raises EngineFailed for a card that torch does not see and for what it cannot read."""
        torch_device.ready(device, share)
        self._device, self._dtype = device, getattr(torch, dtype)
        if threads and device == "cpu":
            torch.set_num_threads(threads)
        try:
            model = WhisperForConditionalGeneration.from_pretrained(
                folder, dtype=self._dtype, local_files_only=True, use_safetensors=True
            )
            self._features = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # whatever the libraries raise on files they cannot read
            raise EngineFailed("transformers cannot read the model") from error
        self._model = model.to(self._device).eval()
        self._tokenizer.encode_special_tokens = True  # a stranger's prompt is text
        # Text comes before the token that ends it, times from `_first` on.
        self._end = int(model.config.eos_token_id)
        self._first = int(model.generation_config.no_timestamps_token_id) + 1
        self._beam, self._max_new_tokens = beam, max_new_tokens
        if max_new_tokens:  # both would be worth a warning a request
            self._model.generation_config.max_length = None

    @property
    def translates(self) -> bool:
        return bool(getattr(self._model.generation_config, "is_multilingual", False))

    @property
    def aligns(self) -> bool:
        return bool(getattr(self._model.generation_config, "alignment_heads", None))

    @property
    def tells_logprobs(self) -> bool:
        return False

    def languages(self) -> list[str]:
        return sorted(self._ids()) if self.translates else ["en"]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def warm(self) -> None:
        asked = Asked("en", False, None, None, 0.0, words=False, logprobs=False)
        self.hear([Clip(0.0, np.zeros(RATE, np.float32))], asked, lambda: False)

    def language(self, sound: Sound, among: Collection[str]) -> str:
        if not self.translates:
            return "en"
        config = self._model.generation_config
        start = torch.full((1, 1), config.decoder_start_token_id, device=self._device)
        with torch.inference_mode():
            heard = self._model(self._mel([sound])[0], decoder_input_ids=start, use_cache=False)
            logits = heard.logits[0, -1]
        codes = {code: number for code, number in self._ids().items() if not among or code in among}
        return max(codes, key=lambda code: float(logits[codes[code]]))

    def hear(
        self, clips: Sequence[Clip], asked: Asked, stopped: Callable[[], bool]
    ) -> list[tuple[Segment, ...]]:
        if asked.words and not self.aligns:
            raise InvalidRequest("this model has no times of words", param="timestamp_granularities")
        if stopped():
            return []
        spoken = {"language": asked.language, "task": "translate" if asked.translate else "transcribe"}
        features, mask = self._mel([clip.sound for clip in clips])
        with torch.inference_mode():
            made = self._model.generate(
                features,
                attention_mask=mask,  # where a clip ends: times of words are looked for before that
                return_timestamps=True,
                return_token_timestamps=asked.words,
                # Once, and all of it: left to itself the library drops what the model did not close, and
                # begins anew there, if need be in the padding after the clip.
                force_unique_generate_call=True,
                temperature=asked.temperature,
                num_beams=self._beam,
                prompt_ids=self._prompt(asked),
                stopping_criteria=StoppingCriteriaList([_Stop(stopped)]),
                **({"max_new_tokens": self._max_new_tokens} if self._max_new_tokens else {}),
                **(spoken if self.translates else {}),
            )
        tokens = (made["sequences"] if asked.words else made).tolist()
        times = made["token_timestamps"].tolist() if asked.words else [[]] * len(tokens)
        return [
            tuple(self._segments(clip, *self._said(clip, *one), asked))
            for clip, one in zip(clips, zip(tokens, times, strict=True), strict=True)
        ]

    def _said(self, clip: Clip, tokens: list[int], times: list[float]) -> tuple[list[int], list[float]]:
        """Without what the model was given and what ends its text; closed."""
        config = self._model.generation_config
        begin = tokens.index(config.decoder_start_token_id) + (3 if self.translates else 1)
        said = list(takewhile(lambda token: token != self._end, tokens[begin:]))
        return closed(said, len(clip.sound) / RATE, self._first), times[begin : begin + len(said)]

    def _segments(self, clip: Clip, tokens: list[int], times: list[float], asked: Asked) -> Iterator[Segment]:
        for start, end, part in segments(tokens, self._first):
            text = self._tokenizer.decode([token for token in tokens[part] if token < self._end]).strip()
            begin = _at(clip, start)
            if not text or begin >= clip.end:  # what is heard in the padding after a clip is not there
                continue
            yield Segment(
                start=begin,
                end=max(begin, _at(clip, end)),
                text=text,
                words=tuple(self._words(clip, tokens[part], times[part], asked.language)),
                tokens=tuple(tokens[part]),
                temperature=asked.temperature,
                compression_ratio=len(text.encode()) / len(zlib.compress(text.encode())),
            )

    def _words(self, clip: Clip, tokens: list[int], times: list[float], language: str) -> list[Word]:
        """A word begins where a space does. `times`: of each token, when it is over."""
        words: list[Word] = []
        pending: list[int] = []
        began = before = times[0] if times else 0.0
        for token, time in zip(tokens, times, strict=False):
            if token >= self._end:
                before = time
                continue
            began = began if pending else before
            before = time
            pending.append(token)
            text = self._tokenizer.decode(pending)
            if text.endswith("\ufffd"):  # the sign goes on in the next token
                continue
            pending = []
            if words and not text.startswith(" ") and language not in SPACELESS:
                last = words[-1]
                words[-1] = Word(last.text + text, last.start, max(last.start, _at(clip, time)))
            elif text.strip():
                start = _at(clip, began)
                words.append(Word(text.strip(), start, max(start, _at(clip, time))))
        return words

    def _prompt(self, asked: Asked) -> Any:
        said = " ".join(part for part in (asked.keywords, asked.prompt) if part)
        if not said:
            return None
        ids = self._tokenizer.encode(f" {said}", add_special_tokens=False).ids
        return torch.tensor([self._tokenizer.token_to_id("<|startofprev|>"), *ids], device=self._device)

    def _mel(self, sounds: Sequence[Sound]) -> tuple[Any, Any]:
        """(features, which of their frames are sound)."""
        made = self._features(
            list(sounds),
            **{"sampling_rate": RATE, "device": self._device},
            **{"return_tensors": "pt", "return_attention_mask": True},
        )
        return made.input_features.to(self._device, self._dtype), made.attention_mask.to(self._device)

    def _ids(self) -> dict[str, int]:
        known: dict[str, int] = self._model.generation_config.lang_to_id
        return {token[2:-2]: number for token, number in known.items()}


class _Stop(StoppingCriteria):  # type: ignore[misc]  # the library's types are not looked at
    """Asked after each token."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped

    def __call__(self, input_ids: Any, *_: Any, **__: Any) -> Any:
        return torch.full((len(input_ids),), self._stopped(), device=input_ids.device)


def _at(clip: Clip, seconds: Any) -> float:
    return round(min(clip.start + float(seconds), clip.end), 3)
