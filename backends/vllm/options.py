"""The knobs of the engine `vllm`, as they stand in a fleet. Pure: checked on any laptop."""

from typing import Any

from pydantic import BaseModel, Field, field_validator

# Flags that are not for `extra`, and why, or what to set instead.
OWN = {
    "model": "set `source`",
    "served-model-name": "it is the model's name",
    "uds": "the child is reached in one way",
    "host": "the child is reached in one way",
    "port": "the child is reached in one way",
    "grpc-port": "the child is reached in one way",
    "root-path": "the child is reached in one way",
    "ssl-keyfile": "the child is reached in one way",
    "ssl-certfile": "the child is reached in one way",
    "ssl-ca-certs": "the child is reached in one way",
    "api-key": "keys are the door's",
    "headless": "the child must answer",
    "config": "write the options themselves",
    "disable-fastapi-docs": "the fields it knows are read there",
    "disable-uvicorn-access-log": "the door logs requests",
    "tensor-parallel-size": "set `place.share`",
    "gpu-memory-utilization": "set `place.share` and `headroom`",
    "kv-cache-memory-bytes": "set `kv_cache_memory_bytes`",
    "max-model-len": "set `max_model_len`",
    "max-num-seqs": "set `max_num_seqs`",
    "dtype": "set `dtype`",
    "quantization": "set `quantization`",
    "enforce-eager": "set `enforce_eager`",
    "enable-auto-tool-choice": "set `tool_call_parser`",
    "enable-sleep-mode": "set `sleep`",
    "tool-call-parser": "set `tool_call_parser`",
    "reasoning-parser": "set `reasoning_parser`",
    "chat-template": "set `chat_template`",
    "trust-remote-code": "code that comes with a model is never run",
    "enable-lora": "set `lora`",
    "lora-modules": "set `lora`",
    "max-lora-rank": "set `max_lora_rank`",
}

Value = bool | int | float | str | list[str] | dict[str, Any]


class Options(BaseModel, extra="forbid"):
    """What is not here goes into `extra`, under vLLM's own names without the dashes in front:
    `{enable-prefix-caching: false, max-num-batched-tokens: 4096}`."""

    python: str | None = Field(
        None, description="The interpreter of vLLM's environment on the node; else MOTLEY_VLLM_PYTHON."
    )
    headroom: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Part of one GPU, within the share, that is left to what vLLM does not count.",
    )
    kv_cache_memory_bytes: int | None = Field(
        None,
        ge=2**20,
        description="Bytes of cache, instead of what the share leaves; for GPUs whose reading lies.",
    )
    max_model_len: int | None = Field(None, ge=16, description="The longest context, in tokens.")
    max_num_seqs: int | None = Field(None, ge=1, description="Answers computed at once.")
    dtype: str | None = None
    quantization: str | None = None
    enforce_eager: bool = Field(False, description="No compilation, no graphs: starts sooner, runs slower.")
    sleep: bool = Field(
        False,
        description="In a slot, on a card: its weights wait in the machine's memory while others are there.",
    )
    tool_call_parser: str | None = Field(None, description="vLLM's parser of this model's tool calls.")
    reasoning_parser: str | None = Field(None, description="vLLM's parser of this model's reasoning.")
    chat_template: str | None = Field(
        None, description="A template file on the node, instead of the model's."
    )
    lora: dict[str, str] = Field(
        {}, description="Adapters: name → folder on the node. An alias of that name asks for the adapter."
    )
    max_lora_rank: int | None = Field(None, ge=1)
    start_timeout_s: float = Field(1800, gt=0, description="Seconds a start may take, weights and warming.")
    env: dict[str, str] = Field({}, description="Further variables of the child's environment.")
    extra: dict[str, Value] = Field({}, description="Further flags of `vllm serve`.")

    @field_validator("extra")
    @classmethod
    def _nothing_of_ours(cls, extra: dict[str, Value]) -> dict[str, Value]:
        for given, value in extra.items():
            if isinstance(value, list) and any(part.startswith("-") for part in value):
                raise ValueError(
                    f"a value of '{given}' begins with a dash: write each flag as a key of its own"
                )
            name = given.removeprefix("--").replace("_", "-")
            bare = name.removeprefix("no-")
            # vLLM's parser completes a flag that is written in part.
            own = next((flag for flag in OWN if bare and flag.startswith(bare)), None)
            if own is not None or not bare:
                raise ValueError(f"'{given}' is not taken here: {OWN[own] if own else 'it names no flag'}")
        return extra
