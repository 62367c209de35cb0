"""What a key looks like, and what is kept of it.

`mk-`, 128 random bits in base 62, and a checksum of six digits: whoever scans repositories for lost keys
knows one when they see it, and a key that was cut while it was copied is told from one that is unknown.
"""

import hmac
import secrets
import string
import zlib
from functools import lru_cache

PREFIX = "mk-"
DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM, CHECK = 22, 6  # 62**22 > 2**128, 62**6 > 2**32


def made() -> str:
    """A new key, from the system's randomness."""
    body = _in_base_62(secrets.randbits(128), RANDOM)
    return f"{PREFIX}{body}{_checksum(body)}"


def mistyped(key: str) -> bool:
    """Begins as our keys do, and cannot be one."""
    if not key.startswith(PREFIX):
        return False
    body, check = key[len(PREFIX) : -CHECK], key[-CHECK:]
    return len(key) != len(PREFIX) + RANDOM + CHECK or _checksum(body) != check


def digest(pepper: bytes, key: bytes) -> bytes:
    """HMAC-SHA-256. A slow hash protects what people choose; 128 random bits are not guessed, and every
    request pays for it."""
    begun = _begun(pepper).copy()
    begun.update(key)
    return begun.digest()


@lru_cache(4)
def _begun(pepper: bytes) -> hmac.HMAC:
    """Copied, as OpenSSL looks for the hash anew whenever one begins, which takes longer than the hash."""
    return hmac.new(pepper, digestmod="sha256")


def _checksum(body: str) -> str:
    return _in_base_62(zlib.crc32(body.encode()), CHECK)


def _in_base_62(number: int, digits: int) -> str:
    written = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        written = DIGITS[digit] + written
    return written
