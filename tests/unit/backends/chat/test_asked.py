"""Every field is honoured, harmless, or refused with its name."""

import pytest
from openai.types.chat import completion_create_params

from backends.chat import asked
from backends.contract.errors import InvalidRequest

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}

REFUSED = {
    "store": True,
    "functions": [{"name": "f"}],
    "function_call": {"name": "f"},
    "modalities": ["text", "audio"],
    "reasoning_effort": "low",
    "verbosity": "high",
    "audio": {"voice": "alloy", "format": "wav"},
    "prediction": {"type": "content", "content": "x"},
    "moderation": {"model": "x"},
    "web_search_options": {},
}


@pytest.mark.parametrize("field", REFUSED)
def test_what_cannot_be_done_is_refused_by_name(field):
    with pytest.raises(InvalidRequest) as refusal:
        asked.read({**BODY, field: REFUSED[field]})
    assert refusal.value.param == field


def test_the_refusals_above_are_all_there_are():
    assert set(REFUSED) == set(asked.NEUTRAL)


def test_every_field_of_openai_has_been_decided_upon():
    openai = set(completion_create_params.CompletionCreateParamsBase.__annotations__) | {"stream"}
    assert openai <= asked.HONOURED | asked.INERT | set(asked.NEUTRAL)


@pytest.mark.parametrize("field", sorted(asked.NEUTRAL))
def test_values_that_ask_for_nothing_pass(field):
    for value in (None, *asked.NEUTRAL[field]):
        assert asked.read({**BODY, field: value}) == asked.read(BODY)


@pytest.mark.parametrize("field", sorted(asked.INERT))
def test_fields_that_cannot_change_the_answer_pass(field):
    assert asked.read({**BODY, field: "anything"}) == asked.read(BODY)


@pytest.mark.parametrize("field", ["top_k", "guided_json", "temprature"])
def test_unknown_fields_are_refused_by_name(field):
    with pytest.raises(InvalidRequest) as refusal:
        asked.read({**BODY, field: 1})
    assert refusal.value.param == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", True),
        ("n", 0),
        ("n", 17),
        ("top_logprobs", 2),
        ("logit_bias", {"a": 1}),
        ("logit_bias", {"-1": 1}),
        ("logit_bias", {"5": 101}),
        ("logit_bias", [5]),
        ("presence_penalty", 2.1),
        ("frequency_penalty", "1"),
        ("parallel_tool_calls", "no"),
        ("response_format", "json"),
        ("tools", {}),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("logprobs", 0),
        ("presence_penalty", False),
        ("stream", "yes"),
        ("stream_options", {"include_usage": True}),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", True),
        ("temperature", "1"),
        ("temperature", float("nan")),
        ("top_p", 1.1),
        ("top_p", -0.1),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("max_completion_tokens", -1),
        ("max_completion_tokens", True),
        ("seed", 1.0),
        ("seed", "1"),
        ("stop", ""),
        ("stop", ["a", ""]),
        ("stop", ["a", 1]),
        ("stop", list("abcde")),
        ("stop", {"a": 1}),
    ],
)
def test_values_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(InvalidRequest) as refusal:
        asked.read({**BODY, field: value})
    assert refusal.value.param == field


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"include_obfuscation": True}, "stream_options.include_obfuscation"),
        ({"include_usage": 1}, "stream_options.include_usage"),
        ({"more": 1}, "stream_options.more"),
        ([], "stream_options"),
    ],
)
def test_stream_options_are_refused_one_by_one(options, param):
    with pytest.raises(InvalidRequest) as refusal:
        asked.read({**BODY, "stream": True, "stream_options": options})
    assert refusal.value.param == param


def test_what_is_honoured_is_read():
    options = {"include_usage": True, "include_obfuscation": False}
    read = asked.read(
        {
            **BODY,
            "stream": True,
            "stream_options": options,
            "temperature": 0,
            "top_p": 1,
            "seed": -7,
            "stop": "a",
        }
    )
    assert read.streams
    assert read.usage_event
    assert (read.temperature, read.top_p, read.seed, read.stops) == (0.0, 1.0, -7, ("a",))


def test_what_steers_and_tells_is_read():
    read = asked.read(
        {
            **BODY,
            "n": 3,
            "logprobs": True,
            "top_logprobs": 2,
            "logit_bias": {"5": -100},
            "presence_penalty": 1,
            "frequency_penalty": -1,
        }
    )
    assert (read.n, read.alternatives, read.bias, read.presence, read.frequency) == (3, 2, {5: -100.0}, 1, -1)
    assert asked.read({**BODY, "logprobs": True}).alternatives == 0
    assert asked.read({**BODY, "logprobs": False, "top_logprobs": 0}).alternatives is None


def test_of_the_two_token_limits_the_new_name_counts():
    assert asked.read({**BODY, "max_tokens": 5}).most == 5
    assert asked.read({**BODY, "max_tokens": 5, "max_completion_tokens": 9}).most == 9
