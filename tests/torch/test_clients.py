"""The SDK and curl, answered by the engines on torch through the door. `make test-torch` installs what this
suite needs."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.formats.audio import encode_whole
from tests.api.doors import Behind, by_sdk, on_one_node
from tests.sounds import tone
from tests.torch.checkpoint import make
from tests.torch.encoders import make_pairs, make_sentences

DOCUMENTS = ["a cat on a sofa", "a dog in the park", "a small cat"]


@contextmanager
def behind(task: str, engine: str, folder: Path, **options: object) -> Iterator[Behind]:
    """A door with one model: several would import torch's libraries at once, in one process."""
    model = {"task": task, "engine": engine, "source": f"file://{folder}"}
    one = Behind(on_one_node({"tiny": {**model, "options": {"threads": 1, **options}}}))
    try:
        yield one
    finally:
        one.close()


def test_the_sdk_gets_vectors(tmp_path: Path) -> None:
    with behind("embed", "sentence-transformers", make_sentences(tmp_path)) as door, by_sdk(door) as sdk:
        told = sdk.embeddings.create(model="tiny", input=DOCUMENTS)
    assert [len(row.embedding) for row in told.data] == [32] * 3


def test_the_sdk_is_heard(tmp_path: Path) -> None:
    sound = ("a.wav", encode_whole([tone(3)], "wav"))
    options = {"vad": False, "max_new_tokens": 16}
    with behind("transcribe", "whisper", make(tmp_path), **options) as door, by_sdk(door) as sdk:
        whole = sdk.audio.transcriptions.create(model="tiny", file=sound, language="en")
        events = list(sdk.audio.transcriptions.create(model="tiny", file=sound, language="en", stream=True))
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == whole.text


def test_curl_ranks(tmp_path: Path) -> None:
    body = json.dumps({"model": "tiny", "query": "cat", "documents": DOCUMENTS})
    with behind("rerank", "cross-encoder", make_pairs(tmp_path)) as door:
        command = ["curl", "-sS", f"{door.base_url}/v1/rerank", "-H", "content-type: application/json"]
        done = subprocess.run([*command, "-d", body], capture_output=True, check=True, timeout=60)
    scores = [one["relevance_score"] for one in json.loads(done.stdout)["results"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
