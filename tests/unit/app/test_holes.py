"""Holes that others had in bodies, forms, media and fields: each has a test with its name, which fails
without the defence that it names. Those of keys are in `guard/`; of addresses there is more in
`test_fetch.py`."""

import ast
import asyncio
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from tests.unit.app.conftest import Enter, fleet
from tests.unit.app.media.made import gif, png, url, wav

ROOT = Path(__file__).parents[3]
CHAT, HEAR = "/v1/chat/completions", "/v1/audio/transcriptions"
HELLO = {"role": "user", "content": "!words 1"}


async def refusal(client: Any, path: str = CHAT, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json={"model": "one", "messages": [HELLO], **body})
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


def image(given: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": given}}]}


@pytest.mark.parametrize(
    "field",
    ["api_base", "base_url", "API-Base", "api_key", "extra_headers", "user_config", "litellm_params",
     "aws_secret_access_key", "kv_transfer_params", "trust_remote_code", "lora_path", "mm_processor_kwargs"],
)  # fmt: skip
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/responses", "/tokenize"])
async def test_cve_2024_6587_no_request_chooses_an_upstream(enter: Enter, path: str, field: str) -> None:
    """LiteLLM sent its own keys to the `api_base` of a request. Defence: `STEERING` in `app/wire/base.py`."""
    client = await enter(fleet(one={}))
    said = (
        {"messages": [HELLO]}
        if path == CHAT
        else {"prompt": "x"}
        if path != "/v1/responses"
        else {"input": "x"}
    )
    answer = await client.post(path, json={"model": "one", **said, field: {"x": "https://evil.example"}})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


@pytest.mark.parametrize("address", ["http://169.254.169.254/", "https://127.0.0.1/", "file:///etc/passwd"])
@pytest.mark.parametrize("engine", ["fake", "openai"])
async def test_cve_2025_6242_no_engine_is_given_an_address(enter: Enter, engine: str, address: str) -> None:
    """vLLM's MediaConnector fetched what a request named. Defence: `app/media/gate.py`, for every engine: a
    server behind `openai` fetches too."""
    options = {"base_url": "http://127.0.0.1:1/v1"} if engine == "openai" else {}
    one = {"engine": engine, "source": f"builtin://{engine}", "options": options}
    client = await enter(fleet(one=one))
    while (await client.get("/ready")).json()["status"] != "ready":
        await asyncio.sleep(0.01)
    error = await refusal(client, messages=[image(address)])
    assert (error["code"], error["param"]) == ("media_not_fetched", "messages[0].content[0].image_url")


@pytest.mark.parametrize("fetching", [False, True])
async def test_cve_2026_24779_one_parser_of_addresses(enter: Enter, fetching: bool) -> None:
    """vLLM's check and vLLM's client read a backslash in two ways. Defence: `_PLAIN` in `app/fetch.py` lets
    through what all parsers read alike, and the socket is judged, not the text."""
    client = await enter(fleet(one={}), fetch_media=fetching)
    error = await refusal(client, messages=[image("https://example.com\\@127.0.0.1:1/x.png")])
    assert error["code"] == "media_not_fetched"


@pytest.mark.parametrize("given", [b"<svg/>", b"\x89PNG\r\n\x1a\nbroken", b"GIF89a"])
async def test_cve_2026_22778_what_a_decoder_says_stays_inside(enter: Enter, given: bytes) -> None:
    """An error of PIL's told vLLM's callers an address on its heap. Defence: the door says a sentence of its
    own, and no engine's exception leaves (`backends/host.py`)."""
    client = await enter(fleet(one={}))
    error = await refusal(client, messages=[image(url(given))])
    assert error["message"] == "the image is no PNG, JPEG, GIF or WebP"
    broken = await client.post(CHAT, json={"model": "one", "messages": [{"role": "user", "content": "!bug"}]})
    assert broken.status_code == 502
    assert "0x" not in broken.text
    assert "secret" not in broken.text


@pytest.mark.parametrize(
    "given",
    [
        "data:video/jpeg;base64," + ",".join(["/9j/"] * 5_000),
        url(gif(frames=300), "video/jpeg"),
        url(png(1, 1, frames=300)),
    ],
    ids=["in a row", "gif", "png"],
)
@pytest.mark.parametrize("part", ["image_url", "video_url"])
async def test_cve_2026_5497_thousands_of_frames(enter: Enter, part: str, given: str) -> None:
    """vLLM decoded every JPEG of a data: URL into memory. Defence: `FRAMES` in `app/media/gate.py`, a data:
    URL is one medium, and videos are not taken."""
    client = await enter(fleet(one={}))
    content = [{"type": part, part: {"url": given}}]
    error = await refusal(client, messages=[{"role": "user", "content": content}])
    assert error["code"] in ("unsupported_media", "media_too_large")
    assert error["param"] == f"messages[0].content[0].{part}"


@pytest.mark.parametrize("given", [png(60_000, 60_000), gif(50_000, 50_000), png(0, 1), b"\xff\xd8\xff\xd9"])
async def test_cve_2026_22773_images_that_break_who_reads_them(enter: Enter, given: bytes) -> None:
    """An image ended vLLM's engine. Defence: pixels are counted before anything decodes
    (`app/media/images.py`); an engine that ends is started again (tests/unit/backends/test_child.py)."""
    client = await enter(fleet(one={}))
    error = await refusal(client, messages=[image(url(given))])
    assert error["code"] in ("unsupported_media", "media_too_large")


async def test_cve_2025_62164_no_tensors(enter: Enter) -> None:
    """vLLM read `prompt_embeds` as torch does, out of bounds. Defence: `STEERING`, and `_embeds` in
    `app/media/parts.py`."""
    client = await enter(fleet(one={}))
    assert (await refusal(client, prompt_embeds="AAAA"))["param"] == "prompt_embeds"
    content = [{"type": "image_embeds", "image_embeds": "AAAA"}]
    error = await refusal(client, messages=[{"role": "user", "content": content}])
    assert error["param"] == "messages[0].content[0].image_embeds"


async def test_a_sound_of_one_sample_a_second(enter: Enter) -> None:
    """A bomb of our own finding: resampled, each sample becomes sixteen thousand. Defence: `RATES`."""
    client = await enter(fleet(one={}))
    data = url(wav(1000, rate=1)).partition(",")[2]
    content = [{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}]
    error = await refusal(client, messages=[{"role": "user", "content": content}])
    assert error["param"] == "messages[0].content[0].input_audio.data"


def form(boundary: str, *parts: str) -> bytes:
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts).encode() + f"--{boundary}--\r\n".encode()


MODEL = 'Content-Disposition: form-data; name="model"\r\n\r\near'
FILE = 'Content-Disposition: form-data; name="file"; filename="{}"\r\n\r\nRIFF'


async def send(client: Any, content: bytes, boundary: str = "x") -> Any:
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    async with asyncio.timeout(60):  # an end, not a measure: what is linear takes milliseconds
        return await client.post(HEAR, content=content, headers=headers)


async def test_cve_2024_47874_fields_without_an_end(enter: Enter) -> None:
    """Starlette kept fields of any size in memory. Defence: `form_limits` in `app/main.py`."""
    client = await enter(fleet(ear={"task": "transcribe"}))
    field = 'Content-Disposition: form-data; name="prompt"\r\n\r\n' + "x" * 300_000
    answer = await send(client, form("x", MODEL, field, FILE.format("a.wav")))
    assert answer.status_code == 400
    assert "256KB" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "padding", [b"-" * 3_000_000, b"\r\n" * 1_500_000, b"--x" * 1_000_000], ids=["-", "ends", "x"]
)
@pytest.mark.parametrize("before", [True, False])
async def test_cve_2024_9056_what_stands_around_the_boundaries(
    enter: Enter, padding: bytes, before: bool
) -> None:
    """BentoML looked at each character behind a boundary for ever. Defence: a parser that passes once over
    them (python-multipart), and the limit of the body."""
    client = await enter(fleet(ear={"task": "transcribe"}))
    whole = form("x", MODEL, FILE.format("a.wav"))
    answer = await send(client, padding + whole if before else whole + padding)
    assert answer.status_code in (200, 400)


async def test_cve_2025_54121_a_large_upload_holds_nobody_up(enter: Enter) -> None:
    """Starlette moved uploads from memory to disk in the event loop. Defence: Starlette 0.47.2 or later,
    which does it in a thread: here the file asks for the thread that it is in."""
    import threading
    from tempfile import SpooledTemporaryFile

    from starlette.datastructures import UploadFile

    seen = []

    class Watched(SpooledTemporaryFile[bytes]):
        def write(self, *given: Any) -> int:
            seen.append(threading.current_thread())
            return super().write(*given)

    upload = UploadFile(Watched(max_size=10), size=0)  # type: ignore[arg-type]
    await upload.write(b"x" * 100)
    assert seen[0] is not threading.main_thread()
    await upload.close()


async def test_cve_2025_62727_nobody_asks_for_ranges(enter: Enter) -> None:
    """Starlette merged the ranges of a header in quadratic time. Defence: no route answers with a file."""
    client = await enter(fleet(one={}))
    for route in client.app.routes:  # type: ignore[attr-defined]
        assert not isinstance(getattr(route, "app", None), StaticFiles)
    for source in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            name = getattr(node, "id", None) or getattr(node, "attr", None)
            assert name not in (FileResponse.__name__, StaticFiles.__name__), source
    ranges = "bytes=" + ",".join("0-" for _ in range(5_000))
    answer = await client.get("/v1/models", headers={"range": ranges})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind", ["application/vnd.bentoml+pickle", "application/octet-stream", "application/x-pickle"]
)
async def test_cve_2025_27520_no_pickles(enter: Enter, kind: str) -> None:
    """BentoML (CVE-2024-2912 too) and others unpickled bodies by their type. Defence: `JsonRequest` and
    `need_form`: a body is JSON or a form."""

    class Boom:
        def __reduce__(self) -> Any:
            return exec, ("raise SystemExit('unpickled')",)

    client = await enter(fleet(one={}))
    for path in (CHAT, HEAR, "/v1/embeddings", "/v1/responses"):
        answer = await client.post(path, content=pickle.dumps(Boom()), headers={"content-type": kind})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media")


def unnamed(folder: Path) -> None:
    assert not [found for found in (*folder.rglob("*"), *Path("/").glob("*")) if "hole" in found.name]
    for source in (*(ROOT / "app").rglob("*.py"), *(ROOT / "backends").rglob("*.py")):
        assert not re.search(r"(file|sample|upload)\.filename", source.read_text()), source


@pytest.mark.parametrize(
    "name", ["../../../../tmp/hole", "/hole", "..\\\\hole", "hole\\x00.wav", "%2e%2e/hole"]
)
async def test_cve_2026_7304_names_of_files_are_nobodys_paths(
    enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """SGLang wrote an upload where its name said. Defence: no code reads the name of an upload, which lies in
    a file without one."""
    monkeypatch.chdir(tmp_path)
    client = await enter(fleet(ear={"task": "transcribe"}))
    large = FILE.format(name) + "x" * 2_000_000  # so that it is spooled to disk
    answer = await send(client, form("x", MODEL, large))
    assert answer.status_code == 200
    await asyncio.to_thread(unnamed, tmp_path)


async def test_kubeais_forms_without_a_limit(enter: Enter) -> None:
    """Its reader of forms had none. Defence: `BodyLimit`, whether a length is announced or not."""
    client = await enter(fleet(ear={"task": "transcribe"}), max_upload_mb=0.1)
    content = form("x", MODEL, FILE.format("a.wav") + "x" * 200_000)

    async def unannounced() -> Any:
        for at in range(0, len(content), 5_000):
            yield content[at : at + 5_000]

    for body in (content, unannounced()):
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = await client.post(HEAR, content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_litellms_stolen_release() -> None:
    """Two releases of it were an attacker's. Defence: every package is pinned with its hash, and installed
    with `--require-hashes`."""
    made = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    variables = dict(re.findall(r"^(\w+) +:= (.*)$", made, re.MULTILINE))
    for line in re.findall(r"^\t.* -r .*$", made, re.MULTILINE):
        used = re.findall(r"\$\((\w+)\)", line)
        assert "--require-hashes" in line + "".join(variables.get(name, "") for name in used), line
    # Constraints of the solver, and what the demo model was trained with: by hand, once.
    by_hand = {"vllm-overrides.txt", "gpu-overrides.txt", "train.txt"}
    for lock in (ROOT / "requirements").glob("*.txt"):
        if lock.name in by_hand:
            continue
        text = re.sub(r"\\\n", " ", lock.read_text())
        for line in filter(None, map(str.strip, text.splitlines())):
            if not line.startswith(("#", "--")):
                assert re.match(r"\S+(\[.*\])? ?(==|@ )", line), (lock.name, line[:80])
                assert "--hash=sha256:" in line, (lock.name, line[:80])
