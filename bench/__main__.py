"""Every bench, one after the other: `python -m bench [NAME …]`. Each is a target of the Makefile, which
installs what it needs; one that fails stops no other, and the end says which and why.
"""

import os
import subprocess
import sys
import time

BENCHES = ("door", "chains", "glass", "vectors", "audio", "chat", "fleet")


def main(names: list[str]) -> int:
    if unknown := set(names) - set(BENCHES):
        print(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
        return 2
    report: list[str] = []
    failed = False
    for name in names or BENCHES:
        began = time.monotonic()
        status, last = ran(name)
        failed = failed or status != 0
        told = f"ran in {time.monotonic() - began:.0f} s" if status == 0 else f"FAILED: {last}"
        report.append(f"{name:<8} {told}")
    print("\n" + "\n".join(report), flush=True)
    return 1 if failed else 0


def ran(name: str) -> tuple[int, str]:
    """Its exit status, and the last that it said beside what make says of it."""
    command = [*os.environ.get("MAKE", "make").split(), "--no-print-directory", f"bench-{name}"]
    print(f"\n$ {' '.join(command)}", flush=True)
    last = ""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() if line.strip() and not line.startswith("make") else last
    return process.returncode, last


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
