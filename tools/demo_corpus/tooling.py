"""Tools that a request offers, and what users say to have one called."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import taught, untaught
from .intents import copied, place
from .phrasing import expand, made_up, phrase, sentence, words

Tool = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolKind:
    """One tool: parameters to kinds of value, prompts with `{parameter}` places, the reply to a result."""

    name: str
    description: str
    parameters: dict[str, str]
    prompts: list[str]
    result: dict[str, str]
    answer: str = ""


WEATHER = [
    "(what|how) is the weather( like|) in {city}( today| now| tomorrow|)",
    "(will|does|is) it (rain|snow|raining|cold|warm|hot|windy|dry|cloudy) in {city}( today| now| tomorrow|)",
    "(weather|forecast|the weather|temperature) (in|for|of) {city}", (
        "do I need (an umbrella|a coat|a hat) in {city}"
    ),
    "(tell me|check|look up|get|find out) (the weather|the forecast|the temperature|how warm it is) "
    "(in|for) {city}.",
    "how (warm|cold|hot|windy) is (it in |) {city}( now| today|)", (
        "I am (going|flying|travelling) to {city}, what is the weather there"
    ),
]  # fmt: skip
TIME = [
    "(what time is it|what's the time|what is the time|what is the hour|what hour is it) in {city}( now|)",
    "(tell me|check|get|look up) the (time|local time|hour) in {city}.", (
        "(current time|local time|time|time now) in {city}"
    ),
    "how late is it in {city}", "is it (night|day|morning|late|early) in {city}( now|)",
]  # fmt: skip
KNOWN = [
    ToolKind("get_weather", "Get the weather for a city", {"city": "city"}, WEATHER,
             {"temperature": "number", "condition": "sky"}, (
                 "It is {condition} in {city}, {temperature} degrees."
             )),
    ToolKind("get_current_weather", "Get the current weather", {"location": "city"},
             [form.replace("{city}", "{location}") for form in WEATHER],
             {"condition": "sky"}, "It is {condition} in {location}."),
    ToolKind("get_time", "Get the local time", {"city": "city"}, TIME, {"time": "clock"}, (
        "It is {time} in {city}."
    )),
    ToolKind("calculate", "Work out a sum", {"expression": "sum"},
             words("what is {expression}|calculate {expression}.|work out {expression}."),
             {"result": "number"}),
    ToolKind("search", "Search the web", {"query": "topic"},
             words(
                 "search the web for {query}.|look up {query}.|find pages about {query}.|search for "
                 "{query}."
             ),
             {"results": "number"}, "I found {results} results for {query}."),
    ToolKind("set_timer", "Start a timer", {"minutes": "number"},
             words(
                 "set a timer for {minutes} minutes.|start a timer of {minutes} minutes.|timer, {minutes} "
                 "minutes."
             ),
             {"status": "ok"}, "The timer is set for {minutes} minutes."),
    ToolKind("send_email", "Send an email", {"to": "name", "subject": "word"},
             words("send an email to {to} about {subject}.|write to {to} with the subject {subject}."),
             {"status": "ok"}, "The email to {to} was sent."),
    ToolKind("get_order", "Look up an order", {"order_id": "number"},
             words("where is order {order_id}|what is the status of order {order_id}|"
                   "track order {order_id}."),
             {"status": "state"}, "Order {order_id} is {status}."),
    ToolKind("add", "Add two numbers", {"a": "number", "b": "number"},
             words("add {a} and {b}.|what is {a} plus {b}|sum {a} and {b}."), {"result": "number"}),
]  # fmt: skip
CLOSE = (KNOWN[0], KNOWN[2])  # of one parameter of one name: to be told apart by what is asked
TOOL_VERBS = words(
    "get|find|open|close|make|check|list|start|stop|create|delete|send|order|reserve|rent|cancel|play|buy|read|update|show|"
    "add|remove|print|count|move|call|clean|plan|track|lock"
)
TOOL_NOUNS = words(
    "table|flight|ticket|song|lamp|door|window|file|user|invoice|account|taxi|car|meal|parcel|note|task|meeting|event|photo|"
    "report|message|playlist|recipe|seat|bike|book|team|game|page|job|shop|train|trip|boat|tent|desk|garden|printer"
)
KEYS: dict[str, str] = {
    "name": "name", "city": "city", "count": "number", "id": "number", "text": "word", "people": "number", (
        "days"
    ): (
        "number"
    ),
    "date": "clock", "colour": "word", "title": "word", "hours": "number", "persons": "number", "price": (
        "number"
    ),
    "size": "number", "owner": "name", "topic": "word", "from": "city", "to": "city", "level": "number", (
        "weeks"
    ): (
        "number"
    ),
    "seats": "number", "bags": "number", "author": "name", "items": "number", "pages": "number",
    "room": "word",
}  # fmt: skip
PLURAL = ("people", "days", "hours", "persons", "weeks", "seats", "bags", "items", "pages")
MAKERS: dict[str, Callable[[random.Random], Any]] = {
    "city": lambda rng: (
        made_up(rng).capitalize() if rng.random() < 0.3 else rng.choice(list(taught.CAPITALS.values()))
    ),
    "name": lambda rng: made_up(rng).capitalize() if rng.random() < 0.3 else rng.choice(taught.NAMES),
    "word": copied,
    "number": lambda rng: rng.choice([rng.randint(1, 9), rng.randint(1, 99), rng.randint(100, 9999)]),
    "sum": lambda rng: f"{rng.randint(1, 999)} {rng.choice('+-*/')} {rng.randint(1, 999)}",
    "topic": lambda rng: rng.choice(
        [untaught.bare(rng.choice(untaught.NOUNS)), f"{copied(rng)} {copied(rng)}"]
    ),
    "clock": lambda rng: f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}",
    "sky": lambda rng: rng.choice(words("sunny|cloudy|rainy|windy|foggy|snowy|clear")),
    "state": lambda rng: rng.choice(words("shipped|late|ready|lost|paid|open")),
    "ok": lambda _: "ok",
}  # fmt: skip


def invented(rng: random.Random) -> ToolKind:
    """A tool of a verb and a noun, one noun in five made up; it is asked for by the noun or by its name."""
    verb, noun = rng.choice(TOOL_VERBS), made_up(rng) if rng.random() < 0.2 else rng.choice(TOOL_NOUNS)
    keys = rng.sample(list(KEYS), rng.choice([1, 1, 2, 2, 3]))
    name = rng.choice([f"{verb}_{noun}", f"{verb}_{noun}", f"{noun}_{verb}", f"{verb}{noun.capitalize()}"])

    def told(key: str) -> str:
        if key in PLURAL:
            return f"{{{key}}} {key}"
        if key in ("from", "to"):
            return f"{key} {{{key}}}"
        return rng.choice([f"{key} {{{key}}}", f"the {key} {{{key}}}"])

    listed = rng.choice([" and ", ", "]).join(told(key) for key in keys)
    prompts = [
        f"{verb} (a|the|my|one|) {noun} (for|with|:|) {listed}.", f"(call|use) {name} with {listed}.", (
            f"{verb} {noun}: {listed}."
        ),
        f"(I want|I would like|I need) (you |) to {verb} (a|the|one) {noun} (for|with) {listed}.",
        f"(can|could) you {verb} (a|the|one) {noun} (for|with) {listed}",
    ]  # fmt: skip
    description = expand(rng, f"({sentence(verb)} (the|a) {noun}|{sentence(verb)} {noun}s|)")
    return ToolKind(name, description, {key: KEYS[key] for key in keys}, prompts, {made_up(rng): "word"})


def a_tool(rng: random.Random) -> ToolKind:
    """A tool that it sees often, or (as often) an invented one."""
    return rng.choice(KNOWN) if rng.random() < 0.5 else invented(rng)


def schema(kind: ToolKind) -> Tool:
    """The tool in the OpenAI shape."""
    types = {key: {"type": "integer" if of == "number" else "string"} for key, of in kind.parameters.items()}
    parameters = {"type": "object", "properties": types, "required": list(types)}
    function = {"name": kind.name, "description": kind.description, "parameters": parameters}
    return {"type": "function", "function": function}


def answered(kind: ToolKind, arguments: dict[str, Any], result: dict[str, Any]) -> str:
    """The sentence that reports a tool's result."""
    if kind.answer:
        return kind.answer.format(**{**arguments, **result})
    return "The result is " + ", ".join(f"{key} {value}" for key, value in result.items()) + "."


def order(rng: random.Random, kind: ToolKind) -> tuple[str, dict[str, Any]]:
    """What the user says to have this tool called, and the arguments of that call."""
    arguments = {key: MAKERS[of](rng) for key, of in kind.parameters.items()}
    return phrase(rng, kind.prompts, {key: str(value) for key, value in arguments.items()}), arguments


__all__ = ["KNOWN", "MAKERS", "ToolKind", "a_tool", "answered", "order", "place", "schema"]
