"""The heap of this process, where the C library is glibc; elsewhere nothing of this is needed, or offered."""

import ctypes


def trim() -> None:
    """Give what is free back to the system: glibc keeps it, for each of its arenas."""
    if give_back := getattr(ctypes.CDLL(None), "malloc_trim", None):
        give_back(0)
