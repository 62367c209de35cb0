"""Several doors must share what they count. Pure."""

from collections.abc import Iterator

from app.settings import Settings


def unshared(doors: int, settings: Settings) -> Iterator[tuple[str, str]]:
    """What each of several doors would have for itself, as far as these settings tell, and what helps.

    Of settings that say nothing (no keys file, no database) nothing is known: the doors may have others.
    """
    if doors < 2:
        return
    if settings.keys_file and not settings.limits_url.get_secret_value():
        yield (
            f"each of {doors} doors would count the limits of keys for itself",
            "set MOTLEY_LIMITS_URL, a Redis or Valkey for all of them",
        )
    if settings.usage.startswith("sqlite:"):
        yield (
            f"{doors} doors may run on several nodes, and an SQLite file is on one",
            "set MOTLEY_USAGE_URL to a PostgreSQL for all of them, or to none",
        )
