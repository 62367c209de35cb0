"""Lines as vLLM 0.32 writes them."""

import pytest

from backends.vllm import progress

CORE = "(EngineCore pid=41) INFO 11-21 12:00:00 "


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Fetching 12 files:  25%|██▌       | 3/12 [00:01<00:03]", ("downloading", 0.25)),
        (CORE + "[gpu_model_runner.py:5040] Starting to load model /m...", ("loading", None)),
        ("Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:09<00:09]", ("loading", 0.5)),
        (
            CORE + "[backends.py:399] Compiling a graph for compile range (1, 8192) takes 9.1 s",
            ("compiling", None),
        ),
        (
            CORE + "[gpu_model_runner.py:5150] Model loading took 13.5 GiB memory and 9.8 seconds",
            ("warming", None),
        ),
        ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  40%|████  | 14/35", ("warming", 0.4)),
        ("(APIServer pid=40) INFO:     Application startup complete.", ("warming", None)),
        ("(APIServer pid=40) INFO 11-21 12:00:00 [x.py:1] Resolved architecture: Qwen3ForCausalLM", None),
        ("", None),
    ],
)
def test_a_line_tells_the_stage(line: str, told: tuple[str, float | None] | None) -> None:
    assert progress.read(line) == told


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (CORE + "[x.py:1] fine", "info"),
        ("(EngineCore pid=41) ERROR 11-21 12:00:00 [core.py:1] Traceback", "error"),
        ("(APIServer pid=1) (Worker pid=2) WARNING 11-21 12:00:00 [x.py:1] hm", "warning"),
        ("WARNING 11-21 12:00:00 [x.py:1] hm", "warning"),
        ("Loading safetensors checkpoint shards: 50% ERROR", "debug"),
    ],
)
def test_a_line_keeps_its_level(line: str, level: str) -> None:
    assert progress.level(line) == level
