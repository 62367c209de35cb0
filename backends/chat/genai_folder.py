"""What an ONNX GenAI folder says of itself, read without the package that runs it."""

import hashlib
from pathlib import Path
from typing import Any

import orjson

from backends.contract.errors import InvalidRequest

CONFIG = "genai_config.json"


class GenAIFolder:
    """Raises InvalidRequest (`param="source"`) for a folder that is no ONNX GenAI model."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            config = orjson.loads((path / CONFIG).read_bytes())
        except OSError:
            raise InvalidRequest(f"the model's folder holds no {CONFIG}", param="source") from None
        except orjson.JSONDecodeError:
            raise InvalidRequest(f"the model's {CONFIG} is not JSON", param="source") from None
        if not isinstance(config, dict) or not config.get("model", {}).get("context_length"):
            raise InvalidRequest(f"the model's {CONFIG} states no context length", param="source")
        self._model: dict[str, Any] = config["model"]
        self.search: dict[str, Any] = config.get("search", {})

    def window(self, most: int | None) -> int:
        """The context length in tokens: the model's own, or `most` where that is less."""
        own = int(self._model["context_length"])
        return min(own, most or own)

    @property
    def weights_bytes(self) -> int:
        return sum(f.stat().st_size for f in self._path.iterdir() if f.suffix in (".onnx", ".data"))

    @property
    def cache_bytes_per_token(self) -> int:
        """Keys and values of all layers, at 4 bytes a number (2 where the model computes in fp16)."""
        decoder = self._model.get("decoder", {})
        layers, heads = decoder.get("num_hidden_layers", 0), decoder.get("num_key_value_heads", 0)
        return int(layers * heads * decoder.get("head_size", 0) * 2 * 4)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return int(self._model.get("vocab_size", 0))

    def tokenizer(self) -> dict[str, Any]:
        """What `tokenizer.json` says; {} where there is none."""
        return self._read("tokenizer.json")

    def control_tokens(self) -> list[str]:
        """The names of the tokens that the tokenizer marks as special."""
        tokens: list[Any] = []
        for name in ("tokenizer.json", "tokenizer_config.json"):
            told = self._read(name)
            tokens += told.get("added_tokens", [])
            tokens += told.get("added_tokens_decoder", {}).values()
        return [token["content"] for token in tokens if token.get("special")]

    def template(self) -> str:
        """The chat template's text, to see what it can show; rendering is the tokenizer's."""
        own = self._path / "chat_template.jinja"
        if own.is_file():
            return own.read_text(encoding="utf-8")
        return str(self._read("tokenizer_config.json").get("chat_template", ""))

    def fingerprint(self) -> str:
        """The same for the same files: names, sizes and settings, without reading the weights."""
        told = sorted((file.name, file.stat().st_size) for file in self._path.iterdir())
        seen = repr(told).encode() + (self._path / CONFIG).read_bytes()
        return "fp_" + hashlib.sha256(seen).hexdigest()[:12]

    def _read(self, name: str) -> dict[str, Any]:
        path = self._path / name
        told = orjson.loads(path.read_bytes()) if path.is_file() else {}
        return told if isinstance(told, dict) else {}
