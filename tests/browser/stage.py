"""A fleet with cards that this machine has not: fakes answer, and where they sit is told as tests want."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.contract.state import Footprint, VariantState
from backends.fleet.schema import Fleet, app_name
from backends.sizes import size_in_bytes
from tests.api.doors import Served

FAKE = {"engine": "fake", "source": "builtin://fake"}
GI = 2**30
FLEET = Fleet.model_validate(
    {
        "version": 1,
        "nodes": {
            "tower": {"vendor": "nvidia", "card": "RTX 3090", "vram": "24Gi", "gpus": 2, "cpus": 16},
            "mini": {"vendor": "amd", "card": "Strix Halo", "vram": "96Gi", "gpus": 1, "cpus": 16},
            "closet": {"cpus": 4, "count": 2},
        },
        "models": {
            "llm": {
                "task": "chat",
                "aliases": ["gpt-4o"],
                "traffic": {"stable": 90, "canary": 10},
                "variants": {
                    "stable": {**FAKE, "place": {"node": "tower", "share": 0.6}},
                    "canary": {**FAKE, "place": {"node": "tower", "share": 0.3}},
                },
            },
            "whisper": {"task": "transcribe", **FAKE, "place": {"node": "tower", "share": 0.25}},
            "large": {
                "task": "chat", **FAKE, "place": {"node": "mini", "share": 0.75},
                "scale": {"replicas": [0, 1]},
            },
            "tts": {"task": "speak", **FAKE, "place": {"node": "closet"}},
            "vectors": {"task": "embed", **FAKE, "place": {"node": "closet"}},
            "ranks": {"task": "rerank", **FAKE, "place": {"node": "closet"}},
            "assistant": {"task": "chat", "steps": {"hear": "whisper", "think": "large", "speak": "tts"}},
        },
    }
)  # fmt: skip


def seats(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Where each variant sits, by application: on the first card of its node that has room, of which it
    has taken nine tenths of its share."""
    given: dict[tuple[str, int], float] = {}
    found: dict[str, dict[str, Any]] = {}
    for name, model in fleet.models.items():
        for label, variant in model.variants.items():
            node, share = variant.place.nodes[0], variant.place.share
            kind = fleet.nodes[node]
            fits = (one for one in range(kind.gpus) if given.get((node, one), 0) + share <= 1)
            gpus = (next(fits),) if share else ()
            for gpu in gpus:
                given[node, gpu] = given.get((node, gpu), 0) + share
            granted, ram = int(share * size_in_bytes(kind.vram or "0")), (len(found) + 1) * GI * 2 // 5
            has = Footprint(granted, granted * 8 // 10 or None, granted * 9 // 10 if gpus else None, ram)
            found[app_name(name, label)] = {
                "node": node, "machine": f"{node}-1", "gpus": gpus, "footprint": has,
            }  # fmt: skip
    return found


def acted(file: Path) -> Fleet:
    """A fleet's file with its models played by fakes, each in the place that the file has for it."""
    told = yaml.safe_load(file.read_text())
    theirs = {"options", "allow_pickle"}
    told["models"] = {
        name: {key: value for key, value in model.items() if key not in theirs} | FAKE
        for name, model in told["models"].items()
    }
    return Fleet.model_validate(told)


class Staged(LocalUpstream):
    """By application: `said`, states that stand in the place of the true ones; `seats`, where they sit."""

    said: dict[str, VariantState]
    seats: dict[str, dict[str, Any]]

    def states(self) -> Mapping[str, VariantState]:
        return {app: self.said.get(app) or self._seated(app, one) for app, one in super().states().items()}

    def _seated(self, app: str, state: VariantState) -> VariantState:
        return replace(state, replicas=tuple(replace(one, **self.seats[app]) for one in state.replicas))


class Stage:
    """A door before it. `upstream.said` is the test's to set."""

    def __init__(self, fleet: Fleet = FLEET, **settings: Any) -> None:
        upstream = Staged.from_fleet(fleet)
        assert isinstance(upstream, Staged)
        self.upstream = upstream
        upstream.said, upstream.seats = {}, seats(fleet)
        self.served = Served(create_app(Settings(_env_file=None, **settings), fleet, upstream))
        self.base_url = self.served.base_url

    def close(self) -> None:
        self.served.close()
