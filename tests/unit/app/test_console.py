"""The console's files as the door serves them: the same for everybody, small, and under a strict policy."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest

from app.main import create_app
from app.routes.console import FILES
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.fleet.schema import Fleet

ROOT = Path(__file__).parents[3]
BUILT = ROOT / "app" / "console"
SOURCES = ROOT / "console"
LARGEST = 250_000  # bytes of all files together, compressed


@pytest.fixture
def client() -> httpx2.AsyncClient:
    fleet = Fleet.model_construct(version=1, nodes={}, models={})
    app = create_app(Settings(_env_file=None, api_keys="sk-one"), fleet, LocalUpstream({}))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://door")


async def test_every_file_of_the_build_is_served_and_no_other(client: httpx2.AsyncClient) -> None:
    assert {name for name, _ in FILES.values()} == {file.name for file in BUILT.iterdir()}
    for path, (name, kind) in FILES.items():
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.content == (BUILT / name).read_bytes()
    assert (await client.get("/console/package.json")).status_code == 401


async def test_the_page_names_nothing_but_those_files(client: httpx2.AsyncClient) -> None:
    page = (await client.get("/")).text
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page)) == FILES.keys() - {"/"}
    # Nothing inline that the policy would have to allow.
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", page)


async def test_the_policy(client: httpx2.AsyncClient) -> None:
    for path in FILES:
        headers = (await client.get(path)).headers
        policy = dict(
            part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


async def test_it_is_asked_again_and_answered_in_a_line(client: httpx2.AsyncClient) -> None:
    first = await client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_it_is_compressed_for_who_can_read_that(client: httpx2.AsyncClient) -> None:
    plain = await client.get("/console/console.js", headers={"accept-encoding": "identity"})
    small = await client.get("/console/console.js", headers={"accept-encoding": "gzip"})
    assert ("content-encoding" in plain.headers, small.headers["content-encoding"]) == (False, "gzip")
    assert plain.content == small.content
    assert plain.headers["etag"] == small.headers["etag"]


def test_the_payload_is_small() -> None:
    assert sum(len(gzip.compress(file.read_bytes())) for file in BUILT.iterdir()) < LARGEST


def test_the_build_is_that_of_the_sources(tmp_path: Path) -> None:
    if shutil.which("npm") is None or not (SOURCES / "node_modules" / "vite").is_dir():
        pytest.skip("Node.js with npm, or console/node_modules (`make console` installs it), is missing")
    build = ["npm", "run", "--silent", "build", "--", "--outDir", str(tmp_path / "built"), "--emptyOutDir"]
    done = subprocess.run(build, cwd=SOURCES, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    built = {file.name: file.read_bytes() for file in (tmp_path / "built").iterdir()}
    assert built == {file.name: file.read_bytes() for file in BUILT.iterdir()}, "run `make console`"


def test_the_lock_names_no_registry() -> None:
    assert '"resolved"' not in (SOURCES / "package-lock.json").read_text()
