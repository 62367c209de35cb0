"""Make optimum's ONNX half import beside a torch that is newer than it: `.venv-infinity`, for bench/vectors.

It takes private helpers from a module of torch's that has moved since. They are put back where it looks.
Run it once, after installing.

    .venv-infinity/bin/python tools/whole_optimum.py
"""

from importlib.metadata import distribution
from pathlib import Path

NAMES = "_attention_scale, _causal_attention_mask, _onnx_symbolic, _type_utils, jit_utils, symbolic_helper"
LINE = f"\nfrom torch.onnx._internal.torchscript_exporter.symbolic_opset14 import {NAMES}  # for optimum\n"

if __name__ == "__main__":
    file = Path(str(distribution("torch").locate_file("torch/onnx/symbolic_opset14.py")))
    if LINE not in (found := file.read_text()):
        file.write_text(found + LINE)
