"""A Ray cluster of our own on this machine, with the settings the door needs (decision 1)."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ray

from backends.fleet import NODE_LABEL
from backends.serve.janitor import MARK
from backends.serve.rest import Cluster


def environment(home: Path) -> dict[str, str]:
    """What every Ray process of the cluster must find in its environment.

    HAProxy's paths and ports, and those of the proxy it falls back to, have fixed defaults: two
    clusters on one machine would answer for one another.
    """
    haproxy = home / "h"
    stats, metrics, fallback, fallback_grpc = free_ports(4)
    return {
        MARK: str(home),
        "RAY_AUTH_MODE": "disabled",  # loopback only; else Ray writes a token to the user's home
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # Ray's 15 would let whatever else runs here go before answers
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # Its default of 0.1 s takes a sixth of a core while a laptop starts.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",
        # Likewise of 0.1 s, in every process that serves or calls.
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "app.ingress.before_serve",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(haproxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(haproxy / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(haproxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(haproxy / "server-state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(fallback_grpc),
        "RAY_SERVE_HAPROXY_NBTHREAD": "2",
        # Serve's template has no switch for it, so it goes with another line: with splicing HAProxy does not
        # see a client leave whose body came after its head, and `abortonclose` is as if it were not there.
        "RAY_SERVE_HAPROXY_BALANCE_ALGORITHM": "leastconn\n    no option splice-request",
        # A changed config starts another HAProxy; the one before cuts what it still carries after this.
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "900",
        # Serve's default of 30 s would hold every stop of every model for as long.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
        # The second belt: what should cross by reference and does not must not fail at 4 MiB.
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(128 << 20),
    }


@contextlib.contextmanager
def private_cluster(node: str, *, cpus: int, gpus: int = 0) -> Iterator[Cluster]:
    """Start Ray in this process's care: it ends with it, even when this process is killed.

    `node`: the kind of node this machine stands for in the fleet.
    """
    # HAProxy takes socket paths of 97 bytes, and Serve puts a node id of 56 into them: a short
    # home, whatever TMPDIR says.
    home = Path(tempfile.mkdtemp(prefix="motley-", dir="/tmp"))
    (home / "h").mkdir()
    dashboard, metrics = free_ports(2)
    before = dict(os.environ)
    os.environ.pop("RAY_ADDRESS", None)
    janitor = subprocess.Popen(
        [sys.executable, "-m", "backends.serve.janitor", home], stdin=subprocess.PIPE, start_new_session=True
    )
    os.environ.update(environment(home))
    try:
        ray.init(
            address="local",
            _node_ip_address="127.0.0.1",  # else every daemon listens on the network
            num_cpus=cpus,
            num_gpus=gpus,
            labels={NODE_LABEL: node},
            object_store_memory=256 << 20,
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            dashboard_port=dashboard,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(home),
            _metrics_export_port=metrics,
        )
        yield Cluster(f"http://127.0.0.1:{dashboard}")
    finally:
        ray.shutdown()
        os.environ.clear()
        os.environ.update(before)
        # Its pipe ends here, or with this process, however that ends: then it cleans up.
        janitor.communicate()


def free_ports(count: int) -> list[int]:
    """Loopback ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
