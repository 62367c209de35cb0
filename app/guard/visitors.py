"""A door that asks for no key is for this machine alone, and a browser on it runs other people's pages."""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from app.guard.keyfile import KeysError
from app.settings import Settings
from backends.contract.errors import Forbidden

_HINT = "Set keys, or (for everyone who can reach this) MOTLEY_OPEN_TO_ALL"


class Visitors:
    """Whom a door lets in that asks for no key: programs, and pages of its own and of `origins`; with
    `all_in`, everybody.

    A stranger's page reaches a loopback door in two ways. It posts there, which needs no leave of ours where
    no JSON is sent: its browser says `Origin`. Or its own name is made to mean 127.0.0.1 (DNS rebinding):
    then that name is the `Host`. Names that a stranger can own have a dot, and end as public domains do.
    """

    def __init__(self, origins: Sequence[str] = (), all_in: bool = False) -> None:
        self.origins, self.all_in = frozenset(origins), all_in

    def must_be_fine(self, headers: Headers, predictor: bool = False) -> None:
        """`predictor`: its host is one that KServe would have for a model of the fleet. Raises Forbidden."""
        if self.all_in:
            return
        host = headers.get("host", "")
        if not (_local(host) or (predictor and _in_cluster(host))):
            said = f"Without keys this answers to addresses and local names alone. {_HINT}"
            raise Forbidden(said, code="host_not_allowed")
        origin = headers.get("origin")
        if origin is not None and origin not in self.origins and origin.partition("://")[2] != host:
            said = f"Without keys this answers no pages of other sites. {_HINT}"
            raise Forbidden(said, code="origin_not_allowed")


def must_be_guarded(host: str, settings: Settings) -> None:
    """A door that others can reach asks for keys, unless told so in words. Raises KeysError.

    `host`: the address it listens on.
    """
    if loopback(host) or settings.keys or settings.keys_file or settings.open_to_all:
        return
    raise KeysError(
        f"'{host}' can be reached by others, and no keys are set: whoever finds this door could use it. Make "
        "some with `motley keys create` (MOTLEY_KEYS_FILE), or set MOTLEY_API_KEYS. MOTLEY_OPEN_TO_ALL=true "
        "serves everyone without a key"
    )


def loopback(host: str) -> bool:
    """Whether an address means this machine alone. Names other than `localhost` are not looked up."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _in_cluster(host: str) -> bool:
    """A service's name in Kubernetes: `NAME.NAMESPACE.svc`, `….svc.cluster.local`, neither of which is a
    public domain; and `NAME.NAMESPACE`, where no domain can end like that: those end in letters alone, or in
    what begins with `xn--`."""
    try:
        _, *rest = _name(host).removesuffix(".").split(".")
    except ValueError:
        return False
    match rest:
        case [namespace]:
            return bool(namespace) and not namespace.isalpha() and not namespace.startswith("xn--")
        case [_, "svc"] | [_, "svc", "cluster", "local"]:
            return True
    return False


def _name(host: str) -> str:
    """Raises ValueError."""
    return urlsplit(f"//{host}").hostname or ""


def _local(host: str) -> bool:
    try:
        name = _name(host)
    except ValueError:
        return False
    try:
        ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(".localhost")
    return True
