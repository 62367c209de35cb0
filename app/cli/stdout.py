"""Where commands print tables and sentences for people."""

import sys
from typing import Any

from rich.console import Console


def stdout(**options: Any) -> Console:
    """As wide as the terminal; where there is none, wide enough that no cell is folded."""
    return Console(width=None if sys.stdout.isatty() else 200, **options)
