"""Weights that are Python pickles run whatever their author wrote as they are read. They stay out, unless the
fleet says `allow_pickle: true` of the model."""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from backends.contract.errors import SourceFailed

SAFE = (".safetensors", ".onnx", ".gguf")
# Names that pickles have. CTranslate2's `model.bin` is none, so a file's own bytes decide.
MAYBE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".th", ".nemo")
# By name alone: PyTorch's weights as transformers writes them, and what a training leaves behind.
_SURELY = re.compile(
    r"(pytorch_model.*|adapter_model|diffusion_pytorch_model|training_args|optimizer|scheduler)\.bin"
    r"|.*\.(pt|pth|ckpt|pkl|pickle|joblib|th)"
)
# The same weights once more, for frameworks that no engine here has.
_ELSEWHERE = re.compile(r"(tf_model.*\.h5|flax_model.*\.msgpack|rust_model\.ot)")
_PROTOCOLS = {bytes((0x80, version)) for version in range(2, 6)}


def wanted(paths: Iterable[str]) -> set[str]:
    """What is worth bringing without pickles: all but those that are surely some, and what nobody reads."""
    names = {path: PurePosixPath(path).name for path in paths}
    return {
        path for path, name in names.items() if not (_SURELY.fullmatch(name) or _ELSEWHERE.fullmatch(name))
    }


def refuse(folder: Path) -> None:
    """Raises SourceFailed for a folder, or a file, whose weights are pickles. Where the same folder holds
    safe ones, these are what engines read, and the others do no harm."""
    files = [folder] if folder.is_file() else [one for one in folder.rglob("*") if one.is_file()]
    safe = {one.parent for one in files if one.suffix in SAFE}
    for file in files:
        if file.suffix in MAYBE and file.parent not in safe and is_pickle(file):
            raise refused()


def refused() -> SourceFailed:
    return SourceFailed.because(
        "unsafe",
        "its weights are pickles, which may run any code: take a safetensors or ONNX version of the model, "
        "or trust this one by `allow_pickle: true`",
        param="allow_pickle",
    )


def is_pickle(file: Path) -> bool:
    """PyTorch's zip files hold one, its older files and other libraries' begin with one."""
    with open(file, "rb") as opened:
        head = opened.read(4)
    if head[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(file) as found:
                return any(name.endswith(".pkl") for name in found.namelist())
        except zipfile.BadZipFile:
            return True  # nobody can say otherwise
    return head[:2] in _PROTOCOLS or file.suffix in (".pkl", ".pickle", ".joblib", ".nemo")
