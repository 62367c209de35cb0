"""Options and share → the command line of `vllm serve`."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import InvalidRequest
from backends.vllm import flags
from backends.vllm.options import Options

GIB = 2**30
REF = ModelRef("org/llama", "chat", "file:///models/llama", Path("/models/llama"))


def command(share: GpuShare, **options: object) -> list[str]:
    return flags.command("/venv/bin/python", REF, Options.model_validate(options), share, Path("/run/1.sock"))


def value(made: list[str], flag: str) -> str:
    assert made.count(flag) == 1
    return made[made.index(flag) + 1]


def test_the_least_there_is() -> None:
    made = command(GpuShare())
    assert made[:5] == ["/venv/bin/python", "-m", "vllm.entrypoints.cli.main", "serve", "/models/llama"]
    assert value(made, "--uds") == "/run/1.sock"
    assert value(made, "--served-model-name") == "org/llama"
    assert value(made, "--kv-cache-memory-bytes") == str(GIB)  # not nine tenths of the machine
    assert "--gpu-memory-utilization" not in made
    assert "--tensor-parallel-size" not in made


@pytest.mark.parametrize(
    ("share", "parallel", "part"),
    [
        (GpuShare(1, "nvidia", 80 * GIB), "1", 0.92),
        (GpuShare(4, "amd", 80 * GIB), "4", 0.92),
        (GpuShare(0.5, "nvidia", 80 * GIB), "1", 0.46),
        (GpuShare(0.5, "nvidia", 8 * GIB), "1", 0.4062),  # the runtime's own takes more of a small card
        (GpuShare(0.5, "intel", 0), "1", 0.46),
    ],
)
def test_the_share_is_what_it_may_take(share: GpuShare, parallel: str, part: float) -> None:
    made = command(share)
    assert value(made, "--tensor-parallel-size") == parallel
    assert float(value(made, "--gpu-memory-utilization")) == pytest.approx(part, abs=1e-4)
    assert "--kv-cache-memory-bytes" not in made


def test_it_can_sleep_on_a_card() -> None:
    assert "--enable-sleep-mode" in command(GpuShare(0.5, "nvidia", 80 * GIB), sleep=True)
    assert flags.environment(Options(sleep=True), {})["VLLM_SERVER_DEV_MODE"] == "1"
    assert "VLLM_SERVER_DEV_MODE" not in flags.environment(Options(), {})
    with pytest.raises(InvalidRequest) as refused:
        command(GpuShare(), sleep=True)
    assert refused.value.param == "sleep"


def test_shares_of_one_card_leave_room_for_one_another() -> None:
    parts = [flags.utilization(Options(), GpuShare(share, "nvidia", 24 * GIB)) for share in (0.5, 0.3, 0.2)]
    assert sum(parts) < 0.92
    assert flags.utilization(Options(headroom=0.1), GpuShare(0.5, "nvidia", 24 * GIB)) == 0.4
    with pytest.raises(InvalidRequest) as refused:
        flags.utilization(Options(), GpuShare(0.05, "nvidia", 8 * GIB))
    assert refused.value.param == "share"


def test_an_absolute_cache_where_the_reading_of_free_memory_lies() -> None:
    made = command(GpuShare(1, "amd", 96 * GIB), kv_cache_memory_bytes=4 * GIB)
    assert value(made, "--kv-cache-memory-bytes") == str(4 * GIB)
    assert float(value(made, "--gpu-memory-utilization")) < 0.05


def test_every_option_is_a_flag() -> None:
    made = command(
        GpuShare(),
        max_model_len=4096,
        max_num_seqs=8,
        dtype="bfloat16",
        quantization="awq",
        enforce_eager=True,
        tool_call_parser="hermes",
        reasoning_parser="qwen3",
        chat_template="/t.jinja",
        lora={"poet": "/lora/poet"},
        max_lora_rank=32,
        extra={
            "enable-prefix-caching": False,
            "disable_log_stats": True,
            "structured-outputs-config": {"backend": "xgrammar"},
            "max-num-batched-tokens": 2048,
            "allowed-origins": ["a", "b"],
        },
    )
    pairs = {
        "--max-model-len": "4096", "--max-num-seqs": "8", "--dtype": "bfloat16", "--quantization": "awq",
        "--tool-call-parser": "hermes", "--reasoning-parser": "qwen3", "--chat-template": "/t.jinja",
        "--max-lora-rank": "32",
    }  # fmt: skip
    for flag, wanted in pairs.items():
        assert value(made, flag) == wanted
    for flag in ("--enforce-eager", "--enable-auto-tool-choice", "--enable-lora", "--disable-log-stats"):
        assert made.count(flag) == 1
    assert json.loads(value(made, "--lora-modules")) == {"name": "poet", "path": "/lora/poet"}
    assert (
        made[-6:]
        == [
            "--no-enable-prefix-caching",
            "--disable-log-stats",
            '--structured-outputs-config={"backend": "xgrammar"}',
            "--max-num-batched-tokens=2048",
            *("--allowed-origins", "a", "b"),
        ][-6:]
    )
    assert "--no-enable-prefix-caching" in made


@pytest.mark.parametrize(
    "extra",
    [
        {"port": 80},
        {"--max-model-len": 5},
        {"max_model_len": 5},
        {"max-model": 5},  # vLLM's parser would complete it
        {"no-enforce-eager": True},
        {"tensor-parallel-size": 2},
        {"": 1},
        {"allowed-origins": ["--port", "80"]},
    ],
)
def test_an_extra_flag_cannot_overrule_ours(extra: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"extra": extra})


def test_a_source_without_files_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        flags.command("python", ModelRef("m", "chat", "builtin://no"), Options(), GpuShare(), Path("x"))
    assert refused.value.param == "source"
