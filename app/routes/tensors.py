"""Each verb's tensors as the request of its OpenAI route, and its answer as tensors."""

import asyncio
import binascii
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

import orjson
from fastapi import Request, UploadFile

from app.errors import checked
from app.formats import transcript
from app.formats.audio import encode_whole
from app.formats.tensors import Output
from app.guard.body import must_be_shallow
from app.routes import chat, embeddings, rerank, speech, transcriptions, translations
from app.routes.desk import Desk
from app.streaming import answer_or_gone, collected
from app.telemetry.visit import Visit
from app.wire.chat import ChatRequest
from app.wire.embeddings import EmbeddingsRequest
from app.wire.rerank import RerankRequest
from app.wire.speech import SpeechRequest
from app.wire.tensors import Tensor
from app.wire.transcription import TranscriptionForm, TranslationForm
from backends.contract.audio import HELD
from backends.contract.errors import InvalidRequest
from backends.contract.results import Usage
from backends.contract.tasks import Verb

# Conversations in one request: they are answered one after the other.
MOST_CHATS = 64
_HEAD = re.compile(r"\w+")

Tensors = Mapping[str, Tensor]
Fields = dict[str, Any]
Ask = Callable[[Tensors, Fields, Request, Desk], Awaitable[list[Output]]]


async def told(verb: Verb, tensors: Tensors, fields: Fields, request: Request, desk: Desk) -> list[Output]:
    """All outputs of the verb. `fields`: of the OpenAI request, those that are no tensors. Raises as its
    route does, with the tensor's name for a `param`."""
    with _tensors_are(**_NAMES.get(verb, {})):
        return await _VERBS[verb](tensors, fields, request, desk)


async def _chat(tensors: Tensors, fields: Fields, request: Request, desk: Desk) -> list[Output]:
    if len(tensors) != 1:
        raise InvalidRequest("give either 'prompt' or 'messages'", param="messages")
    (tensor,) = tensors.values()
    bodies = []
    for number, one in enumerate(_conversations(tensor)):
        with _tensors_are(messages=f"{tensor.name}[{number}]"):
            bodies.append(checked(ChatRequest, {**fields, "messages": one}))
    target = desk.target(request, "chat", bodies[0].model, bodies[0].user)
    visit = Visit.of(request.scope)
    if len(bodies) > 1:
        target.alone()  # what two models say would be one answer

    async def answers() -> list[bytes]:
        told, used = [], Usage()
        for number, body in enumerate(bodies):
            raw = body.model_dump(exclude_unset=True)
            with _tensors_are(messages=f"{tensor.name}[{number}]"):
                task = await chat.asked(raw, len(orjson.dumps(raw)), desk, visit)
                chunk = await chat.document(desk.upstream, target, task)
            used += chunk.usage or Usage()
            visit.usage = used
            told.append(chunk.events)
        return told

    documents = await answer_or_gone(request, answers())
    choices = [orjson.loads(one)["choices"][0] for one in documents]
    return [
        Output.texts("text", *(one["message"].get("content") or "" for one in choices)),
        Output.texts("finish_reason", *(one.get("finish_reason") or "" for one in choices)),
        Output.texts("response", *documents),
    ]


def _conversations(tensor: Tensor) -> list[Any]:
    if len(tensor.elements) > MOST_CHATS:
        said = f"'{tensor.name}' must have at most {MOST_CHATS} elements"
        raise InvalidRequest(said, param=tensor.name)
    texts = _texts(tensor)
    if tensor.name == "prompt":
        return [[{"role": "user", "content": text}] for text in texts]
    must_be_shallow(b",".join(tensor.elements))  # to the body's own eye they were strings
    try:
        return [orjson.loads(text) for text in texts]
    except orjson.JSONDecodeError:
        said = "'messages' must be JSON: each element an array of messages"
        raise InvalidRequest(said, param="messages") from None


async def _transcribe(tensors: Tensors, fields: Fields, request: Request, desk: Desk) -> list[Output]:
    """As if it had been uploaded: what is large goes on as a file."""
    data = _opaque(tensors, "audio")
    with SpooledTemporaryFile(max_size=HELD) as spool:
        await asyncio.to_thread(spool.write, data)
        spool.seek(0)
        return await _heard(UploadFile(cast(BinaryIO, spool), size=len(data)), fields, request, desk)


async def _heard(audio: UploadFile, fields: Fields, request: Request, desk: Desk) -> list[Output]:
    """`to: en` asks for a translation."""
    to = fields.pop("to", None)
    if to not in (None, "en"):
        raise InvalidRequest("'to' can be en", param="to")
    lists = TranslationForm.lists if to else TranscriptionForm.lists
    given = {f"{name}[]" if name in lists else name: value for name, value in fields.items()}
    if to:
        form = checked(TranslationForm, {**given, "file": audio})
        heard = await transcriptions.finished(await translations.asked(form, request, desk), request)
        told = translations.rendered(form, heard)
    else:
        asked = checked(TranscriptionForm, {**given, "file": audio})
        heard = await transcriptions.finished(await transcriptions.asked(asked, request, desk), request)
        told = transcriptions.rendered(asked, heard)
    return [
        Output.texts("text", transcript.as_text(heard, to=to)),
        Output.texts("language", to or transcript.spoken(heard)),
        Output.numbers("duration", heard[-1].position if heard else 0.0),
        Output.texts("response", bytes(told.body)),
    ]


async def _speak(tensors: Tensors, fields: Fields, request: Request, desk: Desk) -> list[Output]:
    (text,) = _texts(_needed(tensors, "text"))
    body = checked(SpeechRequest, {**fields, "input": text})
    visit = Visit.of(request.scope)
    spoken = speech.counted(await speech.asked(body, request, desk), visit)
    pieces = await answer_or_gone(request, collected(spoken))
    visit.characters = len(body.input)
    sound = await asyncio.to_thread(encode_whole, pieces, body.response_format or "mp3")
    return [Output("audio", "BYTES", (1,), [sound], opaque=True)]


async def _embed(tensors: Tensors, fields: Fields, request: Request, desk: Desk) -> list[Output]:
    body = checked(EmbeddingsRequest, {**fields, "input": _texts(_needed(tensors, "text"))})
    found = await embeddings.embedded(body, request, desk)
    return [Output("embedding", "FP32", (found.count, found.dimensions), found.data)]


async def _rerank(tensors: Tensors, fields: Fields, request: Request, desk: Desk) -> list[Output]:
    """Scores stand in the order of the documents."""
    (query,), documents = _texts(_needed(tensors, "query")), _texts(_needed(tensors, "documents"))
    body = checked(RerankRequest, {**fields, "query": query, "documents": documents})
    found = await rerank.ranked(body, request, desk)
    return [Output.numbers("scores", *found.scores)]


_VERBS: Mapping[Verb, Ask] = {
    "chat": _chat, "transcribe": _transcribe, "speak": _speak, "embed": _embed, "rerank": _rerank,
}  # fmt: skip
# What OpenAI's requests call that which is a tensor here.
_NAMES: Mapping[Verb, Mapping[str, str]] = {
    "transcribe": {"file": "audio"}, "speak": {"input": "text"}, "embed": {"input": "text"},
}  # fmt: skip


def _needed(tensors: Tensors, name: str) -> Tensor:
    if name not in tensors:
        raise InvalidRequest(f"the input '{name}' is required", param=name)
    return tensors[name]


def _texts(tensor: Tensor) -> list[str]:
    try:
        return [one.decode() for one in tensor.elements]
    except UnicodeDecodeError:
        raise InvalidRequest(f"'{tensor.name}' must be UTF-8", param=tensor.name) from None


def _opaque(tensors: Tensors, name: str) -> bytes:
    """Bytes that are no text: JSON has them in base64."""
    tensor = _needed(tensors, name)
    (given,) = tensor.elements
    if tensor.binary:
        return given
    try:
        return b64decode(given, validate=True)
    except binascii.Error:
        said = f"'{name}' must be base64 where it is sent as JSON, or else binary data"
        raise InvalidRequest(said, param=name) from None


@contextmanager
def _tensors_are(**names: str) -> Iterator[None]:
    """What is said of fields is said of the tensors that they came from."""
    try:
        yield
    except InvalidRequest as error:
        field = _HEAD.match(error.param or "")
        name = names.get(field[0]) if field else None
        if field and name and error.param:
            error.param = name + error.param[field.end() :]
            error.message = error.message.replace(f"'{field[0]}", f"'{name}")
        raise
