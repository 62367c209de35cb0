"""Documents of a remote server → the contract's results."""

import array
import base64
import binascii
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from backends.contract.errors import EngineFailed, InvalidRequest
from backends.contract.languages import CODES
from backends.contract.results import Heard, Logprob, Segment, Usage, Word


def document(raw: bytes) -> dict[str, Any]:
    """A JSON object that is no error. Raises EngineFailed for anything else."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise EngineFailed("the remote server's answer is not JSON") from None
    if not isinstance(found, dict) or found.get("error"):
        raise EngineFailed("the remote server failed while it answered")
    return found


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """What a remote server counted, None where it did not."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt = usage.get("prompt_tokens", usage.get("total_tokens"))
    return Usage(
        *(count if isinstance(count, int) else 0 for count in (prompt, usage.get("completion_tokens")))
    )


def heard(answer: Mapping[str, Any], language: str | None, *, logprobs: bool = False) -> Heard:
    """`verbose_json`, or `json` with its text alone. `language`: as the caller gave it.

    A server that says neither a duration nor times leaves the position at 0. Raises InvalidRequest
    (`include`) where `logprobs` are wanted and not there.
    """
    words = tuple(
        Word(word["word"], float(word["start"]), float(word["end"])) for word in answer.get("words") or ()
    )
    segments = tuple(_segment(one) for one in answer.get("segments") or ())
    text = answer.get("text") or ""
    last = max((*(one.end for one in segments), *(one.end for one in words)), default=0.0)
    usage = answer.get("usage")
    counted = usage.get("seconds") if isinstance(usage, dict) else None
    position = float(answer.get("duration") or counted or last)
    if not segments and (text or words):
        segments = (Segment(0.0, position, text, logprobs=_logprobs(answer) if logprobs else ()),)
    return Heard(position, _with_words(segments, words), language or _code(answer.get("language")))


def _logprobs(answer: Mapping[str, Any]) -> tuple[Logprob, ...]:
    told = answer.get("logprobs")
    if not told:
        raise InvalidRequest("this model gives no probabilities of tokens", param="include")
    return tuple(Logprob(one["token"], float(one["logprob"])) for one in told)


def _segment(one: Mapping[str, Any]) -> Segment:
    return Segment(
        float(one["start"]),
        float(one["end"]),
        one["text"],
        tokens=tuple(one.get("tokens") or ()),
        temperature=one.get("temperature"),
        avg_logprob=one.get("avg_logprob"),
        compression_ratio=one.get("compression_ratio"),
        no_speech_prob=one.get("no_speech_prob"),
    )


def _with_words(segments: Sequence[Segment], words: Sequence[Word]) -> tuple[Segment, ...]:
    """Each word to the first segment that ends after the word's middle, else to the last."""
    kept: list[list[Word]] = [[] for _ in segments]
    for word in words:
        middle = (word.start + word.end) / 2
        at = next((number for number, one in enumerate(segments) if middle <= one.end), len(segments) - 1)
        kept[at].append(word)
    return tuple(replace(one, words=tuple(mine)) for one, mine in zip(segments, kept, strict=True))


def _code(language: Any) -> str | None:
    """`english` or `en` → `en`."""
    if not isinstance(language, str):
        return None
    name = language.lower().replace("_", " ")
    return CODES.get(name, name if 2 <= len(name) <= 3 else None)


def vectors(answer: Mapping[str, Any], count: int, dimensions: int | None) -> tuple[bytes, int]:
    """(`count` rows of little-endian float32 in the order of the inputs, the width of a row).

    Raises InvalidRequest (`dimensions`) where the server ignored them, EngineFailed for rows that
    are missing or of different widths.
    """
    rows = {item["index"]: _row(item["embedding"]) for item in answer.get("data") or ()}
    widths = {len(row) // 4 for row in rows.values()}
    if rows.keys() != set(range(count)) or len(widths) != 1:
        raise EngineFailed("the remote server's vectors are not one for each text")
    [width] = widths
    if dimensions not in (None, width):
        raise InvalidRequest(f"this model's vectors have {width} dimensions, always", param="dimensions")
    return b"".join(rows[index] for index in range(count)), width


def _row(embedding: Any) -> bytes:
    """Base64 as it was asked for, or the numbers that some servers send regardless."""
    if isinstance(embedding, str):
        try:
            row = base64.b64decode(embedding, validate=True)
        except binascii.Error:
            row = b""
        if not row or len(row) % 4:
            raise EngineFailed("the remote server's vectors are not base64 of float32")
        return row
    numbers = array.array("f", embedding)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def scores(answer: Mapping[str, Any], count: int, *, logits: bool) -> tuple[float, ...]:
    """Jina's `results`, or Cohere's: one score in 0…1 per document, in the order they were given.
    `logits`: the server's scores are such, and are mapped by the logistic function.

    Raises EngineFailed for scores that are missing or out of range.
    """
    found = {item["index"]: float(item["relevance_score"]) for item in answer.get("results") or ()}
    if found.keys() != set(range(count)):
        raise EngineFailed("the remote server's scores are not one for each document")
    if logits:
        found = {index: _logistic(score) for index, score in found.items()}
    if not all(0 <= score <= 1 for score in found.values()):
        raise EngineFailed("the remote server's scores are not in 0…1: `scores: logits` maps them")
    return tuple(found[index] for index in range(count))


def _logistic(score: float) -> float:
    # Written so that neither end overflows.
    return 0.5 * (1 + math.tanh(score / 2))


def rerank_tokens(answer: Mapping[str, Any]) -> int:
    """Jina counts in `usage`, Cohere in `meta.tokens`; 0 where neither does."""
    counted = usage_of(answer)
    if counted is not None:
        return counted.prompt_tokens
    meta = answer.get("meta")
    tokens = meta.get("tokens") if isinstance(meta, dict) else None
    count = tokens.get("input_tokens") if isinstance(tokens, dict) else None
    return int(count) if isinstance(count, int | float) else 0
