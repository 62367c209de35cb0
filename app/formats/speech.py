"""Speech as OpenAI's server-sent events."""

import math
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from app.formats.audio import Format, encode
from backends.contract.results import Pcm

TOKENS_PER_SECOND = 20


async def as_events(
    source: AsyncGenerator[Pcm, None], wanted: Format, text: str
) -> AsyncGenerator[bytes, None]:
    """`speech.audio.delta` with base64 of what `encode` makes, as it is made; `speech.audio.done`.

    The parts joined are the file. Speech models have no tokenizer in common, so that usage counts
    what can be counted of any: input tokens are characters of `text`, output tokens twentieths of a
    second of speech.
    """
    seconds = 0.0

    async def counted() -> AsyncGenerator[Pcm, None]:
        nonlocal seconds
        async with aclosing(source):
            async for piece in source:
                seconds += piece.seconds
                yield piece

    async with aclosing(encode(counted(), wanted)) as encoded:
        async for made in encoded:
            yield _event({"type": "speech.audio.delta", "audio": b64encode(made).decode()})
    asked, told = len(text), math.ceil(round(seconds * TOKENS_PER_SECOND, 6))
    usage = {"input_tokens": asked, "output_tokens": told, "total_tokens": asked + told}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"
