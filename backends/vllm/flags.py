"""Options and share → the command line and the environment of `vllm serve`."""

import json
from collections.abc import Mapping
from pathlib import Path

from backends import interpreters
from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import InvalidRequest
from backends.vllm.options import Options, Value

PYTHON = "MOTLEY_VLLM_PYTHON"
GIB = 2**30

# vLLM's budget covers weights, activations and cache. Outside it lie the runtime's context and
# libraries, captured graphs and communication buffers: some 0.75 GiB on a small card, more on a
# large one. A share of 1 becomes 0.92, vLLM's own default.
HEADROOM_BYTES = 3 * GIB // 4
HEADROOM_PART = 0.08
LEAST_BUDGET = 0.01

# vLLM's own default on a CPU is nine tenths of the machine's memory.
CPU_CACHE_BYTES = GIB

SETTINGS = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # A replica serves what its source resolved to; nothing is fetched behind the operator's back.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_LOGGING_COLOR": "0",
    "PYTHONUNBUFFERED": "1",  # its last words must be out when it dies
}


def interpreter(options: Options, environment: Mapping[str, str]) -> str:
    """Raises InvalidRequest (`param="python"`) where none is named, or ours is: vLLM's pins clash
    with ours, so it never runs in this environment."""
    return interpreters.chosen(options.python, PYTHON, environment, "vLLM")


def command(python: str, model: ModelRef, options: Options, share: GpuShare, uds: Path) -> list[str]:
    """`uds`: the socket it will listen on. Raises InvalidRequest (`param="source"`) without files."""
    if model.path is None:
        raise InvalidRequest("the source names no folder of a model", param="source")
    if options.sleep and not share.share:
        raise InvalidRequest("vLLM sleeps on a card alone: without a share there is none", param="sleep")
    flags = [
        *("--uds", str(uds)),
        *("--served-model-name", model.name),
        "--disable-uvicorn-access-log",
        *_memory(options, share),
        *_given("--max-model-len", options.max_model_len),
        *_given("--max-num-seqs", options.max_num_seqs),
        *_given("--dtype", options.dtype),
        *_given("--quantization", options.quantization),
        *_given("--tool-call-parser", options.tool_call_parser),
        *_given("--reasoning-parser", options.reasoning_parser),
        *_given("--chat-template", options.chat_template),
        *(["--enable-sleep-mode"] if options.sleep else []),
        *(["--enforce-eager"] if options.enforce_eager else []),
        *(["--enable-auto-tool-choice"] if options.tool_call_parser else []),
        *_adapters(options),
    ]
    for name, value in options.extra.items():
        flags += _extra(name, value)
    return [python, "-m", "vllm.entrypoints.cli.main", "serve", str(model.path), *flags]


def environment(options: Options, ours: Mapping[str, str]) -> dict[str, str]:
    """The child's: ours, with the devices Ray made visible, less what would lead it to our packages."""
    # Its endpoints for that are among those for development; its socket is open to nobody else.
    sleeping = {"VLLM_SERVER_DEV_MODE": "1"} if options.sleep else {}
    return {**SETTINGS, **interpreters.kept(ours), **options.env, **sleeping}


def utilization(options: Options, share: GpuShare) -> float:
    """The part of each GPU's memory that vLLM may count on: the share less the headroom. Of several
    whole GPUs it is the part of each."""
    part = min(share.share, 1.0)
    least = HEADROOM_BYTES / share.vram if share.vram else 0.0
    headroom = options.headroom if options.headroom is not None else max(HEADROOM_PART * part, least)
    if headroom >= part:
        raise InvalidRequest("the share leaves no memory to the model beside the headroom", param="share")
    return round(part - headroom, 4)


def headroom_bytes(options: Options, share: GpuShare) -> int:
    """Of one GPU: what the share grants and vLLM does not count."""
    if options.headroom is not None:
        return int(options.headroom * share.vram)
    return max(HEADROOM_BYTES, int(HEADROOM_PART * min(share.share, 1.0) * share.vram))


def cache_width(options: Options) -> int:
    """Bytes of a number in the cache."""
    named = {name.removeprefix("--").replace("_", "-"): value for name, value in options.extra.items()}
    return 1 if str(named.get("kv-cache-dtype", "")).startswith("fp8") else 2


def _memory(options: Options, share: GpuShare) -> list[str]:
    if share.vendor == "cpu" or not share.share:
        size = options.kv_cache_memory_bytes or CPU_CACHE_BYTES
        return ["--kv-cache-memory-bytes", str(size)]
    gpus = int(share.share) if share.share > 1 else 1
    flags = ["--tensor-parallel-size", str(gpus)]
    if options.kv_cache_memory_bytes is None:
        return [*flags, "--gpu-memory-utilization", str(utilization(options, share))]
    # With an absolute size the budget decides nothing, but is still compared with what the card
    # says is free: where that reading lies, only a small budget passes.
    cache = str(options.kv_cache_memory_bytes)
    return [*flags, "--kv-cache-memory-bytes", cache, "--gpu-memory-utilization", str(LEAST_BUDGET)]


def _adapters(options: Options) -> list[str]:
    if not options.lora:
        return []
    named = [json.dumps({"name": name, "path": path}) for name, path in options.lora.items()]
    return ["--enable-lora", *_given("--max-lora-rank", options.max_lora_rank), "--lora-modules", *named]


def _given(flag: str, value: object) -> list[str]:
    return [] if value is None else [flag, str(value)]


def _extra(name: str, value: Value) -> list[str]:
    bare = name.removeprefix("--").replace("_", "-")
    if value is True:
        return [f"--{bare}"]
    if value is False:
        return [f"--no-{bare}"]
    if isinstance(value, list):
        return [f"--{bare}", *value]
    return [f"--{bare}={json.dumps(value) if isinstance(value, dict) else value}"]
