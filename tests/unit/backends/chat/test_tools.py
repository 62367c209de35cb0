"""Which tools may be called, and what is refused by name."""

from typing import Any

import pytest

from backends.chat.tools import read_tools
from backends.contract.errors import InvalidRequest

F: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}
G: dict[str, Any] = {"type": "function", "function": {"name": "g", "strict": True}}


def test_tools_are_offered_unless_none_is_chosen() -> None:
    tools = read_tools({"tools": [F, G]})
    assert tools is not None
    assert list(tools.shapes) == ["f", "g"]
    assert (tools.forced, tools.several, tools.strict) == (False, True, True)
    assert read_tools({"tools": [F], "tool_choice": "none"}) is None
    assert read_tools({"tools": [], "tool_choice": "auto"}) is None
    assert read_tools({}) is None


@pytest.mark.parametrize(
    ("choice", "forced", "names"),
    [
        ("auto", False, ["f", "g"]),
        ("required", True, ["f", "g"]),
        ({"type": "function", "function": {"name": "g"}}, True, ["g"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [F]}}, False, ["f"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [F]}}, True, ["f"]),
    ],
)
def test_choices(choice: Any, forced: bool, names: list[str]) -> None:
    tools = read_tools({"tools": [F, G], "tool_choice": choice, "parallel_tool_calls": False})
    assert tools is not None
    assert (tools.forced, list(tools.shapes), tools.several) == (forced, names, False)
    # The template shows them all: what may be called is another question.
    assert len(tools.shown) == 2


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ("f", "tools[0].type"),
        ({"type": "custom", "custom": {"name": "f"}}, "tools[0].type"),
        ({"type": "function"}, "tools[0].function"),
        ({**F, "cache": 1}, "tools[0].cache"),
        ({"type": "function", "function": {}}, "tools[0].function.name"),
        ({"type": "function", "function": {"name": "a b"}}, "tools[0].function.name"),
        ({"type": "function", "function": {"name": "f", "strict": 1}}, "tools[0].function.strict"),
        (
            {"type": "function", "function": {"name": "f", "description": "\0"}},
            "tools[0].function.description",
        ),
        ({"type": "function", "function": {"name": "f", "x": 1}}, "tools[0].function.x"),
        ({"type": "function", "function": {"name": "f", "parameters": [1]}}, "tools[0].function.parameters"),
        (
            {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a\0": {}}}}},
            "tools[0].function.parameters",
        ),
    ],
)
def test_what_is_wrong_is_named(tool: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_tools({"tools": [tool]})
    assert refusal.value.param == param


def test_schemas_of_all_tools_together_have_a_bound() -> None:
    large = {"type": "object", "properties": {f"p{at}": {"type": "null"} for at in range(300)}}
    tools = [{"type": "function", "function": {"name": name, "parameters": large}} for name in "fg"]
    assert read_tools({"tools": tools[:1]})
    with pytest.raises(InvalidRequest) as refusal:
        read_tools({"tools": tools})
    assert refusal.value.param == "tools"


@pytest.mark.parametrize(
    "choice",
    [
        "always",
        1,
        {"type": "function", "function": {"name": "h"}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        {"type": "custom", "custom": {"name": "f"}},
    ],
)
def test_choices_of_what_is_not_there(choice: Any) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_tools({"tools": [F], "tool_choice": choice})
    assert refusal.value.param == "tool_choice"
