"""In which space an engine's vectors lie: what two engines must share for theirs to be compared."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Of an engine's facts, those that shape a vector. `revision`: which weights; `runtime`: what computes.
SHAPING = ("revision", "dimensions", "pooling", "normalised", "dtype", "runtime")


def fingerprint(facts: Mapping[str, Any]) -> str | None:
    """`fp_` and 12 hex digits, equal where all of `SHAPING` is; what an engine does not say counts as
    a value of its own. None where it does not say which weights it has: then nothing is known."""
    if facts.get("revision") is None:
        return None
    said = json.dumps([facts.get(name) for name in SHAPING], default=str)
    return f"fp_{hashlib.sha256(said.encode()).hexdigest()[:12]}"
