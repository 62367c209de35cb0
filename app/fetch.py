"""The one place that fetches what a caller names: images and audio by their address, for chats.

Off where `MOTLEY_FETCH_MEDIA` does not say otherwise. What is asked is what was vetted: the address is parsed
once, and each socket is refused by the address that it is about to connect to, after all resolving.
"""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from app.media.parts import Kind
from backends.contract.errors import MediaElsewhere, TooLarge

log = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address

SECONDS = 20.0  # for all of it, redirects included
REDIRECTS = 3
AT_A_TIME = 16  # in this process
_PIECE = 64 * 1024

# What every parser reads alike: no backslash, no user, no white space, no escapes in the host.
_PLAIN = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-\[\]-~]*)?")
# Global unicast, less what holds an address of version 4.
_UNICAST, _WITHIN = ip_network("2000::/3"), (ip_network("2001::/23"), ip_network("2002::/16"))
# Which Python (of some versions) takes for everybody's: of protocols (a cloud's metadata too), of relays, and
# of the host beneath a virtual machine at Azure.
_NETWORKS = ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
_SERVANTS = tuple(map(IPv4Network, _NETWORKS))


def public(address: Address) -> bool:
    """Whether anybody on the internet means the same by it."""
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SERVANTS)
    return address in _UNICAST and not any(address in network for network in _WITHIN)


class Fetcher:
    """`allowed` judges addresses; `resolver` and `context` are aiohttp's own, or a test's."""

    def __init__(
        self,
        allowed: Callable[[Address, int], bool] = lambda address, port: port == 443 and public(address),
        resolver: AbstractResolver | None = None,
        context: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self._allowed, self._resolver, self._context = allowed, resolver, context
        self._seconds = seconds
        self._turns = asyncio.Semaphore(AT_A_TIME)

    async def get(self, url: str, kind: Kind, most: int, *, param: str) -> bytes:
        """The bytes, at most `most`. Raises MediaElsewhere, which does not say what was found there (else
        whoever asks could look around), and TooLarge."""
        try:
            async with asyncio.timeout(self._seconds), self._turns, self._session() as session:
                return await self._followed(session, url, kind, most)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.info("media were not fetched: %s", type(error).__name__)
            raise MediaElsewhere("it could not be fetched from there", param=param) from None
        except TooLarge as error:
            error.param = param
            raise

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=self._resolver, use_dns_cache=False, force_close=True,
            ssl=self._context or ssl.create_default_context(), socket_factory=self._socket,
        )  # fmt: skip
        return aiohttp.ClientSession(
            connector=connector, connector_owner=True, trust_env=False, auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"accept-encoding": "identity", "user-agent": "motley"},
        )  # fmt: skip

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Raises PermissionError for one that leads where it must not."""
        family, kind, protocol, _, (host, port, *_) = info
        if not self._allowed(ip_address(str(host).partition("%")[0]), int(port)):
            raise PermissionError("an address that is not fetched from")
        return socket.socket(family, kind, protocol)

    async def _followed(self, session: aiohttp.ClientSession, url: str, kind: Kind, most: int) -> bytes:
        for _ in range(REDIRECTS + 1):
            if not _PLAIN.fullmatch(url):
                raise ValueError("no plain https address")
            here = URL(url)
            async with session.get(here, allow_redirects=False) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    url = str(here.join(URL(answer.headers.get("location", ""))))
                    continue
                return await _read(answer, kind, most)
        raise ValueError("too many redirects")


async def _read(answer: aiohttp.ClientResponse, kind: Kind, most: int) -> bytes:
    if answer.status != 200:
        raise ValueError("another status")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise ValueError("compressed")
    if not answer.content_type.startswith(f"{kind}/") and answer.content_type != "application/octet-stream":
        raise ValueError("another type")
    data = bytearray()
    # No more than a byte too many is ever held, whatever length was announced.
    while piece := await answer.content.read(min(_PIECE, most + 1 - len(data))):
        data += piece
        if len(data) * 4 // 3 > most:
            raise TooLarge("it is larger than what a request may bring")
    return bytes(data)
