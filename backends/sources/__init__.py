"""A fleet's `source:` → a local path.

`builtin://NAME` is a folder that ships with Motley, or None where NAME's data come inside the
engine's own package or stay on another server (`builtin://openai`); `file:///PATH` and
`pvc://CLAIM/PATH` are paths on the node; what is far (`hf://`, `s3://`, `https://`) lies in the node's
store once it was fetched (`backends.sources.unfetched`).
"""

import os
from pathlib import Path

from backends.contract.errors import InvalidRequest
from backends.sources.address import Address, parse
from backends.sources.store import Store

BUILTIN = Path(__file__).parents[1] / "builtin"
# Where volumes are mounted, each by the name of its claim.
VOLUMES, MOUNTED = "MOTLEY_VOLUMES", "/mnt/pvc"


def addressed(source: str) -> Address:
    """Raises InvalidRequest (`param="source"`)."""
    try:
        return parse(source)
    except ValueError as error:
        raise InvalidRequest(f"the source {error.args[0]}", param="source") from None


def locate(source: str) -> Path | None:
    """Raises InvalidRequest with `param="source"` for an address or path that is not there."""
    address = addressed(source)
    if address.scheme == "builtin":
        folder = BUILTIN / address.place
        return folder if folder.is_dir() else None
    if address.far:
        store = Store.of(os.environ)
        for allow_pickle in (False, True):
            if (here := store.whole(address.key(allow_pickle))) is not None:
                return here
        raise InvalidRequest("the source was not fetched to this node yet", param="source")
    path = Path(address.place)
    if address.scheme == "pvc":
        path = Path(os.environ.get(VOLUMES) or MOUNTED) / address.place / address.inside
    if not path.exists():
        raise InvalidRequest("the source's path does not exist on this node", param="source")
    return path
