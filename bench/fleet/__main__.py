"""What a fleet bears: `python -m bench.fleet PART …`, each part with its own options."""

import sys

from bench.fleet import cycles

PARTS = {"cycles": cycles.main}

if __name__ == "__main__":
    name, *arguments = sys.argv[1:] or [""]
    if name not in PARTS:
        sys.exit(f"python -m bench.fleet PART, where PART is one of: {', '.join(PARTS)}")
    PARTS[name](arguments)
