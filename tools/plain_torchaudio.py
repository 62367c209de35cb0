"""Take the compiled parts out of torchaudio, in the environment that runs this. For tests on a CPU.

Those on PyPI link CUDA's libraries and cannot be loaded beside a CPU build of torch; where they are
there, importing torchaudio fails. XTTS needs what is written in Python alone. Run it once, after
installing.
"""

import sys
from importlib.metadata import distribution, version
from pathlib import Path


def main() -> None:
    if not version("torch").endswith("+cpu"):
        sys.exit("this torch is no CPU build: its torchaudio is left as it is")
    for part in Path(str(distribution("torchaudio").locate_file("torchaudio/lib"))).glob("*.so"):
        part.unlink()
        print(f"removed {part.name}")


if __name__ == "__main__":
    main()
