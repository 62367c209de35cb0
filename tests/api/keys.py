"""A keys file for a door's tests, and the texts of its keys."""

from pathlib import Path

from app.guard import keyfile
from app.guard.scopes import Priority

PEPPER = "0123456789abcdef"


class Keys:
    """By owner: `texts`, and `ids`."""

    def __init__(self, file: Path) -> None:
        self.file, self.texts, self.ids = file, dict[str, str](), dict[str, str]()

    def add(
        self,
        owner: str,
        scopes: tuple[str, ...] = ("*:*",),
        limits: dict[str, int] | None = None,
        weight: int = 1,
        priority: Priority = "normal",
    ) -> None:
        with keyfile.changing(self.file) as held:
            key, plain = keyfile.created(
                owner, scopes, PEPPER.encode(), keyfile.now(), None, limits, weight, priority
            )
            held.append(held[0].with_one(key))
        self.texts[owner], self.ids[owner] = plain, key.id
