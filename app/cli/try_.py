"""`motley try`: one real request per verb, as a user's own program would make it."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.at import NO_KEY, URL, AsJson, Key, Url
from app.cli.stdout import stdout

if TYPE_CHECKING:
    from openai import OpenAI

SENTENCE = "I would like to order a cup of coffee please."
PAIR = ("The cat sleeps on the sofa.", "A kitten naps on the couch.")
STRANGER = "The central bank raised its interest rates."
QUERY = "How do plants make their food?"
DOCUMENTS = [
    "Plants make sugar from light, water and air.",
    "How to make food for a party.",
    "A plant that makes cars.",
]

Ask = Callable[["OpenAI", str, Path], tuple[Any, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one verb answered, or why it did not (`error`)."""

    verb: str
    model: str
    result: str | None = None
    seconds: float | None = None
    engine: str | None = None
    node: str | None = None
    error: str | None = None


def try_(
    url: Url = URL,
    key: Key = NO_KEY,
    wav: Annotated[Path, typer.Option(help="Where the spoken sentence is saved.")] = Path("motley-try.wav"),
    as_json: AsJson = False,
) -> None:
    """Ask each verb once with the OpenAI SDK.

    Shows what came, how fast and from where. Exits with 1 where one of them is not answered.
    """
    # The SDK takes longer to import than all other commands together: whoever calls those need not wait.
    from openai import OpenAI, OpenAIError

    try:
        with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
            answers = _answers(client, wav)
    except OpenAIError as error:
        print(f"{url} does not answer: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps([asdict(one) for one in answers], indent=2))
    else:
        stdout().print(_table(answers))
    if any(one.error for one in answers):
        raise typer.Exit(1)


def _answers(client: "OpenAI", wav: Path) -> list[Answer]:
    """Of the first model of each verb. Raises OpenAIError where there is nobody to ask."""
    models = {model.model_dump()["task"]: model.id for model in reversed(list(client.models.list()))}
    asks: dict[str, Ask] = {
        "chat": _chat,
        "speak": _speak,
        "transcribe": _transcribe,
        "embed": _embed,
        "rerank": _rerank,
    }
    answers = []
    with Console(stderr=True).status("asking …") as shown:
        for verb in (verb for verb in asks if verb in models):
            shown.update(f"{verb}: asking {models[verb]} …")
            answers.append(_asked(verb, models[verb], asks[verb], client, wav))
    return answers


def _asked(verb: str, model: str, ask: Ask, client: "OpenAI", wav: Path) -> Answer:
    from openai import OpenAIError

    began = time.perf_counter()
    try:
        headers, result = ask(client, model, wav)
        seconds = round(time.perf_counter() - began, 3)
        return Answer(verb, model, result, seconds, headers["x-motley-engine"], headers["x-motley-node"])
    except (OpenAIError, OSError) as error:
        return Answer(verb, model, error=str(error))


def _table(answers: list[Answer]) -> Table:
    table = Table()
    for heading in ("verb", "model", "result", "time", "engine", "node"):
        table.add_column(heading, justify="right" if heading == "time" else "left")
    for one in answers:
        result = Text(one.error or one.result or "", style="red" if one.error else "")
        taken = "–" if one.seconds is None else f"{one.seconds * 1000:.0f} ms"
        table.add_row(one.verb, one.model, result, taken, one.engine or "–", one.node or "–")
    return table


def _chat(client: "OpenAI", model: str, _wav: Path) -> tuple[Any, str]:
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "Who are you?"}], temperature=0, max_tokens=60
    )
    return raw.headers, raw.parse().choices[0].message.content or ""


def _speak(client: "OpenAI", model: str, wav: Path) -> tuple[Any, str]:
    raw = client.audio.speech.with_raw_response.create(
        model=model, voice="nova", input=SENTENCE, response_format="wav"
    )
    wav.write_bytes(raw.content)
    return raw.headers, f"{SENTENCE!r} → {wav} ({len(raw.content) // 1024} KiB)"


def _transcribe(client: "OpenAI", model: str, wav: Path) -> tuple[Any, str]:
    with wav.open("rb") as spoken:
        raw = client.audio.transcriptions.with_raw_response.create(model=model, file=spoken)
    return raw.headers, f"heard {raw.parse().text!r}"


def _embed(client: "OpenAI", model: str, _wav: Path) -> tuple[Any, str]:
    raw = client.embeddings.with_raw_response.create(model=model, input=[*PAIR, STRANGER])
    one, two, other = (row.embedding for row in raw.parse().data)
    alike, unlike = _dot(one, two), _dot(one, other)
    return raw.headers, f"{len(one)} dimensions; two cats {alike:.2f} alike, cat and bank {unlike:.2f}"


def _rerank(client: "OpenAI", model: str, _wav: Path) -> tuple[Any, str]:
    body = {"model": model, "query": QUERY, "documents": DOCUMENTS}
    # No method of the SDK's own: rerank is Jina's and Cohere's, not OpenAI's.
    raw = client.post("/rerank", cast_to=httpx2.Response, body=body)
    best = raw.json()["results"][0]
    return raw.headers, f"{QUERY!r} → {DOCUMENTS[best['index']]!r} ({best['relevance_score']:.2f})"


def _dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
