"""The one fetcher, against a TLS server of this machine, and names that a test resolves."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.fetch import Fetcher, public
from app.media.gate import Media
from backends.contract.errors import MediaElsewhere, TooLarge
from tests.unit.app.conftest import Enter, fleet
from tests.unit.app.media.made import png, url

NAMES = ("a.example", "b.example")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255",
        "240.0.0.1", "168.63.129.16", "192.0.2.1",
        "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8",  # mapped
        "::127.0.0.1",  # compatible
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",  # NAT64
        "2002:7f00:1::", "2002:a9fe:a9fe::",  # 6to4
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
        "100::1", "4000::1",
    ],
)  # fmt: skip
def test_addresses_of_this_network(address: str) -> None:
    assert not public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450::1"])
def test_addresses_of_all(address: str) -> None:
    assert public(ip_address(address))


class Resolver(AbstractResolver):
    """`answers`: one after the other, the last for ever; counts how often it was asked."""

    def __init__(self, *answers: str) -> None:
        self._answers, self.asked = list(answers), 0

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        self.asked += 1
        address = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        one: ResolveResult = {
            "hostname": host, "host": address, "port": port, "family": kind, "proto": 0, "flags": 0,
        }  # fmt: skip
        return [one]

    async def close(self) -> None:
        pass


class Site:
    """Answers every path with `answer`, a whole HTTP answer, or (a callable) with what it makes of it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.answer: bytes | Callable[[asyncio.StreamWriter, str], Any] = b""
        self.heads: list[str] = []

    async def __aenter__(self) -> "Site":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            if callable(self.answer):
                await self.answer(writer, head.split()[1])
            else:
                writer.write(self.answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def answer(body: bytes, kind: str = "image/png", more: str = "", status: str = "200 OK") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{more}content-length: {len(body)}\r\n\r\n".encode()
        + body
    )


def to(where: str) -> bytes:
    return answer(b"", more=f"location: {where}\r\n", status="302 Found")


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, and that of who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in NAMES])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        .add_extension(alternatives, critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    folder: Path = tmp_path_factory.mktemp("tls")
    (folder / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "certificate").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "certificate", folder / "key")
    return serving, ssl.create_default_context(cafile=str(folder / "certificate"))


@pytest.fixture
async def site(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Site]:
    async with Site(contexts[0]) as one:
        yield one


@pytest.fixture
def fetcher(site: Site, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Callable[..., Fetcher]:
    """One that is allowed to reach the site, and otherwise what all are."""

    def made(resolver: Resolver | None = None, **given: Any) -> Fetcher:
        def allowed(address: Any, port: int) -> bool:
            return (str(address), port) == ("127.0.0.1", site.port)

        return Fetcher(allowed, resolver or Resolver("127.0.0.1"), contexts[1], **given)

    return made


async def test_it_fetches(site: Site, fetcher: Callable[..., Fetcher]) -> None:
    """And tells nobody who asks, nor what the environment knows of proxies."""
    site.answer = answer(png())
    assert await fetcher().get(f"https://a.example:{site.port}/x.png?y=1", "image", 999, param="p") == png()
    (head,) = site.heads
    assert head.startswith("GET /x.png?y=1 HTTP/1.1\r\n")
    names = {line.partition(":")[0].lower() for line in head.split("\r\n")[1:] if line}
    assert names == {"host", "accept", "accept-encoding", "user-agent", "connection"}


async def refused(one: Fetcher, where: str, most: int = 999) -> MediaElsewhere:
    with pytest.raises(MediaElsewhere) as error:
        await one.get(where, "image", most, param="p")
    assert (error.value.param, error.value.message) == ("p", "it could not be fetched from there")
    return error.value


@pytest.mark.parametrize(
    "where",
    [
        "http://a.example/", "ftp://a.example/", "file:///etc/passwd", "a.example", "//a.example/", "https://",
        "https:/a.example/", "https:a.example", "https://user@a.example/", "https://a.example@b.example/",
        "https://a.example\\@b.example/", "https://a.example\\.b.example/", "https://a.example/\\",
        "https://a.example /", "https://a.example\t/", "https://a.example/\r\nx: y", "https://[::1]/",
        "https://a.example%2eb/", "https://ａ.example/", "https://a.example#@b.example/",
        "https://a.example?@b.example/", "https://a.example:x/", "https://a.example:443:443/", " https://a.example/",
    ],
)  # fmt: skip
async def test_what_parsers_could_read_in_two_ways(fetcher: Callable[..., Fetcher], where: str) -> None:
    resolver = Resolver("127.0.0.1")
    await refused(fetcher(resolver), where)
    assert resolver.asked == 0


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1", "2002:7f00:1::"],
)
async def test_names_that_lead_here(site: Site, contexts: Any, address: str) -> None:
    """With the rule that is in force: all of them by the address, whatever the name."""
    open_to_ports = Fetcher(lambda one, _: public(one), Resolver(address), contexts[1])
    await refused(open_to_ports, f"https://a.example:{site.port}/")
    assert site.heads == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost"])
async def test_addresses_instead_of_names(site: Site, contexts: Any, host: str) -> None:
    """Nothing resolves these for us: the socket is judged all the same."""
    open_to_ports = Fetcher(lambda one, _: public(one), context=contexts[1])
    await refused(open_to_ports, f"https://{host}:{site.port}/")
    assert site.heads == []


async def test_other_ports() -> None:
    for port in (22, 80, 8000, 8443):
        await refused(Fetcher(resolver=Resolver("8.8.8.8")), f"https://a.example:{port}/")


async def test_a_name_is_resolved_once(site: Site, fetcher: Callable[..., Fetcher]) -> None:
    """DNS that answers one thing to who looks, and another to who connects."""
    site.answer = answer(png())
    resolver = Resolver("127.0.0.1", "127.0.0.2")
    await fetcher(resolver).get(f"https://a.example:{site.port}/", "image", 999, param="p")
    assert resolver.asked == 1


async def test_redirects(site: Site, fetcher: Callable[..., Fetcher]) -> None:
    """Each is vetted as the first was."""
    ways = {
        "/relative": to("x.png"),
        "/absolute": to(f"https://b.example:{site.port}/x.png"),
        "/x.png": answer(png()),
        "/plain": to("http://a.example/x.png"),
        "/file": to("file:///etc/passwd"),
        "/slashes": to("https://a.example\\@b.example/"),
        "/around": to("/around"),
        "/nowhere": answer(b"", status="302 Found"),
        "/inside": to(f"https://127.0.0.2:{site.port}/"),
    }

    async def lead(writer: asyncio.StreamWriter, path: str) -> None:
        writer.write(ways[path])

    site.answer = lead
    one = fetcher()
    for path in ("/relative", "/absolute"):
        here = f"https://a.example:{site.port}{path}"
        assert await one.get(here, "image", 999, param="p") == png()
    for path in ("/plain", "/file", "/slashes", "/around", "/nowhere", "/inside"):
        site.heads.clear()
        await refused(one, f"https://a.example:{site.port}{path}")
        assert len(site.heads) == (4 if path in ("/around", "/nowhere") else 1)


async def test_too_much(site: Site, fetcher: Callable[..., Fetcher]) -> None:
    """Whatever is announced: no more than the limit is read. It counts as it would in a request."""
    sent = 0

    async def endless(writer: asyncio.StreamWriter, _: str) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n")
        while sent < 50_000_000:
            writer.write(bytes(100_000))
            await writer.drain()
            sent += 100_000

    for given in (answer(bytes(900)), endless):
        site.answer = given
        with pytest.raises(TooLarge) as error:
            await fetcher().get(f"https://a.example:{site.port}/", "image", 1000, param="p")
        assert error.value.param == "p"
    assert sent < 20_000_000


async def test_too_slow(site: Site, fetcher: Callable[..., Fetcher]) -> None:
    async def drip(writer: asyncio.StreamWriter, _: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    site.answer = drip
    await refused(fetcher(seconds=0.5), f"https://a.example:{site.port}/", 10_000)


@pytest.mark.parametrize(
    "given",
    [
        answer(png(), "text/html"),
        answer(png(), "audio/wav"),
        answer(png(), more="content-encoding: gzip\r\n"),
        answer(png(), status="404 Not Found"),
        answer(png(), status="206 Partial Content"),
        answer(png())[:-3],
        b"nonsense\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
    ],
    ids=["html", "sound", "gzip", "404", "206", "cut", "nonsense", "nothing", "head"],
)
async def test_what_is_not_what_was_asked_for(
    site: Site, fetcher: Callable[..., Fetcher], given: bytes
) -> None:
    site.answer = given
    await refused(fetcher(), f"https://a.example:{site.port}/")


async def test_a_certificate_of_another(site: Site, fetcher: Callable[..., Fetcher], contexts: Any) -> None:
    site.answer = answer(png())
    await refused(fetcher(), f"https://c.example:{site.port}/")
    await refused(
        Fetcher(lambda *_: True, Resolver("127.0.0.1"), ssl.create_default_context()),
        f"https://a.example:{site.port}/",
    )


async def test_engines_see_data(site: Site, fetcher: Callable[..., Fetcher]) -> None:
    site.answer = answer(png(), "application/octet-stream")
    body = {"input": [{"type": "input_image", "image_url": f"https://a.example:{site.port}/x.png"}]}
    length = await Media(100_000, 10, fetcher()).inlined(body, 500)
    assert body["input"][0]["image_url"] == url(png())
    assert length > 500
    site.answer = answer(b"<svg/>")
    body["input"][0]["image_url"] = f"https://a.example:{site.port}/x.png"
    with pytest.raises(Exception, match="no PNG"):
        await Media(100_000, 10, fetcher()).inlined(body, 500)
    with pytest.raises(TooLarge):  # what the request may bring, the body itself has spent
        await Media(600, 10, fetcher()).inlined(body, 599)


async def test_off_by_default(enter: Enter) -> None:
    """CVE-2026-33626: LMDeploy's loader of images fetched for anybody, as it came. Defence: there is no
    fetcher where `MOTLEY_FETCH_MEDIA` does not say so."""
    part = {"type": "image_url", "image_url": {"url": "https://127.0.0.1:1/"}}
    ask = {"model": "one", "messages": [{"role": "user", "content": [part]}]}
    for settings in ({}, {"fetch_media": True}):
        client = await enter(fleet(one={}), **settings)
        error = (await client.post("/v1/chat/completions", json=ask)).json()["error"]
        assert (error["code"], error["param"]) == ("media_not_fetched", "messages[0].content[0].image_url")
        assert ("in the request itself" in error["message"]) is not bool(settings)
