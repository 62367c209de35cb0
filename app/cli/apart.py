"""A session of its own for what a command starts.

A terminal's Ctrl-C reaches every process of its foreground group. HAProxy, deep below Ray, obeys
it at once and cuts the requests that a drain is there to let finish.
"""

import os
import signal
import threading
from collections.abc import Iterable


def continue_apart(forwarded: Iterable[signal.Signals]) -> None:
    """Return in a child process with a session of its own. This process stays, hands it the
    signals that it gets, and exits as it does. When this process dies, the child gets SIGTERM.

    To be called before any thread is started.
    """
    alive, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        os.setsid()
        threading.Thread(target=_stop_at_end_of, args=(alive,), daemon=True).start()
        return
    os.close(alive)
    for number in forwarded:
        signal.signal(number, lambda given, _: os.kill(child, given))
    # The first process of a container gets the orphans of all others, and is to see them off.
    ended, status = os.wait()
    while ended != child:
        ended, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _stop_at_end_of(pipe: int) -> None:
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)
