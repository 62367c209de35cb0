"""The open inference protocol, by Triton's own client and by plain HTTP."""

import json
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.clients import programs, question
from tests.sounds import wav

from .doors import Door

CHAT, VECTORS = "motley-demo-chat", "all-minilm-l6-v2"


@pytest.fixture(scope="module")
def triton(door: Door) -> dict[str, Any]:
    parts = ("server", "chat", "embed", "rank", "sound", "aio", "loads", "refusals")
    return programs.told("with_triton.py", *parts, url=door.base_url, key=door.key, model=CHAT)


def tensor(name: str, *elements: str) -> dict[str, Any]:
    return {"name": name, "shape": [len(elements)], "datatype": "BYTES", "data": list(elements)}


def ask(http: httpx2.Client, model: str, *inputs: dict[str, Any], **more: Any) -> httpx2.Response:
    return http.post(f"/v2/models/{model}/infer", json={"inputs": inputs, **more})


def outputs(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {one["name"]: one["data"] for one in answer.json()["outputs"]}


def test_triton_is_told_what_is_here(triton: dict[str, Any]) -> None:
    told = triton["server"]
    assert (told["live"], told["ready"], told["nobody_ready"]) == (True, True, False)
    assert told["about"]["name"] == "motley"
    assert "binary_tensor_data" in told["about"]["extensions"]
    assert told["model_ready"] == [True, True, False]
    vectors = told["metadata"][VECTORS]
    assert vectors["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert vectors["outputs"] == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}]
    assert [one["name"] for one in told["metadata"][CHAT]["inputs"]] == ["prompt", "messages"]
    assert told["index"][CHAT] == "READY"


def test_triton_chats(triton: dict[str, Any]) -> None:
    chat = triton["chat"]
    assert "Tokyo" in chat["prompt"][0]
    assert "Tokyo" in chat["json"][0]
    assert chat["outputs"] == ["text"]
    tokyo, paris = chat["several"]
    assert ("Tokyo" in tokyo, "Paris" in paris) == (True, True)
    assert chat["finish"] == ["stop", "stop"]
    used = [one["usage"]["completion_tokens"] for one in chat["responses"]]
    assert chat["told"]["completion_tokens"] == sum(used) > 0


def test_triton_embeds_in_order(triton: dict[str, Any], http: httpx2.Client) -> None:
    found = triton["embed"]
    assert (found["shape"], found["kind"], found["narrow"]) == ([3, 384], "float32", [1, 64])
    plain = http.post("/v1/embeddings", json={"model": VECTORS, "input": ["one", "two", "three"]}).json()
    for number, row in enumerate(found["rows"]):
        assert row == pytest.approx(plain["data"][number]["embedding"][:8], abs=1e-4)
        assert found["plain"][number] == pytest.approx(row, abs=1e-4)
    assert triton["aio"]["shape"] == [1, 384]


def test_triton_ranks(triton: dict[str, Any], http: httpx2.Client) -> None:
    asked = {"model": question.MODEL, "query": question.QUERY, "documents": question.DOCUMENTS}
    right = {
        one["index"]: one["relevance_score"] for one in http.post("/v1/rerank", json=asked).json()["results"]
    }
    assert triton["rank"]["scores"] == pytest.approx([right[number] for number in range(4)], abs=1e-4)
    assert max(right, key=right.__getitem__) == 1


def test_triton_speaks_and_is_heard(triton: dict[str, Any]) -> None:
    sound = triton["sound"]
    assert (sound["shape"], sound["begins"]) == ([1], "RIFF")
    assert len({"order", "cup", "coffee", "please"} & set(sound["text"].lower().split())) >= 3, sound["text"]
    assert 1 < sound["duration"] < 10
    assert sound["response"].startswith("1\n00:00:0")


def test_triton_loads_and_unloads(triton: dict[str, Any]) -> None:
    assert triton["loads"]["loaded"]


REFUSED = {
    "model": ("404", "`nobody`"), "version": ("404", "version"), "key": ("401", "API key"),
    "tensor": ("400", "inputs[0].name"), "kind": ("400", "inputs[0].datatype"),
    "parameter": ("400", "'no_such'"), "sequence": ("400", "'sequence_id'"),
    "output": ("400", "outputs[0].name"), "classes": ("400", "classification"),
    "compressed": ("415", "compressed"), "elsewhere": ("404", "/v2/logging"),
    "config": ("400", "'parameters.config'"),
}  # fmt: skip


def test_triton_is_told_what_is_wrong(triton: dict[str, Any]) -> None:
    """In a sentence: its client shows nothing else."""
    told = triton["refusals"]
    assert told.keys() == REFUSED.keys()
    for what, (status, said) in REFUSED.items():
        assert told[what]["status"] == status, told[what]
        assert said in told[what]["message"], told[what]


def test_the_rest_of_an_error_stands_beside_it(http: httpx2.Client) -> None:
    answer = ask(http, "nobody", tensor("text", "one"))
    assert answer.status_code == 404
    told = answer.json()
    assert "`nobody`" in told.pop("error")
    assert told == {"type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    cohere = http.post("/v2/rerank", json={"model": "nobody", "query": "q", "documents": ["d"]})
    assert cohere.json()["error"]["code"] == "model_not_found"


def test_strangers_hear_yes_or_no(door: Door) -> None:
    with httpx2.Client(base_url=door.base_url) as stranger:
        assert stranger.get("/v2/health/live").json() == {"live": True}
        assert stranger.get("/v2/health/ready").json() == {"ready": True}
        for path in ("/v2", f"/v2/models/{CHAT}", f"/v2/models/{CHAT}/ready", f"/{CHAT}/v2/health/ready"):
            refused = stranger.get(path)
            assert (refused.status_code, refused.json()["code"]) == (401, "invalid_api_key"), path


def test_every_name_of_a_model(http: httpx2.Client) -> None:
    """Own names and aliases, with slashes or under a path."""
    for path in ("org/fake-chat", "org%2Ffake-chat", "llm", "fake-chat/versions/1"):
        answer = http.post(
            f"/v2/models/{path}/infer", json={"id": "7", "inputs": [tensor("prompt", "!words 2")]}
        )
        assert outputs(answer)["text"] == ["w0 w1 "], path
        assert (answer.json()["id"], answer.json()["model_version"]) == ("7", "1")
    under = http.post("/llm/v2/models/llm/infer", json={"inputs": [tensor("prompt", "!words 1")]})
    assert (under.status_code, under.headers["x-motley-engine"]) == (200, "fake")


def test_parameters_are_the_fields_of_openai(http: httpx2.Client) -> None:
    asked = tensor("prompt", "Tell me a story about a fox.")
    parameters = {"max_tokens": 4, "temperature": 0, "seed": 7}
    answer = ask(http, CHAT, asked, parameters=parameters)
    assert outputs(answer)["finish_reason"] == ["length"]
    assert answer.json()["parameters"]["completion_tokens"] == 4
    for name, value in (
        ("temperature", 9),
        ("stream", True),
        ("n", 2),
        ("priority", 1),
        ("api_base", "http://evil.example"),
    ):
        refused = ask(http, CHAT, asked, parameters={name: value})
        assert (refused.status_code, refused.json()["param"]) == (400, name), refused.text


def test_what_is_wrong_with_a_tensor_is_said_of_it(http: httpx2.Client) -> None:
    talk = json.dumps([{"role": "user", "content": "!words 1"}])
    for model, inputs, param in (
        (VECTORS, [tensor("text", "one", "")], "text[1]"),
        (VECTORS, [tensor("text", *["x"] * 2049)], "text"),
        ("fake-chat", [tensor("messages", talk, '[{"role": "nobody"}]')], "messages[1][0].role"),
        ("fake-chat", [tensor("messages", talk, "{}")], "messages[1]"),
        ("fake-chat", [tensor("messages", "[")], "messages"),
        ("fake-chat", [tensor("messages", talk), tensor("prompt", "one")], "messages"),
        ("fake-chat", [tensor("prompt", *["x"] * 65)], "prompt"),
        ("fake-rerank", [tensor("query", "q")], "documents"),
        ("fake-rerank", [tensor("query", "q", "r"), tensor("documents", "d")], "query"),
        ("fake-speak", [tensor("text", "one", "two")], "text"),
        ("fake-transcribe", [tensor("audio", "no base64")], "audio"),
        ("fake-transcribe", [tensor("audio", "")], "audio"),
        ("pocketsphinx-en", [tensor("audio", b64encode(b"no sound").decode())], "audio"),
    ):
        refused = ask(http, model, *inputs)
        assert (refused.status_code, refused.json()["param"]) == (400, param), (model, refused.text)


def test_deep_json_in_a_string_is_still_deep(http: httpx2.Client) -> None:
    deep = "[" * 5000 + "]" * 5000
    refused = ask(http, "fake-chat", tensor("messages", deep))
    assert (refused.status_code, "deep" in refused.json()["error"]) == (400, True)


def test_sound_as_json_is_base64(http: httpx2.Client) -> None:
    spoken = ask(
        http, "fake-speak", tensor("text", "!words 2"), parameters={"voice": "fake", "response_format": "wav"}
    )
    (sound,) = outputs(spoken)["audio"]
    assert b64decode(sound)[:4] == b"RIFF"
    heard = ask(
        http, "fake-transcribe", tensor("audio", sound), parameters={"language": "german", "prompt": "!asked"}
    )
    told = outputs(heard)
    assert json.loads(told["text"][0])["languages"] == ["de"]
    assert told["duration"][0] > 0
    english = ask(
        http, "fake-transcribe", tensor("audio", sound), parameters={"to": "en", "prompt": "!asked"}
    )
    assert json.loads(outputs(english)["text"][0])["to"] == "en"
    refused = ask(http, "fake-transcribe", tensor("audio", sound), parameters={"stream": True})
    assert refused.json()["param"] == "stream"


def test_binary_data_that_does_not_fit_is_refused(http: httpx2.Client) -> None:
    """Sizes that lie, either way; what is no length; and brackets in sound are none of JSON's."""
    text = b"\3\0\0\0one"

    def sent(size: int, data: bytes, length: str | None = None) -> httpx2.Response:
        given = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": size}}
        head = json.dumps({"inputs": [given]}).encode()
        headers = {"inference-header-content-length": length or str(len(head))}
        return http.post(f"/v2/models/{VECTORS}/infer", content=head + data, headers=headers)

    assert sent(7, text).status_code == 200
    for size, data, length in (
        (8, text, None), (6, text, None), (7, text + b"x", None), (-1, text, None),
        (7, b"\4\0\0\0one", None), (7, b"\2\0\0\0one", None), (7, b"\xff\xff\xff\xffone", None),
        (7, text, "-1"), (7, text, "0"), (7, text, "99999"), (7, text, "many"), (7, text, "5"),
    ):  # fmt: skip
        refused = sent(size, data, length)
        assert refused.status_code == 400, (size, data, length)
        assert refused.json()["error"]
    sound = wav(b"[{" * 600_000)  # so much that it goes on as a file
    given = {
        "name": "audio",
        "shape": [1, 1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(sound) + 4},
    }
    head = json.dumps({"inputs": [given]}).encode()
    body = head + len(sound).to_bytes(4, "little") + sound
    headers = {"inference-header-content-length": str(len(head))}
    heard = http.post("/v2/models/fake-transcribe/infer", content=body, headers=headers)
    assert heard.status_code == 200, heard.text


def test_curl_as_it_is_in_the_docs(door: Door) -> None:
    """With the media type of a form, which is curl's own choice."""
    page = (Path(__file__).parents[2] / "docs" / "kserve.md").read_text()
    script = page.partition("```sh\n")[2].partition("```")[0]
    assert "/infer" in script
    script = script.replace("curl ", f"curl -sS -H 'authorization: Bearer {door.key}' ")
    script = script.replace("http://127.0.0.1:8000", door.base_url)
    ran = subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, check=True)
    (told,) = json.loads(ran.stdout)["outputs"]
    assert (told["name"], told["shape"], len(told["data"])) == ("embedding", [2, 384], 768)


def test_binary_data_comes_where_it_is_asked_for(http: httpx2.Client) -> None:
    asked = {
        "inputs": [tensor("text", "one", "two")],
        "outputs": [{"name": "embedding", "parameters": {"binary_data": True}}],
    }
    answer = http.post("/v2/models/fake-embed/infer", json=asked)
    length = int(answer.headers["inference-header-content-length"])
    (told,) = json.loads(answer.content[:length])["outputs"]
    rows = np.frombuffer(answer.content[length:], "<f4").reshape(told["shape"])
    plain = ask(http, "fake-embed", tensor("text", "one", "two"))
    assert "inference-header-content-length" not in plain.headers
    assert rows.ravel().tolist() == pytest.approx(outputs(plain)["embedding"], abs=1e-6)


def test_a_predictors_host_is_its_path(http: httpx2.Client) -> None:
    """KServe's names, on any cluster domain; a model that is named comes before, as under a path."""
    body = {"messages": [{"role": "user", "content": "!words 1"}]}
    for host in ("llm-predictor", "llm-predictor.ai-ml", "LLM-predictor.ai-ml.svc.cluster.local:8000"):
        for path in ("/v1/chat/completions", "/openai/v1/chat/completions"):
            answer = http.post(path, json=body, headers={"host": host})
            assert (answer.status_code, answer.headers["x-motley-engine"]) == (200, "fake"), answer.text
        named = http.post("/v1/chat/completions", json={**body, "model": "nobody"}, headers={"host": host})
        assert named.status_code == 404
    vectors = http.post(
        "/v1/embeddings", json={"input": "one"}, headers={"host": "embeddings-predictor.ai-ml"}
    )
    assert (vectors.status_code, vectors.json()["model"]) == (200, "embeddings")
    path_first = http.post("/llm/v1/chat/completions", json=body, headers={"host": "embeddings-predictor"})
    assert path_first.status_code == 200
    for host in ("nobody-predictor.ai-ml", "llm.ai-ml", "-predictor"):
        refused = http.post("/v1/chat/completions", json=body, headers={"host": host})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model"), host
    assert list(http.get("/ready", headers={"host": "llm-predictor"}).json()["models"]) == ["fake-chat"]


def test_a_predictors_host_tells_strangers_nothing(door: Door) -> None:
    with httpx2.Client(base_url=door.base_url) as stranger:
        for host in ("llm-predictor.ai-ml", "nobody-predictor.ai-ml"):
            for path, told in (
                ("/health", {"status": "ok"}),
                ("/ready", {"status": "ready"}),
                ("/v2/health/ready", {"ready": True}),
            ):
                assert stranger.get(path, headers={"host": host}).json() == told


def test_the_schema_of_a_chat(triton: dict[str, Any]) -> None:
    """`response` is the whole document of the OpenAI route."""
    document = triton["chat"]["responses"][0]
    assert (document["object"], document["model"]) == ("chat.completion", CHAT)
    assert document["choices"][0]["message"]["role"] == "assistant"
