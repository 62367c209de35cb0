"""Texts → tokens → padded batches. Imports tokenizers and numpy only where it is used."""

import os
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

    Ids = NDArray[np.int64]


class Tokens:
    """What a model reads at once: a text, or two. `types`: 1 where the second is, for models that want to
    know; None for a single text."""

    __slots__ = ("ids", "types")

    def __init__(self, encoding: "Encoding", *, pair: bool) -> None:
        self.ids = array("i", encoding.ids)
        self.types = array("i", encoding.type_ids) if pair else None

    def __len__(self) -> int:
        return len(self.ids)


class Reader:
    """A tokenizer, and how long what it reads may be. `most`: tokens, with the special ones.

    `pairs`: what it encodes is to be put into pairs, so it is left bare.
    """

    def __init__(self, tokenizer: "Tokenizer", most: int, *, pairs: bool, lower: bool) -> None:
        # Else every text batch wakes a thread per core.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self.most, self.pairs, self.lower = most, pairs, lower
        self.pad: int = (tokenizer.padding or {}).get("pad_id", 0)
        tokenizer.no_padding()  # files carry the settings of the day they were saved,
        tokenizer.no_truncation()  # and silent truncation would miscount
        self.specials = tokenizer.num_special_tokens_to_add(pairs)
        self._tokenizer = tokenizer

    @property
    def room(self) -> int:
        """Tokens beside the special ones."""
        return self.most - self.specials

    @property
    def reach(self) -> int:
        """Characters worth reading: no need to tokenise a megabyte to see that it is too long."""
        return self.most * 64

    def encode(self, texts: Sequence[str]) -> list[Any]:
        """Raises TypeError where one of them is not Unicode."""
        return self._tokenizer.encode_batch_fast(texts, add_special_tokens=not self.pairs)

    def whole(self, text: str) -> Any:
        (encoding,) = self.encode([text])
        return encoding

    def cut(self, text: str, room: int) -> Tokens:
        """A single text's first `room` tokens, with the special ones around them."""
        (bare,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        bare.truncate(room)
        return Tokens(self._tokenizer.post_process(bare), pair=False)

    def sample(self) -> Tokens:
        """Something short, for a first run."""
        whole = self.whole("warm")
        return self.pair(whole, whole) if self.pairs else Tokens(whole, pair=False)

    def pair(self, first: Any, second: Any) -> Tokens:
        return Tokens(self._tokenizer.post_process(first, second), pair=True)


def padded(items: Sequence[Tokens], pad: int) -> "tuple[Ids, Ids, Ids]":
    """(ids, mask, types) of a batch: an item a row, padded on the right."""
    import numpy as np

    lengths = np.fromiter(map(len, items), np.intp, len(items))
    there = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(there.shape, pad, np.int64)
    ids[there] = np.frombuffer(b"".join([item.ids for item in items]), np.intc)
    types = np.zeros_like(ids)
    if items[0].types is not None:
        types[there] = np.frombuffer(b"".join([item.types or b"" for item in items]), np.intc)
    return ids, there.astype(np.int64), types
