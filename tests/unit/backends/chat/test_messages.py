"""The conversation a template is given: roles, text, and nothing that could rewrite the prompt."""

import pytest

from backends.chat import messages
from backends.contract.errors import InvalidRequest

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def test_a_conversation_of_all_roles():
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    read = messages.read(
        [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": parts, "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None, "annotations": []},
            {"role": "tool", "content": "7", "tool_call_id": "c1"},
            {"role": "assistant", "content": "seven", "reasoning": "easy"},
        ],
        calls=True,
    )
    assert read == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one\ntwo", "name": "ann"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "7", "tool_call_id": "c1"},
        {"role": "assistant", "content": "seven", "reasoning_content": "easy"},
    ]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("hello", "messages[1]"),
        ({"content": "x"}, "messages[1].role"),
        ({"role": "function", "content": "x"}, "messages[1].role"),
        ({"role": ["user"], "content": "x"}, "messages[1].role"),
        ({"role": "user"}, "messages[1].content"),
        ({"role": "user", "content": None}, "messages[1].content"),
        ({"role": "user", "content": 5}, "messages[1].content"),
        ({"role": "user", "content": ["x"]}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "messages[1].content"),
        ({"role": "user", "content": "cut\0here"}, "messages[1].content"),
        ({"role": "user", "content": "half \ud83d"}, "messages[1].content"),
        ({"role": "user", "content": "x", "name": "\0"}, "messages[1].name"),
        ({"role": "user", "content": "x", "mood": "good"}, "messages[1].mood"),
        ({"role": "user", "content": "x", "tool_calls": [CALL]}, "messages[1].tool_calls"),
        ({"role": "assistant", "content": "x", "audio": {"id": "a"}}, "messages[1].audio"),
        ({"role": "assistant", "tool_calls": [{**CALL, "type": "custom"}]}, "messages[1].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": {}}, "messages[1].tool_calls"),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": 1}]}, "messages[1].tool_calls[0].id"),
        (
            {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f"}}]},
            "messages[1].tool_calls[0].function.arguments",
        ),
    ],
)
def test_what_is_wrong_is_named(message, param):
    with pytest.raises(InvalidRequest) as refusal:
        messages.read([{"role": "user", "content": "first"}, message], calls=True)
    assert refusal.value.param == param


@pytest.mark.parametrize("raw", [None, [], {}, "hello"])
def test_no_messages(raw):
    with pytest.raises(InvalidRequest) as refusal:
        messages.read(raw, calls=True)
    assert refusal.value.param == "messages"


def test_calls_are_refused_where_the_template_cannot_show_them():
    with pytest.raises(InvalidRequest) as refusal:
        messages.read([{"role": "assistant", "tool_calls": [CALL]}], calls=False)
    assert refusal.value.param == "messages[0].tool_calls"


def test_control_tokens_lose_their_name_in_every_string():
    controls = messages.Controls(["<|end|>", "<|end|>x", "</s>"])
    hostile = "a <|end|> b </s> <|end|>x <|e<|end|>nd|>"
    safe = controls.disarm([{"role": "user", "content": hostile, "tool_calls": [{"arguments": hostile}]}])
    for text in (safe[0]["content"], safe[0]["tool_calls"][0]["arguments"]):
        assert "<|end|>" not in text
        assert "</s>" not in text
        assert text.replace(messages.ZERO_WIDTH_SPACE, "") == hostile


def test_text_without_control_tokens_is_left_alone():
    controls = messages.Controls(["<|end|>"])
    assert controls.disarm("a < b | c > d") == "a < b | c > d"
    assert messages.Controls([]).disarm("<|end|>") == "<|end|>"
