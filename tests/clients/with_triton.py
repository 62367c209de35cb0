"""What Triton's client makes of the endpoint that `OPENAI_BASE_URL` and `OPENAI_API_KEY` name, as JSON:
`with_triton.py PART…`. Its base URL has no `/v1`, and no scheme.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.http as triton
from question import DOCUMENTS, MODEL, QUERY
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.http import aio as triton_aio
from tritonclient.utils import InferenceServerException

URL = os.environ["OPENAI_BASE_URL"].removesuffix("/v1").partition("://")[2]
KEY = f"Bearer {os.environ['OPENAI_API_KEY']}"
CHAT, VECTORS = os.environ["CHAT_MODEL"], os.environ.get("VECTORS_MODEL", "all-minilm-l6-v2")
EAR, VOICE = "pocketsphinx-en", "espeak-ng"
CLIENT = triton.InferenceServerClient(URL, network_timeout=60, connection_timeout=60)


def headers() -> dict[str, str]:
    """Made anew each time: the client writes into it."""
    return {"Authorization": KEY}


def tensor(name: str, *elements: str | bytes, binary: bool = True) -> Any:
    rows = [one.encode() if isinstance(one, str) else one for one in elements]
    made = InferInput(name, [len(rows)], "BYTES")
    return made.set_data_from_numpy(np.array(rows, dtype=np.object_), binary_data=binary)


def ask(model: str, *inputs: Any, **more: Any) -> Any:
    return CLIENT.infer(model, list(inputs), headers=headers(), **more)


def texts(answer: Any, name: str) -> list[str]:
    """Of JSON the client makes strings, of binary data bytes."""
    return [one if isinstance(one, str) else one.decode() for one in answer.as_numpy(name)]


def server() -> dict[str, Any]:
    index = CLIENT.get_model_repository_index(headers=headers())
    return {
        "live": CLIENT.is_server_live(),
        "ready": CLIENT.is_server_ready(),
        "about": CLIENT.get_server_metadata(headers=headers()),
        "model_ready": [
            CLIENT.is_model_ready(CHAT, version, headers=headers()) for version in ("", "1", "2")
        ],
        "nobody_ready": CLIENT.is_model_ready("nobody", headers=headers()),
        "metadata": {name: CLIENT.get_model_metadata(name, headers=headers()) for name in (CHAT, VECTORS)},
        "index": {one["name"]: one["state"] for one in index},
    }


def chat() -> dict[str, Any]:
    question = "What is the capital of Japan?"
    talk = json.dumps([{"role": "user", "content": question}])
    several = ask(
        CHAT, tensor("messages", talk, talk.replace("Japan", "France")), parameters={"temperature": 0}
    )
    json_alone = ask(
        CHAT, tensor("prompt", question, binary=False), outputs=[InferRequestedOutput("text", False)]
    )
    return {
        "prompt": texts(ask(CHAT, tensor("prompt", question), request_id="mine"), "text"),
        "several": texts(several, "text"),
        "finish": texts(several, "finish_reason"),
        "responses": [json.loads(one) for one in texts(several, "response")],
        "told": several.get_response()["parameters"],
        "json": texts(json_alone, "text"),
        "outputs": [one["name"] for one in json_alone.get_response()["outputs"]],
    }


def embed() -> dict[str, Any]:
    answer = ask(VECTORS, tensor("text", "one", "two", "three"))
    plain = ask(
        VECTORS,
        tensor("text", "one", "two", "three", binary=False),
        outputs=[InferRequestedOutput("embedding", False)],
    )
    narrow = ask(VECTORS, tensor("text", "one"), parameters={"dimensions": 64})
    return {
        "shape": answer.as_numpy("embedding").shape,
        "kind": str(answer.as_numpy("embedding").dtype),
        "rows": answer.as_numpy("embedding")[:, :8].tolist(),
        "plain": plain.as_numpy("embedding")[:, :8].tolist(),
        "narrow": narrow.as_numpy("embedding").shape,
    }


def rank() -> dict[str, Any]:
    answer = ask(MODEL, tensor("query", QUERY), tensor("documents", *DOCUMENTS))
    return {"scores": answer.as_numpy("scores").tolist()}


def sound() -> dict[str, Any]:
    """Spoken, and heard again."""
    asked = {"voice": "nova", "response_format": "wav"}
    said = "I would like to order a cup of coffee, please."
    spoken = ask(VOICE, tensor("text", said), parameters=asked).as_numpy("audio")
    heard = ask(EAR, tensor("audio", spoken[0]), parameters={"response_format": "srt"})
    return {
        "shape": spoken.shape,
        "begins": spoken[0][:4].decode(),
        "text": texts(heard, "text")[0],
        "duration": float(heard.as_numpy("duration")[0]),
        "response": texts(heard, "response")[0],
    }


def aio() -> dict[str, Any]:
    async def awaited() -> Any:
        async with triton_aio.InferenceServerClient(URL) as client:
            answer = await client.infer(VECTORS, [tensor("text", "one")], headers=headers())
            return answer.as_numpy("embedding").shape

    return {"shape": asyncio.run(awaited())}


def loads() -> dict[str, Any]:
    """Of a model that keeps no replica."""
    CLIENT.load_model("fake-cold", headers=headers())
    loaded = CLIENT.is_model_ready("fake-cold", headers=headers())
    CLIENT.unload_model("fake-cold", headers=headers())
    return {"loaded": loaded}


def refusals() -> dict[str, Any]:
    text = tensor("text", "one")
    strange = InferInput("text", [1], "FP32").set_data_from_numpy(np.zeros(1, dtype=np.float32))
    return {
        "model": refusal(lambda: ask("nobody", text)),
        "version": refusal(lambda: ask(VECTORS, text, model_version="7")),
        "key": refusal(lambda: CLIENT.infer(VECTORS, [text], headers={"Authorization": "Bearer sk-wrong"})),
        "tensor": refusal(lambda: ask(VECTORS, tensor("words", "one"))),
        "kind": refusal(lambda: ask(VECTORS, strange)),
        "parameter": refusal(lambda: ask(VECTORS, text, parameters={"no_such": 1})),
        "sequence": refusal(lambda: ask(VECTORS, text, sequence_id=3, sequence_start=True)),
        "output": refusal(lambda: ask(VECTORS, text, outputs=[InferRequestedOutput("score")])),
        "classes": refusal(
            lambda: ask(VECTORS, text, outputs=[InferRequestedOutput("embedding", class_count=2)])
        ),
        "compressed": refusal(lambda: ask(VECTORS, text, request_compression_algorithm="gzip")),
        "elsewhere": refusal(lambda: CLIENT.get_log_settings(headers=headers())),
        "config": refusal(lambda: CLIENT.load_model(CHAT, config="{}", headers=headers())),
    }


def refusal(call: Callable[[], object]) -> dict[str, Any]:
    try:
        call()
    except InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}
    return {"status": "200"}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "server": server, "chat": chat, "embed": embed, "rank": rank, "sound": sound, "aio": aio,
    "loads": loads, "refusals": refusals,
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps({part: PARTS[part]() for part in sys.argv[1:]}))
