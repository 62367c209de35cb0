"""What every Ray process must find in its environment, wherever the cluster is (decision 1 of the house:
the door stands behind Ray's HAProxy). Pure; each value is text, as environments hold it."""

# Seconds for a request's head: nothing of ours sees one before it is whole.
HEAD_S = 15


def balancing(head_s: int) -> str:
    """The last line of the defaults in Serve's template for HAProxy, and what has no line there."""
    return f"leastconn\n    no option splice-request\n    timeout http-request {head_s}s"


# On one's own machine and under Kubernetes alike.
EVERYWHERE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # Ray's 15 would let whatever else runs here go before answers
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # Its default of 0.1 s takes a sixth of a core while a laptop starts.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",
    # Likewise of 0.1 s, in every process that serves or calls.
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "app.ingress.before_serve",
    "RAY_SERVE_HAPROXY_NBTHREAD": "2",
    # Serve's template has no switch for it, so it goes with another line: with splicing HAProxy does not
    # see a client leave whose body came after its head, and `abortonclose` is as if it were not there.
    "RAY_SERVE_HAPROXY_BALANCE_ALGORITHM": balancing(HEAD_S),
    # A changed config starts another HAProxy; the one before cuts what it still carries after this.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "900",
    # Serve's default of 30 s would hold every stop of every model for as long.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
    # The second belt: what should cross by reference and does not must not fail at 4 MiB.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(128 << 20),
}

# Where each pod has a container of its own: HAProxy's paths and ports collide with nobody's.
KUBERNETES = {
    **EVERYWHERE,
    # Ray refuses a node whose Python differs from the head's in the last number, unless told so; the
    # images of the vendors are built at different times.
    "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
}
