"""`motley try`: one real request per verb, as a user's own program would make it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import httpx2
import openai
import typer
from openai import OpenAI
from rich.console import Console
from rich.table import Table

from app.cli.at import NO_KEY, URL, Key, Url

SENTENCE = "I would like to order a cup of coffee please."
PAIR = ("The cat sleeps on the sofa.", "A kitten naps on the couch.")
STRANGER = "The central bank raised its interest rates."
QUERY = "How do plants make their food?"
DOCUMENTS = [
    "Plants make sugar from light, water and air.",
    "How to make food for a party.",
    "A plant that makes cars.",
]


def try_(
    url: Url = URL,
    key: Key = NO_KEY,
    wav: Annotated[Path, typer.Option(help="Where the spoken sentence is saved.")] = Path("motley-try.wav"),
) -> None:
    """Ask each verb once with the OpenAI SDK, and show what came, how fast and from where."""
    client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    console = Console()
    try:
        models = {model.model_dump()["task"]: model.id for model in reversed(list(client.models.list()))}
    except openai.OpenAIError as error:
        console.print(f"{url} does not answer: {error}", style="red")
        raise typer.Exit(1) from None
    asks: dict[str, Callable[[OpenAI, str, Path], tuple[Any, str]]] = {
        "chat": _chat,
        "speak": _speak,
        "transcribe": _transcribe,
        "embed": _embed,
        "rerank": _rerank,
    }
    table, failed = Table(), False
    for heading in ("verb", "model", "result", "time", "engine", "node"):
        table.add_column(heading, justify="right" if heading == "time" else "left")
    for verb, ask in asks.items():
        if verb not in models:
            continue
        began = time.perf_counter()
        try:
            headers, result = ask(client, models[verb], wav)
            taken = f"{(time.perf_counter() - began) * 1000:.0f} ms"
            where = headers["x-motley-engine"], headers["x-motley-node"]
        except (openai.OpenAIError, OSError) as error:
            failed, result, taken, where = True, f"[red]{error}[/]", "–", ("–", "–")
        table.add_row(verb, models[verb], result, taken, *where)
    console.print(table)
    if failed:
        raise typer.Exit(1)


def _chat(client: OpenAI, model: str, _wav: Path) -> tuple[Any, str]:
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "Who are you?"}], temperature=0, max_tokens=60
    )
    return raw.headers, raw.parse().choices[0].message.content or ""


def _speak(client: OpenAI, model: str, wav: Path) -> tuple[Any, str]:
    raw = client.audio.speech.with_raw_response.create(
        model=model, voice="nova", input=SENTENCE, response_format="wav"
    )
    wav.write_bytes(raw.content)
    return raw.headers, f"{SENTENCE!r} → {wav} ({len(raw.content) // 1024} KiB)"


def _transcribe(client: OpenAI, model: str, wav: Path) -> tuple[Any, str]:
    with wav.open("rb") as spoken:
        raw = client.audio.transcriptions.with_raw_response.create(model=model, file=spoken)
    return raw.headers, f"heard {raw.parse().text!r}"


def _embed(client: OpenAI, model: str, _wav: Path) -> tuple[Any, str]:
    raw = client.embeddings.with_raw_response.create(model=model, input=[*PAIR, STRANGER])
    one, two, other = (row.embedding for row in raw.parse().data)
    alike, unlike = _dot(one, two), _dot(one, other)
    return raw.headers, f"{len(one)} dimensions; two cats {alike:.2f} alike, cat and bank {unlike:.2f}"


def _rerank(client: OpenAI, model: str, _wav: Path) -> tuple[Any, str]:
    body = {"model": model, "query": QUERY, "documents": DOCUMENTS}
    # No method of the SDK's own: rerank is Jina's and Cohere's, not OpenAI's.
    raw = client.post("/rerank", cast_to=httpx2.Response, body=body)
    best = raw.json()["results"][0]
    return raw.headers, f"{QUERY!r} → {DOCUMENTS[best['index']]!r} ({best['relevance_score']:.2f})"


def _dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
