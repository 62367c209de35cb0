"""What one request wants of every clip, and what a Whisper must be able to say of itself."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from backends.contract.errors import InvalidRequest
from backends.contract.results import Segment
from backends.contract.tasks import TranscribeTask

if TYPE_CHECKING:
    from backends.whisper.clips import Clip, Sound

# Half of what the decoder can hold is for what was said before; keywords may have half of that.
MOST_PROMPT = 223
MOST_KEYWORDS = 111
MOST_PADDING_S = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """`language` is empty until the sound has told it. `temperature` 0: as sure as can be."""

    language: str
    translate: bool
    prompt: str | None
    keywords: str | None
    temperature: float
    words: bool
    logprobs: bool


class Model(Protocol):
    """Blocking; may be asked by several threads at once."""

    @property
    def translates(self) -> bool: ...

    @property
    def tells_logprobs(self) -> bool: ...

    def languages(self) -> list[str]: ...

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text begins and ends in it. Control tokens in it are plain text."""
        ...

    def warm(self) -> None:
        """The whole way once, over a second of nothing. Raises RuntimeError when it does not compute."""
        ...

    def language(self, sound: "Sound", among: Collection[str]) -> str:
        """What is most probably spoken, of `among` or of all languages."""
        ...

    def hear(
        self, clips: "Sequence[Clip]", asked: Asked, stopped: Callable[[], bool]
    ) -> list[tuple[Segment, ...]]:
        """The segments of each clip, in seconds of the file. Ends early, with what there is, when
        `stopped` says so."""
        ...


def asked(task: TranscribeTask, model: Model) -> Asked:
    """Raises InvalidRequest for what the model cannot honour."""
    languages = [language.lower() for language in task.languages]
    unknown = sorted({*languages}.difference(model.languages()))
    if unknown:
        which = "languages" if len(languages) > 1 else "language"
        raise InvalidRequest(f"this model does not know the language {unknown[0]!r}", param=which)
    if task.to is not None and not model.translates:
        raise InvalidRequest("this model knows English alone and does not translate", param="model")
    if task.logprobs and not model.tells_logprobs:
        raise InvalidRequest("this model does not tell the probabilities of tokens", param="include")
    if task.vad is not None and task.vad.padding_s > MOST_PADDING_S:
        raise InvalidRequest(
            f"more than {MOST_PADDING_S:g} s of padding would leave no room for speech",
            param="chunking_strategy",
        )
    prompt, keywords = _guide(task.prompt, task.keywords, model)
    return Asked(
        language=languages[0] if len(languages) == 1 else "",
        translate=task.to is not None,
        prompt=prompt,
        keywords=keywords,
        temperature=task.temperature,
        words=task.words,
        logprobs=task.logprobs,
    )


def _guide(prompt: str | None, keywords: Sequence[str], model: Model) -> tuple[str | None, str | None]:
    """(prompt, keywords) as they fit: of a long prompt its end, as OpenAI does."""
    expected = ", ".join(keywords) or None
    taken = len(model.offsets(f" {expected}")) if expected else 0
    if taken > MOST_KEYWORDS:
        raise InvalidRequest(
            f"these are {taken} tokens of keywords; this model takes {MOST_KEYWORDS}", param="keywords"
        )
    if prompt and (prompt := prompt.strip()):
        offsets = model.offsets(f" {prompt}")
        if len(offsets) > MOST_PROMPT - taken:
            prompt = f" {prompt}"[offsets[taken - MOST_PROMPT][0] :].strip()
    return prompt or None, expected
