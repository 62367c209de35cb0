"""A fleet's `source:` → a local path.

`builtin://NAME` is a folder that ships with Motley, or None where NAME's data come inside the
engine's own package or stay on another server (`builtin://openai`); `file:///PATH` is a path on the node.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from backends.contract.errors import InvalidRequest

BUILTIN = Path(__file__).parent / "builtin"


def locate(source: str) -> Path | None:
    """Raises InvalidRequest with `param="source"` for a scheme or path that is not there."""
    parts = urlsplit(source)
    if parts.scheme == "builtin":
        folder = BUILTIN / parts.netloc
        return folder if folder.is_dir() else None
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if not path.exists():
            raise InvalidRequest("the source's path does not exist on this node", param="source")
        return path
    raise InvalidRequest(f"unknown source scheme {parts.scheme!r}: use builtin:// or file://", param="source")
