"""Real servers for tests, on loopback or a Unix socket, where this machine has them."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.running import free_port

POSTGRES = "/usr/lib/postgresql/*/bin"


class Redis:
    """Or Valkey. May be stopped, and started anew on the same port with nothing in it."""

    def __init__(self) -> None:
        program = shutil.which("valkey-server") or shutil.which("redis-server")
        if program is None:
            pytest.skip("neither valkey-server nor redis-server is installed (Debian has packages of both)")
        self._program, self._port = program, free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL)
        ping = [self._program.replace("-server", "-cli"), "-p", str(self._port), "ping"]
        until(lambda: b"PONG" in subprocess.run(ping, capture_output=True, check=False).stdout)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database, while it lasts. Listens on a Unix socket alone."""
    found = sorted(Path("/").glob(POSTGRES[1:]))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian's package is postgresql)")
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="motley-pg-", dir="/tmp"))
    if user:
        shutil.chown(home, user)

    def run(name: str, *options: str) -> "subprocess.Popen[bytes]":
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home, "user": user}
        return subprocess.Popen([str(found[-1] / name), *options], **quiet)  # type: ignore[call-overload,no-any-return]

    try:
        made = run("initdb", "-D", f"{home}/data", "-U", "postgres", "-A", "trust", "--no-sync")
        assert made.wait(120) == 0
        server = run("postgres", "-D", f"{home}/data", "-k", str(home), "-c", "listen_addresses=", "-F")
        try:
            until(lambda: run("pg_isready", "-h", str(home)).wait() == 0)
            yield f"postgresql://postgres@/postgres?host={home}"
        finally:
            server.terminate()
            server.wait(60)
    finally:
        shutil.rmtree(home)


def until(done: Callable[[], bool], within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
