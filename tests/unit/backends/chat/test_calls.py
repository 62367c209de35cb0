"""Calls in a text: the same deltas, joined, wherever the pieces are cut."""

import itertools
import json

import pytest

from backends.chat.calls import CallScanner

NAMES = {"weather", "time"}


def call(name, arguments):
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def scan(pieces):
    """(content, [(name, arguments)])"""
    scanner = CallScanner(NAMES)
    deltas = [delta for piece in pieces for delta in scanner.push(piece)] + scanner.flush()
    content, calls = "", []
    for delta in deltas:
        content += delta.get("content", "")
        for part in delta.get("tool_calls", ()):
            if "id" in part:
                assert part["index"] == len(calls)
                assert part["type"] == "function"
                assert part["function"]["arguments"] == ""
                calls.append([part["function"]["name"], ""])
            else:
                assert part["index"] == len(calls) - 1
                calls[-1][1] += part["function"]["arguments"]
    assert scanner.calls == len(calls)
    return content, [tuple(one) for one in calls]


ODD = '<tool_call>{"arguments": {"city": "Rome"}, "name": "weather"}</tool_call>'


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        ("no call, a < b and <tool", "no call, a < b and <tool", []),
        (call("weather", '{"city": "Rome"}'), "", [("weather", '{"city": "Rome"}')]),
        (f"Let me see.\n{call('time', '{}')}\n", "Let me see.", [("time", "{}")]),
        (
            call("time", "{}") + "\n" + call("weather", '{"a": {"b": ["}", "\\"{"]}}'),
            "",
            [("time", "{}"), ("weather", '{"a": {"b": ["}", "\\"{"]}}')],
        ),
        (ODD, "", [("weather", '{"city":"Rome"}')]),
        # What is no call is content, with nothing lost.
        (call("bomb", "{}"), call("bomb", "{}"), []),
        ("<tool_call>not json</tool_call>", "<tool_call>not json</tool_call>", []),
        (call("time", '"now"'), call("time", '"now"'), []),
        ("<tool_call>\n{broken", "<tool_call>\n{broken", []),
        # Cut at its token limit: what there is of the arguments.
        (call("weather", '{"city": "Rome"}')[:56], "", [("weather", '{"city": "R')]),
    ],
)
def test_calls_do_not_depend_on_where_pieces_end(text, content, calls):
    expected = content.rstrip() if calls else content, calls
    for pieces in ([text], list(text), [text[:7], text[7:20], text[20:]]):
        assert scan(pieces) == expected


def test_arguments_go_out_as_they_are_written():
    text = call("weather", '{"city": "Rome", "days": 3}')
    scanner = CallScanner(NAMES)
    deltas = list(itertools.chain.from_iterable(scanner.push(letter) for letter in text))
    pieces = [part["function"]["arguments"] for delta in deltas for part in delta["tool_calls"]]
    assert pieces[0] == ""
    assert len(pieces) > 20
    assert json.loads("".join(pieces)) == {"city": "Rome", "days": 3}


def test_every_call_has_an_id_of_its_own():
    scanner = CallScanner(NAMES)
    deltas = scanner.push(call("time", "{}") * 3)
    ids = {part["id"] for delta in deltas for part in delta["tool_calls"] if "id" in part}
    assert len(ids) == 3
    assert all(one.startswith("call_") for one in ids)
