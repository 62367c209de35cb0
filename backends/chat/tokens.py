"""`/tokenize` and `/detokenize`, in vLLM's shapes: what a text is to a model, and back.

A conversation is counted as `chat` would read it, its tools too; a prompt as `completions` would.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from backends.chat import fields
from backends.chat.tools import Tools, read_tools
from backends.contract.errors import InvalidRequest

OF_TEXT = frozenset({"model", "prompt", "add_special_tokens", "return_token_strs"})
OF_CHAT = frozenset({
    "model", "messages", "tools", "add_generation_prompt", "add_special_tokens", "return_token_strs",
})  # fmt: skip
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "continue_final_message": (False,),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "media_io_kwargs": ({},),
    "mm_processor_kwargs": ({},),
}


class Model(Protocol):
    """What knows the tokens. Blocks."""

    window: int

    def encode(self, text: str) -> list[int]: ...

    def prompt(self, raw: Any, tools: Tools | None = None, *, opens: bool = True) -> Any: ...

    def spell(self, token: int) -> bytes: ...

    @property
    def vocabulary(self) -> int: ...


def tokenize(body: Mapping[str, Any], model: Model) -> bytes:
    """The document. Raises InvalidRequest for a field that is refused or a value out of its range."""
    spelt = fields.flag(body, "return_token_strs")
    if body.get("messages") is None:
        fields.decide(body, OF_TEXT, frozenset(), {})
        _check_special(body, model)
        tokens = model.encode(fields.text(body.get("prompt"), "prompt"))
    else:
        fields.decide(body, OF_CHAT, frozenset(), NEUTRAL)
        _check_special(body, model)
        opens = fields.flag(body, "add_generation_prompt", default=True)
        tokens = [int(token) for token in model.prompt(body["messages"], read_tools(body), opens=opens)]
    strings = [model.spell(token).decode(errors="replace") for token in tokens] if spelt else None
    told = {"count": len(tokens), "max_model_len": model.window, "tokens": tokens, "token_strs": strings}
    return orjson.dumps(told)


def detokenize(body: Mapping[str, Any], model: Model) -> bytes:
    """The document. Raises InvalidRequest with a `param` such as `tokens[3]`."""
    fields.decide(body, frozenset({"model", "tokens"}), frozenset(), {})
    tokens = body.get("tokens")
    if not isinstance(tokens, list):
        raise InvalidRequest("'tokens' must be a list of token ids", param="tokens")
    for number, token in enumerate(tokens):
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < model.vocabulary:
            at = f"tokens[{number}]"
            raise InvalidRequest(f"'{at}' must be below {model.vocabulary:,}, the model's tokens", param=at)
    text = b"".join(map(model.spell, tokens)).decode(errors="replace")
    return orjson.dumps({"prompt": text})


def _check_special(body: Mapping[str, Any], model: Model) -> None:
    """Whether a tokenizer adds tokens of its own is a matter of its files: where it does, it does so
    for every prompt."""
    wanted = fields.flag(body, "add_special_tokens", default=True)
    if not wanted and model.encode(""):
        raise InvalidRequest("this model's tokenizer always adds its own tokens", param="add_special_tokens")
