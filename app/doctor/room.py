"""Memory, disks, files and processors: whether there is room for a fleet, and for Ray."""

import re
from collections.abc import Iterator, Mapping

from app.doctor.finding import Finding, ok, warning, wrong
from app.doctor.machine import Machine, gib
from app.doctor.software import placed
from backends.contract.engine import Memory
from backends.contract.errors import SourceFailed
from backends.fleet.schema import Fleet
from backends.serve.cluster import OBJECT_STORE
from backends.sizes import size_in_bytes
from backends.sources.address import parse
from backends.sources.store import MARGIN, MOST, Store

SHM, TMP = "/dev/shm", "/tmp"  # noqa: S108 – Ray's, not ours
TMP_BYTES = 1 << 30
FILES = 8192  # what Ray recommends
FULL = 0.95  # of the machine's memory: from there on Ray ends processes
DECLARED = 0.9  # the kernel keeps a part of what a fleet says that there is


def memory(machine: Machine, fleet: Fleet | None, node: str | None) -> Iterator[Finding]:
    told = dict(line.partition(":")[::2] for line in machine.text("/proc/meminfo").splitlines())
    if "MemAvailable" not in told:
        return
    total, free = (int(told[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
    bounds = [
        int(one) for one in machine.limits("memory.max", "memory", "memory.limit_in_bytes") if one.isdigit()
    ]
    limit = min([total, *bounds])
    bound = " (a limit of the container or the session)" if limit < total else ""
    if free < (1 - FULL) * total:
        said = f"{gib(free)} of {gib(total)} are free: Ray ends processes where less than 5 % are"
        yield wrong("memory", said, "ps -eo pid,rss,comm --sort=-rss | head, and end what is not needed")
        return
    if fleet is None or node is None:
        yield ok("memory", f"{gib(min(limit, free))} of {gib(limit)} are free{bound}")
        return
    declared = fleet.nodes[node].memory
    if declared and size_in_bytes(declared) * DECLARED > limit:
        said = f"{node} has {declared} in the fleet, and this machine {gib(limit)}{bound}"
        yield warning("memory", said, f"in the fleet, `memory: {limit >> 20}Mi`")
    need, unknown = _needed(fleet, node)
    more = f", of {unknown} nothing is known yet" if unknown else ""
    takes = f"models on {node} take about {gib(need)}{more}"
    if need > limit:
        fix = "in the fleet, fewer or smaller models, or a slot in which they take turns"
        yield wrong("memory", f"{takes}, and there are {gib(limit)}{bound}", fix)
    elif need > free:
        fix = "ps -eo pid,rss,comm --sort=-rss | head, and end what is not needed"
        yield warning("memory", f"{takes}, and {gib(free)} are free now", fix)
    else:
        yield ok(
            "memory",
            f"{gib(min(limit, free))} of {gib(limit)} are free{bound}" + (f"; {takes}" if need else ""),
        )


def _needed(fleet: Fleet, node: str) -> tuple[int, int]:
    """Bytes of the machine that the least replicas take there, by what the engines say; and of how many
    variants nobody can say it."""
    from backends.fleet.engines import estimates

    known: Mapping[tuple[str, str], Memory | None] = estimates(fleet)
    need = unknown = 0
    for name, model in fleet.models.items():
        for variant, one in model.variants.items():
            if node in one.place.nodes and not one.place.share and one.slot is None:
                size = known[name, variant]
                need += size.total * one.scale.replicas[0] if size else 0
                unknown += size is None
    slots = [slot for slot, one in fleet.slots.items() if node in one.place.nodes and not one.place.share]
    return need + sum(fleet.holds(slot) or 0 for slot in slots), unknown


def shared_memory(machine: Machine) -> Iterator[Finding]:
    free = machine.free(SHM) if machine.there(SHM) else None
    if free is None:
        return
    if free < OBJECT_STORE:
        takes = f"Ray's object store takes {gib(OBJECT_STORE)}"
        said = f"{gib(free)} are free, {takes}: it goes to /tmp, which is slower"
        fix = "docker run --shm-size 1g" if machine.boxed else "sudo mount -o remount,size=1G /dev/shm"
        yield warning(SHM, said, fix)
    else:
        yield ok(SHM, f"{gib(free)} are free")


def scratch(machine: Machine) -> Iterator[Finding]:
    """`/tmp` has Ray's sockets and logs, whatever TMPDIR says, and a script that becomes HAProxy."""
    options = _mounted(machine, TMP)
    if "ro" in options:
        yield wrong(TMP, "it cannot be written, and Ray keeps its sockets there", _remount(machine, "rw"))
    elif "noexec" in options:
        said = "it is mounted noexec, and HAProxy is started by a script there"
        yield wrong(TMP, said, _remount(machine, "exec"))
    elif (free := machine.free(TMP)) is not None and free < TMP_BYTES:
        said = f"{gib(free)} are free, and Ray wants {gib(TMP_BYTES)} for its sockets and logs"
        yield wrong(TMP, said, "du -xsh /tmp/* | sort -h, and remove what is not needed")
    elif free is not None:
        yield ok(TMP, f"{gib(free)} are free")


def _remount(machine: Machine, option: str) -> str:
    return (
        "docker run --tmpfs /tmp:exec,mode=1777" if machine.boxed else f"sudo mount -o remount,{option} /tmp"
    )


def _mounted(machine: Machine, path: str) -> list[str]:
    """The options of the file system that a path lies on."""
    found = ("", "")
    for line in machine.text("/proc/mounts").splitlines():
        _, point, _, options, *_ = line.split()
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(found[0]):
            found = (point, options)
    return found[1].split(",")


def store(machine: Machine, fleet: Fleet | None, node: str | None) -> Iterator[Finding]:
    """The folder of models that are fetched. What is on its way has told its size; of others nobody knows."""
    try:
        models = Store.of(machine.environment)
    except SourceFailed as failed:
        yield wrong("models", failed.message, f"export {MOST}=200Gi")
        return
    where = models.folder
    free = machine.free(where)
    if free is None or "ro" in _mounted(machine, str(where)) or not machine.may_use(machine.nearest(where)):
        said = f"models are stored in {where}, which this user may not write"
        yield wrong("models", said, "export MOTLEY_STORE=/a/folder/of/yours")
        return
    here = coming = unknown = 0
    for key in _far(fleet, node):
        if models.whole(key) is not None:
            here += 1
        elif (record := models.record(key)) is not None and record.size is not None:
            coming += max(0, record.size - models.brought(key))
        else:
            unknown += 1
    if coming + MARGIN > free:
        said = f"{gib(coming)} more are to come to {where}, and {gib(free)} are free"
        yield wrong("models", said, "export MOTLEY_STORE=/a/larger/disk")
        return
    told = [f"{gib(free)} are free in {where}"]
    told += [f"{here} are there"] if here else []
    told += [f"{gib(coming)} are still to come"] if coming else []
    told += [f"{unknown} to be fetched, of a size that only their source knows"] if unknown else []
    yield ok("models", "; ".join(told))


def _far(fleet: Fleet | None, node: str | None) -> set[str]:
    """The names in the store of what is fetched for a node."""
    addresses = ((parse(one.source), one.allow_pickle) for one in placed(fleet, node))
    return {address.key(allow_pickle) for address, allow_pickle in addresses if address.far}


def descriptors(machine: Machine) -> Iterator[Finding]:
    """The hard limit: up to that Ray raises the other one by itself."""
    told = re.search(r"^Max open files\s+\S+\s+(\S+)", machine.text("/proc/self/limits"), re.MULTILINE)
    if told is None:
        return
    if told[1].isdigit() and int(told[1]) < FILES:
        said = f"this session may open {int(told[1]):,}, and under load Ray wants {FILES:,}"
        most = FILES * 8
        fix = (
            f"docker run --ulimit nofile={most}"
            if machine.boxed
            else f"sudo prlimit --pid $$ --nofile={most}"
        )
        yield warning("open files", said, fix)
    else:
        yield ok("open files", f"up to {int(told[1]):,}" if told[1].isdigit() else "as many as there can be")


def processors(machine: Machine, fleet: Fleet | None, node: str | None) -> Iterator[Finding]:
    """Those that this process may run on, less what its cgroup takes away."""
    allowed = _listed(machine.status().get("Cpus_allowed_list", ""))
    if not allowed:
        return
    quotas = [float(allowed), *_quotas(machine)]
    cores = min(quotas)
    limited = " (a limit of the container or the session)" if cores < allowed else ""
    declared = fleet.nodes[node].cpus if fleet is not None and node is not None else None
    if declared is not None and declared > cores:
        said = f"{node} has {declared} cores in the fleet, and this machine {cores:g}{limited}"
        yield warning(
            "cores", f"{said}: Ray gives out what is not there", f"in the fleet, `cpus: {max(1, int(cores))}`"
        )
    else:
        yield ok("cores", f"{cores:g}{limited}")


def _quotas(machine: Machine) -> Iterator[float]:
    for told in machine.limits("cpu.max", "cpu", "cpu.cfs_quota_us"):
        quota, _, period = told.partition(" ")
        if quota.isdigit():
            yield int(quota) / int(period or 100_000)


def _listed(ranges: str) -> int:
    """How many `0-3,8` are."""
    ends = [part.partition("-") for part in ranges.split(",") if part]
    return sum(int(last or first) - int(first) + 1 for first, _, last in ends)
