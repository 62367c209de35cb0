"""Tokens that stand for images and sounds in a prompt. The template writes one where such a part is; one in a
caller's text would be taken for a picture that is not there, and has ended vLLM (CVE-2026-44222)."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backends.contract.errors import InvalidRequest

MEDIA = re.compile(r"image|img|video|vision|audio|speech", re.IGNORECASE)


class Placeholders:
    """Of the model in a folder. There are none where it takes no media, by its config: its tokenizer may have
    such tokens all the same, which nothing is put in the place of."""

    def __init__(self, folder: Path) -> None:
        takes = any(MEDIA.search(name) for name in _read(folder / "config.json"))
        self._tokens = dict(_added(folder)) if takes else {}
        self._written = [
            json.dumps(text, ensure_ascii=False)[1:-1].encode() for text in self._tokens.values()
        ]

    def check(self, body: Mapping[str, Any], written: bytes) -> None:
        """`written`: the body as JSON. Raises InvalidRequest with `param`."""
        ids = self._tokens and isinstance(body.get("prompt"), list)
        if not ids and not any(text in written for text in self._written):
            return
        for at, value in _leaves(body, ""):
            if self._is_one(value) if at.startswith("prompt[") else self._has_one(value):
                said = f"'{at}' has a token of the model's own, which stands for an image or a sound"
                raise InvalidRequest(said, param=at)

    def _is_one(self, value: Any) -> bool:
        return value in self._tokens or self._has_one(value)

    def _has_one(self, value: Any) -> bool:
        return isinstance(value, str) and any(text in value for text in self._tokens.values())


def _added(folder: Path) -> Iterator[tuple[int, str]]:
    """Ids and texts of what was added to the vocabulary for media."""
    tokens = [(one.get("id"), one) for one in _read(folder / "tokenizer.json").get("added_tokens", ())]
    config = _read(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
    for number, token in (*tokens, *config.items()):
        text = str(token.get("content") or "")
        if MEDIA.search(text):
            yield int(number), text


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _leaves(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    """Where they stand, and names of fields, too."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            inner = f"{at}.{name}" if at else name
            yield at or name, name
            yield from _leaves(item, inner)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{at}[{number}]")
    else:
        yield at, value
