"""An OpenAI-compatible server that sleeps: the last word asked, numbered, every 20 ms.

python bench/chat/pacer.py PORT
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import uvicorn

PACE_S = 0.02


Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


async def app(scope: Any, receive: Receive, send: Send) -> None:
    if scope["path"] == "/health":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
        return
    content = b""
    while True:
        message = await receive()
        content += message.get("body", b"")
        if not message.get("more_body"):
            break
    asked = orjson.loads(content)
    word = asked["messages"][-1]["content"].split()[-1]
    head = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    async for event in _events(asked, word):
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def _events(asked: dict[str, Any], word: str) -> AsyncIterator[bytes]:
    base = {"id": "chatcmpl-paced", "object": "chat.completion.chunk", "created": 0, "model": asked["model"]}
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number in range(asked["max_tokens"]):
        due += PACE_S
        await asyncio.sleep(due - loop.time())
        delta = {"content": f"{word}-{number} ", **({"role": "assistant"} if number == 0 else {})}
        yield _event(base, delta, None)
    yield _event(base, {}, "stop")


def _event(base: dict[str, Any], delta: dict[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({**base, "choices": [choice]}) + b"\n\n"


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
