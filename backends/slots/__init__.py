"""Models that take turns in one place: `turns.py` decides, purely; `slot.py` loads and closes."""
