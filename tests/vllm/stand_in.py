"""Stands in for vLLM's interpreter in tests: `stand_in.py -m vllm.entrypoints.cli.main serve …`.

It prints lines as vLLM prints them and answers as vLLM answers. A word in the last message makes it
misbehave: `!slow` (`max_tokens`, one every 20 ms; so are answers of 500 and more),
`!die` (after two events), `!dead` (as when the engine
behind its HTTP server is gone), `!broken` (an error after two events), `!bug`, `!full`, `!late` (no
byte for a minute). In the folder STAND_IN_NOTES it writes what it was started with; a file named
`refuse` there makes it end before it serves.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aiohttp import web

WINDOW = 1024
SCHEMA = {"properties": dict.fromkeys((
    "messages", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature",
    "top_p", "n", "seed", "stop", "tools", "tool_choice", "response_format", "logprobs", "top_logprobs",
    "top_k", "kv_transfer_params", "user", "reasoning_effort", "logit_bias", "parallel_tool_calls",
))}  # fmt: skip
SCHEMAS = {
    "ChatCompletionRequest": SCHEMA,
    "CompletionRequest": {"properties": dict.fromkeys((
        "prompt", "model", "stream", "stream_options", "max_tokens", "temperature", "n", "echo", "suffix",
        "logprobs", "user",
    ))},
    "ResponsesRequest": {"properties": dict.fromkeys((
        "input", "model", "stream", "store", "instructions", "max_output_tokens", "temperature", "tools",
        "tool_choice", "reasoning", "text", "include", "top_logprobs", "metadata", "truncation",
        "parallel_tool_calls", "previous_input_messages",
    ))},
    "TokenizeCompletionRequest": {"properties": dict.fromkeys(("prompt", "model", "add_special_tokens"))},
    "TokenizeChatRequest": {"properties": dict.fromkeys((
        "messages", "model", "add_generation_prompt", "continue_final_message", "chat_template",
        "chat_template_kwargs", "tools",
    ))},
    "DetokenizeRequest": {"properties": dict.fromkeys(("tokens", "model"))},
}  # fmt: skip
STARTING = """\
(APIServer pid=1) INFO 11-21 12:00:00 [model.py:1] Resolved architecture: Qwen3ForCausalLM
(EngineCore pid=2) INFO 11-21 12:00:01 [gpu_model_runner.py:5040] Starting to load model m...
\rLoading safetensors checkpoint shards:   0% Completed | 0/2
\rLoading safetensors checkpoint shards:  50% Completed | 1/2
(EngineCore pid=2) INFO 11-21 12:00:02 [backends.py:399] Compiling a graph for compile range (1, 2048)
(EngineCore pid=2) WARNING 11-21 12:00:03 [x.py:1] something to know
(APIServer pid=1) INFO:     Application startup complete.
"""


class Server:
    def __init__(self, name: str) -> None:
        self.name, self.running, self.dead, self.asleep = name, 0, False, False

    def routes(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/openapi.json", self.schema)
        app.router.add_get("/v1/models", self.models)
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses"):
            app.router.add_post(path, self.chat)
        app.router.add_post("/tokenize", self.tokenize)
        app.router.add_post("/detokenize", self.detokenize)
        if os.environ.get("VLLM_SERVER_DEV_MODE") == "1":
            app.router.add_post("/sleep", self.sleep)
            app.router.add_post("/wake_up", self.wake)
        return app

    async def health(self, request: web.Request) -> web.Response:
        return web.Response(status=503 if self.dead else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=f'vllm:num_requests_running{{model_name="{self.name}"}} {self.running}.0\n')

    async def schema(self, request: web.Request) -> web.Response:
        return web.json_response({"components": {"schemas": SCHEMAS}})

    async def sleep(self, request: web.Request) -> web.Response:
        if "--enable-sleep-mode" not in sys.argv or request.query.get("level") != "1":
            return refused(500, "sleep mode is not enabled", "InternalServerError", None)
        self.asleep = True
        return web.json_response({"status": "sleeping", "level": 1})

    async def wake(self, request: web.Request) -> web.Response:
        self.asleep = False
        return web.json_response({"status": "awake", "tags": None})

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": self.name, "max_model_len": WINDOW}]})

    async def tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("chat_template"):
            return refused(400, "Refused request with untrusted chat template.", "BadRequestError", None)
        # Its template has an effort where the tests say so, as a model's has it or not.
        effort = (body.get("chat_template_kwargs") or {}).get("reasoning_effort", "")
        text = str(body.get("prompt") or body.get("messages"))
        text += effort if os.environ.get("STAND_IN_THINKS") else ""
        tokens = list(text.encode())
        told = {"count": len(tokens), "max_model_len": WINDOW, "tokens": tokens, "token_strs": None}
        return web.json_response(told)

    async def detokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        return web.json_response({"prompt": bytes(body["tokens"]).decode()})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        said = asked_for(body)
        if self.asleep:
            return refused(500, "it sleeps", "InternalServerError", None)
        if body["model"] != self.name:
            return refused(404, "The model does not exist.", "NotFoundError", "model")
        if len(said) > 4 * WINDOW:
            message = (
                f"This model's maximum context length is {WINDOW} tokens. (parameter=input_text, value=9)"
            )
            return refused(400, message, "BadRequestError", "input_text")
        if (body.get("max_tokens") or 0) > WINDOW:
            return refused(
                400, f"max_tokens cannot be greater than {WINDOW}.", "BadRequestError", "max_tokens"
            )
        if not isinstance(body.get("temperature", 1.0), float | int):
            mistake = {"type": "float", "loc": "body.temperature", "msg": "Input should be a number"}
            message = f"1 validation error:\n  {mistake | {'input': 'x'}}"
            return refused(400, message, "Bad Request", "body.temperature")
        if "!bug" in said:
            return refused(500, "Traceback: /opt/secret/place.py", "InternalServerError", None)
        if "!full" in said:
            return refused(503, "KV cache load failed", "ServiceUnavailableError", None)
        if "!dead" in said:
            self.dead = True
            return refused(500, "EngineCore encountered an issue.", "InternalServerError", None)
        self.running += 1
        try:
            if "!late" in said:
                await asyncio.sleep(60)
            if body.get("stream"):
                return await self.streamed(request, body, said)
            if "!slow" in said:
                await asyncio.sleep(60)
            make = response if request.path == "/v1/responses" else document
            return web.Response(body=make(self.name, request, body), content_type="application/json")
        finally:
            self.running -= 1

    async def streamed(self, request: web.Request, body: dict[str, Any], said: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        wanted = body.get("max_tokens") or 3
        slow = "!slow" in said or wanted >= 500
        many = wanted if slow else min(wanted, 3)
        options = body.get("stream_options") or {}
        if request.path == "/v1/responses":
            told = named(self.name, request, body, many)
        elif "!think" in said:
            told = thoughts(self.name, request)
        else:
            told = events(self.name, request, many, options)
        for number, event in enumerate(told):
            await response.write(event)
            if "!die" in said and number == 2:
                print("(EngineCore pid=2) ERROR 11-21 12:00:09 [core.py:1] last words", flush=True)
                await asyncio.sleep(0.1)
                os._exit(9)
            if "!broken" in said and number == 2 and request.path == "/v1/responses":
                assert request.transport is not None
                request.transport.close()
                return response
            if "!broken" in said and number == 2:
                error = {"message": "Internal server error", "type": "InternalServerError", "code": 500}
                await response.write(
                    b"data: " + json.dumps({"error": error}).encode() + b"\n\ndata: [DONE]\n\n"
                )
                return response
            await asyncio.sleep(0.02 if slow or "!die" in said else 0)
        return response


def refused(status: int, message: str, kind: str, param: str | None) -> web.Response:
    error = {"message": message, "type": kind, "param": param, "code": status}
    return web.json_response({"error": error}, status=status)


def head(name: str, request: web.Request, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request.headers['x-request-id']}", "object": kind, "created": 1, "model": name}


def packed(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def events(name: str, request: web.Request, many: int, options: dict[str, Any]) -> list[bytes]:
    top = head(name, request, "chat.completion.chunk")
    chunks = [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    ]
    # What a model writes about the wire must not be taken for the wire.
    words = [
        'said "usage": 1 and "finish_reason":"stop", "model":"' + name + '"\n\n data: [DONE]\n\n',
        " ünï",
        " end",
    ]
    for number in range(many):
        text = words[number] if number < len(words) else f" w{number}"
        chunks.append({"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None})
    chunks.append({"index": 0, "delta": {"content": ""}, "logprobs": None, "finish_reason": "length"})
    out = [b"data: " + packed({**top, "choices": [chunk]}) + b"\n\n" for chunk in chunks]
    if options.get("include_usage"):
        usage = {"prompt_tokens": 5, "total_tokens": 5 + many, "completion_tokens": many}
        out.append(b"data: " + packed({**top, "choices": [], "usage": usage}) + b"\n\n")
    return [*out, b"data: [DONE]\n\n"]


THOUGHT = 'I "reasoning":"x" think \\ so\\'


def thoughts(name: str, request: web.Request) -> list[bytes]:
    top = head(name, request, "chat.completion.chunk")
    deltas: list[tuple[dict[str, Any], str | None]] = [
        ({"role": "assistant", "content": ""}, None),
        ({"reasoning": THOUGHT}, None),
        ({"content": "yes"}, None),
        ({}, "stop"),
    ]
    chunks = [{"index": 0, "delta": delta, "finish_reason": finish} for delta, finish in deltas]
    usage = {"prompt_tokens": 5, "total_tokens": 7, "completion_tokens": 2}
    out = [b"data: " + packed({**top, "choices": [chunk]}) + b"\n\n" for chunk in chunks]
    return [*out, b"data: " + packed({**top, "choices": [], "usage": usage}) + b"\n\n", b"data: [DONE]\n\n"]


def asked_for(body: dict[str, Any]) -> str:
    """The caller's last words."""
    if "messages" in body:
        return str(body["messages"][-1]["content"])
    said = body["input"] if "input" in body else body["prompt"]
    return said if isinstance(said, str) else str(said[-1])


def answer_to(name: str, body: dict[str, Any], text: str, status: str) -> dict[str, Any]:
    """A response as vLLM writes it, with what it echoes."""
    part = {"annotations": [], "text": text, "type": "output_text", "logprobs": None}
    message = {
        "id": "msg_1",
        "content": [part],
        "role": "assistant",
        "status": "completed",
        "type": "message",
    }
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    return {
        "id": "resp_1",
        "created_at": 1,
        "metadata": body.get("metadata"),
        "model": name,
        "object": "response",
        "output": [{**message, "type": "message"}] if text else [],
        "parallel_tool_calls": True,
        "tool_choice": "none",
        "tools": body.get("tools") or [],
        "status": status,
        "usage": usage if text else None,
        "echo": body,
    }


def response(name: str, request: web.Request, body: dict[str, Any]) -> bytes:
    return packed(answer_to(name, body, 'a "model":"' + name + '"', "completed"))


def named(name: str, request: web.Request, body: dict[str, Any], many: int) -> list[bytes]:
    """The events of a response: its beginning, its text word by word, the whole of it."""
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    words = ['said "response": {"model":"' + name + '"}\n\nevent: error\ndata: {}\n\n', " ünï", " end"]
    words += [f" w{number}" for number in range(3, many)]
    begun, whole = (
        answer_to(name, body, *end) for end in (("", "in_progress"), ("".join(words), "completed"))
    )
    item = whole["output"][0]
    events: list[dict[str, Any]] = [
        {"response": begun, "type": "response.created"},
        {"item": {**item, "content": []}, "output_index": 0, "type": "response.output_item.added"},
        {"part": {**item["content"][0], "text": ""}, **at, "type": "response.content_part.added"},
        *({"delta": word, **at, "logprobs": [], "type": "response.output_text.delta"} for word in words),
        {"text": "".join(words), **at, "logprobs": [], "type": "response.output_text.done"},
        {"item": item, "output_index": 0, "type": "response.output_item.done"},
        {"response": whole, "type": "response.completed"},
    ]
    return [
        f"event: {event['type']}\ndata: ".encode() + packed({"sequence_number": number, **event}) + b"\n\n"
        for number, event in enumerate(events)
    ]


def document(name: str, request: web.Request, body: dict[str, Any]) -> bytes:
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": 'a "model":"' + name + '"'},
    }
    if "!think" in asked_for(body):
        choice["message"]["reasoning"] = THOUGHT
    return packed({
        **head(name, request, "chat.completion"),
        "choices": [{**choice, "finish_reason": "stop", "stop_reason": None}],
        "usage": {"prompt_tokens": 5, "total_tokens": 7, "completion_tokens": 2},
        "echo": body,
    })  # fmt: skip


def note(folder: Path | None, **said: Any) -> None:
    if folder is not None:
        with (folder / "started").open("a") as notes:
            print(json.dumps(said), file=notes)


def main(arguments: list[str]) -> None:
    assert arguments[:3] == ["-m", "vllm.entrypoints.cli.main", "serve"], arguments
    flags, notes = arguments[4:], os.environ.get("STAND_IN_NOTES")
    folder = Path(notes) if notes else None
    note(folder, at=time.time(), flags=flags, environment=dict(os.environ))
    print(STARTING, end="", flush=True)
    time.sleep(float(os.environ.get("STAND_IN_S", "0")))
    if folder and (folder / "refuse").exists():
        sys.exit("ValueError: no memory at /opt/secret/place.py")
    # As vLLM's engine core: a process of its own, which must not outlive the rest.
    core = subprocess.Popen(["sleep", "600"])
    note(folder, up=time.time(), core=core.pid)
    server = Server(flags[flags.index("--served-model-name") + 1])
    web.run_app(server.routes(), path=flags[flags.index("--uds") + 1], print=None, handler_cancellation=True)


if __name__ == "__main__":
    main(sys.argv[1:])
