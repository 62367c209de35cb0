"""OpenAI's token ids → texts: clients that count by them (LangChain) send them instead of strings.

They are ids of `cl100k_base`, which ships with Motley, and never a model's own. Nothing is downloaded.
"""

import asyncio
import base64
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiktoken import Encoding

Ids = list[int]
Texts = list[str] | list[Ids]

_RANKS = 100_256
# Named in texts only by those who mean the name: it is what they are read as.
_SPECIAL = {
    "<|endoftext|>": 100_257,
    "<|fim_prefix|>": 100_258,
    "<|fim_middle|>": 100_259,
    "<|fim_suffix|>": 100_260,
    "<|endofprompt|>": 100_276,
}


def stranger(ids: Ids) -> int | None:
    """Where the first id stands that the vocabulary has not; None where it has all."""
    if min(ids, default=0) >= 0 and max(ids, default=0) < _RANKS:
        return None
    known = _SPECIAL.values()
    return next((at for at, one in enumerate(ids) if not 0 <= one < _RANKS and one not in known), None)


class Vocabulary:
    """Read on first use, in a thread: half a second and 40 MB that most doors never spend."""

    async def texts(self, given: Texts) -> tuple[str, ...]:
        """Strings as they are, ids decoded. All ids must be known (`stranger`). Bytes that are no UTF-8,
        as where a character was cut in two, become U+FFFD."""
        if all(isinstance(one, str) for one in given):
            return tuple(one for one in given if isinstance(one, str))
        return await asyncio.to_thread(self._decoded, given)

    def _decoded(self, given: Sequence[str | Ids]) -> tuple[str, ...]:
        return tuple(one if isinstance(one, str) else self._encoding.decode(one) for one in given)

    @cached_property
    def _encoding(self) -> "Encoding":
        import tiktoken

        # tiktoken's own reader of such files leaves copies of them in the temporary folder.
        lines = Path(__file__).with_name("cl100k_base.tiktoken").read_bytes().splitlines()
        ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
        # The pattern says how texts are split to be encoded, which nobody does here.
        return tiktoken.Encoding("cl100k_base", pat_str=".+", mergeable_ranks=ranks, special_tokens=_SPECIAL)
