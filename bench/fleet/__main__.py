"""What a fleet bears: `python -m bench.fleet PART …`, each part with its own options."""

import sys
from functools import partial

from bench.fleet import cycles, faults

PARTS = {
    "cycles": cycles.main,
    "deaths": partial(faults.main, "deaths"),
    "calm": partial(faults.main, "calm"),
}

if __name__ == "__main__":
    name, *arguments = sys.argv[1:] or [""]
    if name not in PARTS:
        sys.exit(f"python -m bench.fleet PART, where PART is one of: {', '.join(PARTS)}")
    PARTS[name](arguments)
