"""The fleets that the pages of `docs` show, whole: a page leaves out what its text is not about."""

from typing import Any

import yaml

from backends.fleet.schema import Fleet

# The models that pages speak of without showing them, and an engine for each that needs no files.
BESIDE = {"whisper": "transcribe", "llm": "chat", "tts": "speak", "bge": "embed", "bge-reranker": "rerank"}
_CARDS: dict[str, Any] = {"vendor": "nvidia", "vram": "96Gi", "gpus": 4, "cpus": 64}


def completed(*texts: str) -> Fleet:
    """The models of one or several pieces of a fleet file, each with the nodes that it names and those in
    `BESIDE` that it does not have. A whole file stays as it is. Raises pydantic.ValidationError."""
    pieces: list[dict[str, Any]] = [yaml.safe_load(text) for text in texts]
    if pieces and "version" in pieces[0]:
        return Fleet.model_validate(pieces[0])
    whole = {key: value for piece in pieces for key, value in piece.items() if key != "models"}
    models = {name: model for piece in pieces for name, model in piece.get("models", {}).items()}
    taken = {*models, *(alias for model in models.values() for alias in model.get("aliases", ()))}
    place = {"source": "builtin://any", "place": {"node": "here"}}
    for name, task in BESIDE.items():
        if name not in taken:
            models[name] = {"task": task, "engine": "espeak-ng" if task == "speak" else "fake", **place}
    known = {"here": {}, **{kind: _CARDS for kind in _kinds({**whole, "models": models}) if kind != "here"}}
    return Fleet.model_validate(
        {"version": 1, "nodes": {**known, **whole.pop("nodes", {})}, **whole, "models": models}
    )


def _kinds(part: Any) -> set[str]:
    """What stands under a `node` somewhere."""
    if isinstance(part, list):
        return set().union(*map(_kinds, part))
    if not isinstance(part, dict):
        return set()
    named = part.get("node", [])
    return {*([named] if isinstance(named, str) else named)}.union(*map(_kinds, part.values()))
