"""A body on its way to vLLM: it goes as it came, unless vLLM would ignore a part in silence.

vLLM takes any field and drops those it does not know. What it knows is in its own schema, read once
it serves; the rest is refused here. Null always means "not given".
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from backends.contract.errors import InvalidRequest
from backends.contract.tasks import Surface
from backends.vllm import inside

# These cannot change an answer, whatever they say.
_INERT = frozenset({
    "user", "metadata", "safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention",
})  # fmt: skip
# vLLM's own. Between its instances: a caller could make it fetch from where they like. Of how media are
# decoded: how many frames and pixels. Tensors, which it reads as torch does. For its
# renderer alone, and ignored elsewhere. And what `x-request-id` says in every answer.
WITHHELD = frozenset({
    "kv_transfer_params", "ec_transfer_params", "mm_payload", "return_mm_kwargs", "return_token_offsets",
    "request_id", "previous_input_messages", "media_io_kwargs", "mm_processor_kwargs", "prompt_embeds",
})  # fmt: skip
STREAM_OPTIONS = frozenset({"include_usage", "continuous_usage_stats"})
# How little a model is to think that does not.
EFFORTLESS = ("none",)


@dataclass(frozen=True, slots=True)
class Fields:
    """An endpoint of vLLM's. `schemas`: the names of its bodies; where there are two, the second is
    the one with `messages`. `prompt`: the field that errors about its length name. Of OpenAI's
    fields: `honoured` ones vLLM acts on; `inert` ones cannot change an answer; `neutral` ones it does
    not have, each with the values that ask for nothing. `inside` looks into the fields' values."""

    path: str
    schemas: tuple[str, ...]
    prompt: str
    honoured: frozenset[str]
    inert: frozenset[str] = _INERT
    neutral: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    inside: Callable[[Mapping[str, Any]], None] | None = None


SURFACES: Mapping[Surface, Fields] = {
    "chat": Fields(
        "/v1/chat/completions",
        ("ChatCompletionRequest",),
        "messages",
        frozenset({
            "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages",
            "model", "n", "parallel_tool_calls", "presence_penalty", "reasoning_effort", "response_format",
            "seed", "stop", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs",
            "top_p",
        }),
        neutral={
            "store": (False,), "modalities": (["text"],), "functions": ([],),
            "function_call": ("none", "auto"), "verbosity": ("medium",), "audio": (), "prediction": (),
            "moderation": (), "web_search_options": (),
        },
        inside=inside.chat,
    ),
    "completions": Fields(
        "/v1/completions",
        ("CompletionRequest",),
        "prompt",
        frozenset({
            "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "model", "n",
            "presence_penalty", "prompt", "seed", "stop", "stream", "stream_options", "suffix", "temperature",
            "top_p",
        }),
        inert=frozenset({"user"}),
        inside=inside.completions,
    ),
    "responses": Fields(
        "/v1/responses",
        ("ResponsesRequest",),
        "input",
        frozenset({
            "include", "input", "instructions", "max_output_tokens", "model", "parallel_tool_calls",
            "reasoning", "stream", "stream_options", "temperature", "text", "tool_choice", "tools",
            "top_logprobs", "top_p", "truncation",
        }),
        # Tools that a server would call itself are refused, so there is nothing to count.
        inert=_INERT | {"max_tool_calls"},
        neutral={
            "store": (False,), "background": (False,), "previous_response_id": (), "conversation": (),
            "prompt": (), "context_management": ([],), "moderation": (), "access_programs": (),
            "background_options": (), "image": (),
        },
        inside=inside.responses,
    ),
    "tokenize": Fields(
        "/tokenize",
        ("TokenizeCompletionRequest", "TokenizeChatRequest"),
        "prompt",
        frozenset(),
        frozenset(),
        inside=inside.tokens,
    ),
    "detokenize": Fields("/detokenize", ("DetokenizeRequest",), "tokens", frozenset(), frozenset()),
}  # fmt: skip
# Fields that vLLM's schemas do not name, and that are honoured all the same: here.
_OURS = frozenset({"best_of", "stream_options"})


def check(one: Fields, body: Mapping[str, Any], known: Set[str], *, thinks: bool = True) -> None:
    """`known`: the fields in vLLM's schema of this body. `thinks`: the model's template has an effort
    of reasoning. Raises InvalidRequest with `param`."""
    for name, value in body.items():
        if value is None or name in one.inert:
            continue
        if name in one.neutral:
            if not any(value == fine and type(value) is type(fine) for fine in one.neutral[name]):
                raise InvalidRequest(f"'{name}' is not supported by this model with this value", param=name)
        elif name in WITHHELD or (name not in known and not (name in _OURS and name in one.honoured)):
            raise InvalidRequest(f"Unknown field: '{name}'", param=name)
    _check_stream_options(body.get("stream_options"), counts=one.prompt != "input")
    if not thinks:
        _check_effort(body)
    if one.inside is not None:
        one.inside(body)


def check_tokens(ids: Sequence[int], vocabulary: int | None) -> None:
    """vLLM reads ids that are none of its tokens as no text at all."""
    for number, token in enumerate(ids):
        if vocabulary is not None and token >= vocabulary:
            at = f"tokens[{number}]"
            raise InvalidRequest(f"'{at}': this model has {vocabulary:,} tokens", param=at)


def sent(surface: Surface, body: Mapping[str, Any]) -> dict[str, Any]:
    """What vLLM is given: less what asks for nothing, as a null there is not always no field at all.
    Of a stream it counts the tokens; of a response it keeps nothing."""
    neutral = SURFACES[surface].neutral
    kept = {name: value for name, value in body.items() if value is not None and name not in neutral}
    if surface == "responses":
        kept.pop("stream_options", None)
        return {**kept, "store": False}
    kept.pop("best_of", None)
    if kept.get("suffix") == "":
        del kept["suffix"]
    return with_usage(kept) if kept.get("stream") else kept


def usage_shown(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def with_usage(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a stream, asking for the event that counts its tokens. Where the caller did not
    ask, it is the only event with usage, so that it alone has to be taken out again."""
    if usage_shown(body):
        return dict(body)
    options = {key: value for key, value in (body.get("stream_options") or {}).items() if value is not None}
    return {**body, "stream_options": {**options, "include_usage": True, "continuous_usage_stats": False}}


def _check_stream_options(options: Any, *, counts: bool) -> None:
    """`counts`: there are options of usage; a response always ends with it."""
    if not isinstance(options, dict):
        return  # vLLM refuses what is neither null nor an object
    for name, value in options.items():
        at, ours = f"stream_options.{name}", counts and name in STREAM_OPTIONS
        # `include_obfuscation` false is what this server does: it never pads its chunks.
        if not ours and value is not None and (name, value) != ("include_obfuscation", False):
            raise InvalidRequest(f"'{at}' is not supported by this model", param=at)
        if ours and value is not None and not isinstance(value, bool):
            raise InvalidRequest(f"'{at}' must be true or false", param=at)


def _check_effort(body: Mapping[str, Any]) -> None:
    reasoning = body.get("reasoning")
    inner = reasoning.get("effort") if isinstance(reasoning, dict) else None
    for at, effort in (("reasoning_effort", body.get("reasoning_effort")), ("reasoning.effort", inner)):
        if effort is not None and effort not in EFFORTLESS:
            raise InvalidRequest(f"'{at}': this model's template knows no effort", param=at)
