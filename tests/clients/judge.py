"""What must hold of the programs' answers whatever the model: their structure, not their sense."""

from typing import Any


def tool_calls(told: dict[str, Any]) -> None:
    """One call of `get_weather`, whole and in pieces, run by the client and told to the model."""
    for way in ("whole", "streamed"):
        ((name, arguments),) = told[way]
        assert name == "get_weather"
        _place(arguments)
    assert all(told["ids"])
    assert told["pieces"] > 1
    city = told["whole"][0][1]["city"]
    assert told["said"] == [f"It rains in {city}."]
    assert told["answer_usage"]
    for name, arguments in told["free"]:  # a model that chooses freely may also not call
        assert name == "get_weather"
        _place(arguments)
    assert "It rains in " in told.get("called", "It rains in ")
    assert not told.get("unparsed")


def _place(arguments: dict[str, Any]) -> None:
    assert set(arguments) == {"city"}
    assert isinstance(arguments["city"], str)
    assert len(arguments["city"]) <= 12


def birds(told: dict[str, Any]) -> None:
    """Every way to ask for one gave one."""
    assert told
    for bird in told.values():
        assert {name: type(value) for name, value in bird.items()} == {"name": str, "sings": bool}
        assert len(bird["name"]) <= 12


def stream(pieces: list[str], whole: str, usages: list[dict[str, Any]]) -> None:
    """It came in pieces that say the same as a whole answer, and one usage with them. A server that
    is busy may join all of a short answer; what is empty at its ends stays apart."""
    assert len(pieces) > 1
    assert "".join(pieces) == whole
    (usage,) = usages
    assert usage["total_tokens"] > usage.get("completion_tokens", usage.get("output_tokens")) > 0
