"""Sweeps up after a cluster: `python -m backends.serve.janitor HOME`, its stdin a pipe from the owner.

When the pipe ends, the owner is done or dead. What still runs of the cluster then gets a few
seconds, and its end; the cluster's files go too. Ray alone leaves a reloaded HAProxy behind, and
two of its agents look for their raylet about once a minute only.
"""

import contextlib
import shutil
import sys

import psutil

# In the environment of every process of a cluster; its value is the cluster's home.
MARK = "MOTLEY_CLUSTER"
GRACE_S = 4


def sweep(home: str) -> None:
    """End every process that carries the mark, and remove the home."""
    _, left = psutil.wait_procs(_marked(home), timeout=GRACE_S)
    for one in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(left, timeout=GRACE_S)
    shutil.rmtree(home, ignore_errors=True)


def _marked(home: str) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if one.environ().get(MARK) == home:
                found.append(one)
    return found


if __name__ == "__main__":
    # A Ctrl-C is for the owner; a session of its own keeps the terminal's signals away.
    sys.stdin.buffer.read()
    sweep(sys.argv[1])
