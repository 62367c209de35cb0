"""`GET /v1/fleet/events`, over a socket."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2

from .doors import Door


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_the_fleet_as_it_changes(http: httpx2.Client, door: Door) -> None:
    with http.stream("GET", "/v1/fleet/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer.iter_lines())
        name, you = next(told)
        assert (name, you["operator"]) == ("you", True)
        name, first = next(told)
        plain = http.get("/v1/fleet").json()
        assert name == "fleet"
        assert first["models"].keys() == plain["models"].keys()
        assert first["nodes"] == plain["nodes"]
        assert first["nodes"]["laptop"]["cpus"] == 2
        # A request that runs is news, and in the end a figure.
        body = {"model": "fake-chat", "messages": [{"role": "user", "content": "!words 30 !slow 0.1"}]}
        with http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as asked:
            pieces = asked.iter_bytes()
            next(pieces)
            for _, state in told:
                replicas = state["models"]["fake-chat"]["variants"]["main"]["replicas"]
                if sum(one["ongoing"] for one in replicas) == 1:
                    break
            for _ in pieces:
                pass
        for _, state in told:
            figures = ((state["figures"] or {}).get("of", {}).get("fake-chat") or {}).get("main")
            if figures and figures["requests"] == 1:
                assert 0 < figures["p50_s"] <= figures["p95_s"]
                return
    raise AssertionError("the stream ended before the request was seen")
