"""An OpenAI chat body → what the engine is asked for. Everything is honoured or refused.

Three tables say what becomes of a field: HONOURED is read below, INERT cannot change the answer
and is accepted whatever it says, NEUTRAL is accepted at the values that ask for nothing. All
else, unknown names included, is a 400 with `param`. Null always means "not given".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backends.chat import fields
from backends.chat.shapes import Shape, read_format
from backends.chat.tools import Tools, read_tools
from backends.contract.errors import InvalidRequest

HONOURED = frozenset({
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens",
    "max_completion_tokens", "stop", "seed", "n", "logprobs", "top_logprobs", "logit_bias",
    "presence_penalty", "frequency_penalty", "response_format", "tools", "tool_choice",
    "parallel_tool_calls",
})  # fmt: skip
INERT = frozenset({
    "user", "metadata", "safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention",
})  # fmt: skip
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "store": (False,),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "audio": (),
    "prediction": (),
    "moderation": (),
    "web_search_options": (),
}
# Each choice is a generator with a cache of its own.
MOST_CHOICES = 16
MOST_ALTERNATIVES = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request. None: the caller left it to the model. `most`: tokens to generate.

    `n`: choices of each prompt. `alternatives`: how many of the likeliest tokens to tell beside
    each chosen one; None tells no probabilities at all. `prompts`: plain texts to continue
    instead of `messages`; with `echo` the answer begins with them.
    """

    model: str
    messages: Any
    streams: bool = False
    usage_event: bool = False
    temperature: float | None = None
    top_p: float | None = None
    most: int | None = None
    stops: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    alternatives: int | None = None
    bias: Mapping[int, float] = field(default_factory=dict)
    presence: float = 0.0
    frequency: float = 0.0
    shape: Shape | None = None
    tools: Tools | None = None
    prompts: tuple[str, ...] = ()
    echo: bool = False


def read(body: Mapping[str, Any]) -> Asked:
    """Raises InvalidRequest for a field that is refused or a value out of its range; `messages`
    is checked by `messages.read`."""
    fields.decide(body, HONOURED, INERT, NEUTRAL)
    # `max_tokens` is the deprecated name: where a caller sends both, the new one counts.
    old = fields.whole(body, "max_tokens", least=1)
    new = fields.whole(body, "max_completion_tokens", least=1)
    return Asked(
        messages=body.get("messages"),
        most=old if new is None else new,
        n=fields.whole(body, "n", 1, MOST_CHOICES) or 1,
        alternatives=_alternatives(body),
        shape=read_format(body.get("response_format")),
        tools=read_tools(body),
        **sampling(body),
    )


def sampling(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Asked` that chat and completions spell alike."""
    streams = fields.flag(body, "stream")
    return {
        "model": str(body.get("model") or ""),
        "streams": streams,
        "usage_event": fields.usage_event(body.get("stream_options"), streams),
        "temperature": fields.number(body, "temperature", 0, 2),
        "top_p": fields.number(body, "top_p", 0, 1),
        "stops": fields.stops(body.get("stop")),
        "seed": fields.whole(body, "seed"),
        "bias": fields.bias(body.get("logit_bias")),
        "presence": fields.number(body, "presence_penalty", -2, 2) or 0.0,
        "frequency": fields.number(body, "frequency_penalty", -2, 2) or 0.0,
    }


def _alternatives(body: Mapping[str, Any]) -> int | None:
    told = fields.flag(body, "logprobs")
    most = fields.whole(body, "top_logprobs", 0, MOST_ALTERNATIVES)
    if most and not told:
        raise InvalidRequest("'top_logprobs' is only allowed with 'logprobs'", param="top_logprobs")
    return (most or 0) if told else None
