"""Where a process of Serve's takes the calls of handles."""

from typing import Any

import ray
from ray.serve._private import replica

_replica: Any = replica


def inward() -> None:
    """On the node's own address, where that is loopback's. Serve lets each process that serves take calls,
    which are pickled and nobody's key opens, on all interfaces, and has no setting for it.

    To be called while a deployment is constructed, before Serve listens. It leans on a private name of
    Serve's: Ray is pinned, and a test goes through all sockets there are.
    """
    own: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    listen = _replica.add_port_to_grpc_server

    def there(server: Any, address: str) -> int:
        port: int = listen(server, address.replace("[::]", own))
        return port

    if own.startswith("127."):
        _replica.add_port_to_grpc_server = there
