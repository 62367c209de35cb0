"""Runs a command that cannot outlive the process that asked for it.

    python -I -S lifeline.py FD COMMAND ARGUMENT…

`FD` is one end of a socket pair; the parent holds the other. The command gets a process group of
its own, and its pid (which is the group's id) goes up the socket as one line. When the socket
reaches its end (the parent closed it, or died in whatever manner, `kill -9` included) the whole
group is killed. A parent-death signal would miss the command's own children.

When the command ends first, what is left of its group is killed too, and its exit status is
passed on (128 + N for death by signal N). Standard library only, and little of that: this
process costs 4 MB and starts in 30 ms.
"""

import os
import select
import signal
import sys


def main(life: int, command: list[str]) -> int:
    os.set_inheritable(life, False)
    waker, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler must exist for the bell to ring
    pid = os.fork()
    if pid == 0:
        _become(command)
    _own_group(pid)
    _let_go_of_pipes()
    _say(life, b"%d\n" % pid)
    code = _until_over(life, waker, pid)
    _kill(pid)
    _say(life, b".")  # the parent has nothing left to do
    return code


def _until_over(life: int, waker: int, pid: int) -> int:
    """Until the command has ended or the parent has had enough; the exit status."""
    while True:
        ready, _, _ = select.select([life, waker], [], [])
        if waker in ready:
            os.read(waker, 64)
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code
        if life in ready and not _hears(life):
            return 128 + signal.SIGKILL


def _become(command: list[str]) -> None:
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and that is inherited
        os.execvp(command[0], command)  # noqa: S606  (no shell is the point)
    finally:
        os._exit(127)


def _say(life: int, word: bytes) -> None:
    try:
        os.write(life, word)
    except OSError:  # the parent is gone: the next read says so too
        return


def _own_group(pid: int) -> None:
    """The child does the same for itself: whoever comes first, the group exists when this returns."""
    try:
        os.setpgid(pid, pid)
    except (ProcessLookupError, PermissionError):  # already gone; already running the command
        return


def _let_go_of_pipes() -> None:
    """The command's standard input and output are between it and the parent alone: a copy held
    here would hide the end of either from the other."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)


def _hears(life: int) -> bool:
    try:
        return bool(os.read(life, 64))
    except ConnectionError:
        return False


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody left; macOS says so by the second
        return


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
