"""What all request bodies share."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from backends.contract.errors import InvalidRequest

# Which server answers, with whose key, from which file, with which flags: that is the fleet's. No server of
# which we know takes one of these to shape an answer, and some that stand behind a variant obey them.
STEERING = frozenset({
    "api_base", "api_key", "api_type", "api_url", "api_version", "base_url", "custom_llm_provider",
    "default_headers", "default_query", "ec_transfer_params", "engine_args", "extra_body", "extra_headers",
    "extra_query", "fallbacks", "headers", "http_client", "kv_transfer_params", "lora_path", "lora_request",
    "media_io_kwargs", "mm_processor_kwargs", "mock_response", "model_info", "model_list", "model_path",
    "prompt_embeds", "proxies", "proxy", "router_settings", "trust_remote_code", "user_config",
})  # fmt: skip
# Of clouds' credentials, and of a gateway's own.
STEERING_OF = ("aws_", "azure_", "gcp_", "litellm_", "vertex_", "watsonx_")


class Wire(BaseModel):
    """Lossless: what we do not know is kept. `model` may come from the path's alias instead.

    JSON types are taken as they are: `"1"` is no number and `"yes"` no boolean.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    model: str | None = None

    @model_validator(mode="after")
    def _steers_nothing(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            plain = name.lower().replace("-", "_")
            if value not in (None, "", {}, []) and (plain in STEERING or plain.startswith(STEERING_OF)):
                raise InvalidRequest(f"'{name}' is the operator's to say, not a request's", param=name)
        return self


class Strict(BaseModel):
    """Documents of our own and of the open inference protocol: nothing unknown, JSON types as they are."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Closed(Wire):
    """For endpoints that forward nothing: a field is honoured or refused, never ignored."""

    @model_validator(mode="after")
    def _nothing_unknown(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if value is not None:
                raise InvalidRequest(f"'{name}' is not offered on this endpoint", param=name)
        return self
