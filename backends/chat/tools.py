"""`tools`, `tool_choice` and `parallel_tool_calls` → what may be called, and how it is held to.

Calls are written as Hermes and Qwen models write them: `<tool_call>` on a line of its own, the
call as JSON, `</tool_call>`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backends.chat import fields
from backends.chat.shapes import MOST_PARTS, Shape
from backends.contract.errors import InvalidRequest

OPEN, CLOSE = "<tool_call>", "</tool_call>"
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# A model that was taught one call an answer may write call after call when it is made to call.
MOST_CALLS = 8


@dataclass(frozen=True, slots=True)
class Tools:
    """`shown`: what the template is given. `shapes`: the arguments of each that may be called,
    by name. `forced`: the answer is a call. `several`: it may be more than one."""

    shown: tuple[Mapping[str, Any], ...]
    shapes: Mapping[str, Shape]
    strict: bool = False
    forced: bool = False
    several: bool = True

    def rules(self, characters: int) -> str:
        """Lark rules of which `calls` is the first."""
        calls = [self._call(name, shape, characters) for name, shape in self.shapes.items()]
        more = f' ("\\n" call){{0,{MOST_CALLS - 1}}}' if self.several else ""
        return f"calls: call{more}\ncall: {' | '.join(calls)}\n"

    def _call(self, name: str, shape: Shape, characters: int) -> str:
        head = f'"{OPEN}\\n{{\\"name\\": \\"{name}\\", \\"arguments\\": "'
        return f'{head} {shape.grammar(characters)} "}}\\n{CLOSE}"'


def read_tools(body: Mapping[str, Any]) -> Tools | None:
    """None: nothing is to be called. Raises InvalidRequest with a `param` such as
    `tools[0].function.name`."""
    given = body.get("tools")
    several = fields.flag(body, "parallel_tool_calls", default=True)
    if given is not None and not isinstance(given, list):
        raise InvalidRequest("'tools' must be a list", param="tools")
    shown = [_tool(tool, f"tools[{number}]") for number, tool in enumerate(given or ())]
    _check_names([tool["function"]["name"] for tool in shown])
    shapes = {
        tool["function"]["name"]: Shape(
            tool["function"].get("parameters") or {"type": "object", "properties": {}},
            f"tools[{number}].function.parameters",
        )
        for number, tool in enumerate(shown)
    }
    if sum(shape.check() for shape in shapes.values()) > MOST_PARTS:
        raise InvalidRequest(f"'tools' have more than {MOST_PARTS} parts in their schemas", param="tools")
    mode, names = _choice(body.get("tool_choice"), shapes)
    if not shown or mode == "none":
        return None
    return Tools(
        tuple(shown),
        {name: shape for name, shape in shapes.items() if name in names},
        strict=any(tool["function"].get("strict") for tool in shown),
        forced=mode == "required",
        several=several,
    )


def _check_names(names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            where = f"tools[{number}].function.name"
            raise InvalidRequest(f"'{where}': there is a tool of this name already", param=where)


def _tool(tool: Any, where: str) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise InvalidRequest(
            f"'{where}': this model calls tools of type function only", param=f"{where}.type"
        )
    function = tool.get("function")
    if not isinstance(function, dict):
        raise InvalidRequest(f"'{where}.function' must be an object", param=f"{where}.function")
    for name in tool.keys() - {"type", "function"}:
        raise InvalidRequest(f"'{where}.{name}' is not supported by this model", param=f"{where}.{name}")
    where = f"{where}.function"
    for name in function.keys() - {"name", "description", "parameters", "strict"}:
        raise InvalidRequest(f"'{where}.{name}' is not supported by this model", param=f"{where}.{name}")
    if not isinstance(function.get("name"), str) or not NAME.fullmatch(function["name"]):
        raise InvalidRequest(f"'{where}.name' must match {NAME.pattern}", param=f"{where}.name")
    if function.get("description") is not None:
        fields.text(function["description"], f"{where}.description")
    fields.flag(function, "strict", f"{where}.")
    kept = {name: value for name, value in function.items() if value is not None}
    return {"type": "function", "function": kept}


def _choice(choice: Any, shapes: Mapping[str, Shape]) -> tuple[str, set[str]]:
    """none, auto or required; and the names that may be called."""
    every = set(shapes)
    match choice:
        case None:
            return "auto", every
        case "none" | "auto":
            return choice, every
        case "required" if every:
            return choice, every
        case {"type": "function", "function": {"name": str() as name}} if name in every:
            return "required", {name}
        case {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list() as some},
        }:
            names = {tool.get("function", {}).get("name") for tool in some if isinstance(tool, dict)}
            if names and names <= every:
                return mode, names
    raise InvalidRequest(
        "'tool_choice' must be none, auto, required, or name tools that are in 'tools'", param="tool_choice"
    )
