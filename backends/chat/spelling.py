"""The bytes of each token, as a `tokenizer.json` tells them."""

from collections.abc import Mapping
from typing import Any


def spelling(tokenizer: Mapping[str, Any]) -> dict[int, bytes]:
    """Token id → bytes. Empty where the file says nothing of it. Byte-level vocabularies (GPT-2's
    alphabet) and those with `▁` for a space and `<0x0A>` for a byte are known."""
    vocabulary = tokenizer.get("model", {}).get("vocab")
    if not isinstance(vocabulary, dict):
        return {}
    levels = _byte_level() if '"ByteLevel"' in _kinds(tokenizer) else None
    spelt = {number: _spell(word, levels) for word, number in vocabulary.items()}
    for token in tokenizer.get("added_tokens", ()):
        spelt[token["id"]] = token["content"].encode()
    return spelt


def _kinds(tokenizer: Mapping[str, Any]) -> str:
    told = [tokenizer.get("decoder") or {}, tokenizer.get("pre_tokenizer") or {}]
    parts = [*told, *(part for one in told for part in one.get("decoders", one.get("pretokenizers", ())))]
    return " ".join(f'"{part.get("type")}"' for part in parts)


def _spell(word: str, levels: Mapping[str, int] | None) -> bytes:
    if levels is not None:
        return bytes(levels[letter] for letter in word) if levels.keys() >= set(word) else word.encode()
    if len(word) == 6 and word.startswith("<0x") and word.endswith(">"):
        return bytes([int(word[3:5], 16)])
    return word.replace("\u2581", " ").encode()


def _byte_level() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes stand for themselves, the others for letters from U+0100."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {chr(byte): byte for byte in plain}
    others = (byte for byte in range(256) if chr(byte) not in letters)
    return letters | {chr(0x100 + number): byte for number, byte in enumerate(others)}
