"""Settle Motley's environments in the image that they were copied into.

    python3 settle.py MINOR [EXTRAS]

Run as root, by the Python of that image: the environments under /opt/motley were made by another one, of the
same minor, and shall run on this. With EXTRAS this is a vendor's image, which lends its torch and vLLM; with
`none` it may have neither.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

HOME = Path("/opt/motley")
MINOR = ".".join(map(str, sys.version_info[:2]))
SITE = f"lib/python{MINOR}/site-packages"


def main(minor: str, extras: str = "", home: Path = HOME) -> None:
    """Raises SystemExit with the reason why this image will not do."""
    if minor != MINOR:
        raise SystemExit(f"Python here is {MINOR}; every image of a fleet has {minor}")
    for environment in ("env", "xtts"):
        if (home / environment).is_dir():
            _link(home / environment)
    site = home / "env" / SITE
    (site / "motley.pth").write_text(f"{home / 'own'}\n")
    if extras:
        _lend(extras == "none", site, home / "vllm" / "bin" / "python")


def _link(environment: Path) -> None:
    """Let an environment run on the Python that runs this; on the one below, where this is of one itself."""
    interpreter = Path(getattr(sys, "_base_executable", None) or sys.executable)
    for name in ("python", "python3", f"python{MINOR}"):
        link = environment / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(interpreter)
    told = f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"
    (environment / "pyvenv.cfg").write_text(told)


def _lend(bare: bool, site: Path, vllm: Path) -> None:
    """What we lack is looked for beside the vendor's torch; vLLM runs where the vendor put it."""
    torch, engine = find_spec("torch"), find_spec("vllm")
    if torch is not None and torch.origin is not None and engine is not None:
        # Our own packages come first: what is appended here is asked last.
        (site / "vendor.pth").write_text(f"{Path(torch.origin).parents[1]}\n")
    elif not bare:
        raise SystemExit("this image lacks torch or vLLM: build on a vendor's, or give GPU_EXTRAS=none")
    vllm.parent.mkdir(parents=True, exist_ok=True)
    # Not a link: the Python of an environment finds it by the path that it is called by.
    vllm.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    vllm.chmod(0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])
