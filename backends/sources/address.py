"""What a fleet's `source:` may say. Pure: nothing is looked up.

builtin://NAME                          ships with Motley
file:///PATH                            a path on the node
pvc://CLAIM/PATH                        in a volume that is mounted on the node
hf://ORG/NAME[/FOLDER]@REVISION         of a hub of Hugging Face's kind
s3://BUCKET/PREFIX                      of an object store
https://HOST/ARCHIVE#sha256=HEX         a tar or zip archive
"""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

SCHEMES = {
    "builtin": "builtin://NAME",
    "file": "file:///PATH",
    "pvc": "pvc://CLAIM/PATH",
    "hf": "hf://ORG/NAME@REVISION",
    "s3": "s3://BUCKET/PREFIX",
    "https": "https://HOST/ARCHIVE#sha256=HEX",
}
# Their files are brought to the node; those of the others are there.
FAR = frozenset({"hf", "s3", "https"})

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HUB = re.compile(rf"({_NAME}/{_NAME})((?:/{_NAME})*)@([A-Za-z0-9][A-Za-z0-9._/-]*)")
_SHA256 = re.compile(r"sha256=([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Address:
    """`place`: the name of what ships with Motley, the claim, the repository, the bucket, or the URL;
    `inside`: a path there; `pin`: the hub's revision, or an archive's sha256."""

    text: str
    scheme: str
    place: str
    inside: str = ""
    pin: str = ""

    @property
    def far(self) -> bool:
        return self.scheme in FAR

    def key(self, allow_pickle: bool) -> str:
        """The name of its folder in a node's store. With pickles it is another one: it holds other files."""
        name = re.sub("[^a-z0-9]+", "-", f"{self.place} {self.inside}".lower().split("://")[-1]).strip("-")
        digest = hashlib.sha256(f"{self.text} {allow_pickle}".encode()).hexdigest()
        return f"{self.scheme}-{name[:60]}-{digest[:12]}"


def parse(text: str) -> Address:
    """Raises ValueError(what is wrong with it: "the source …", what to write instead)."""
    known = "known: " + ", ".join(SCHEMES.values())
    try:
        parts = urlsplit(text)
        user = parts.username or parts.password
    except ValueError:
        raise ValueError("is none", known) from None
    if not parts.scheme:
        raise ValueError("has no scheme", known)
    if parts.scheme not in SCHEMES:
        raise ValueError("has a scheme that is not known", known)
    if parts.scheme == "https" and user:
        raise ValueError("holds a user's name or password", "credentials stay in the environment")
    address = _PARTS[parts.scheme](text, parts)
    if ".." in address.inside.split("/"):
        raise ValueError("leaves its folder", f"write {SCHEMES[parts.scheme]}")
    return address


def _wrong(what: str, scheme: str) -> ValueError:
    return ValueError(what, f"write {SCHEMES[scheme]}")


def _builtin(text: str, parts: SplitResult) -> Address:
    if not parts.netloc:
        raise _wrong("names nothing", "builtin")
    return Address(text, "builtin", parts.netloc)


def _file(text: str, parts: SplitResult) -> Address:
    if parts.netloc or len(parts.path) < 2:
        raise _wrong("has a path that does not begin with a slash", "file")
    # What is on the node is the operator's: `..` leads nowhere that its full path would not.
    return Address(text, "file", unquote(parts.path))


def _pvc(text: str, parts: SplitResult) -> Address:
    if not re.fullmatch(_NAME, parts.netloc):
        raise _wrong("names no volume", "pvc")
    return Address(text, "pvc", parts.netloc, unquote(parts.path).strip("/"))


def _hub(text: str, _: SplitResult) -> Address:
    found = _HUB.fullmatch(text.removeprefix("hf://"))
    if found is None:
        raise _wrong("does not name a repository and its revision", "hf")
    return Address(text, "hf", found[1], found[2].strip("/"), found[3])


def _bucket(text: str, parts: SplitResult) -> Address:
    if not re.fullmatch(_NAME, parts.netloc) or parts.query or parts.fragment:
        raise _wrong("does not name a bucket and a prefix", "s3")
    return Address(text, "s3", parts.netloc, unquote(parts.path).strip("/"))


def _archive(text: str, parts: SplitResult) -> Address:
    pin = _SHA256.fullmatch(parts.fragment)
    if not parts.hostname or len(parts.path) < 2:
        raise _wrong("names no archive", "https")
    if pin is None:
        raise _wrong("does not end in the archive's sha256", "https")
    return Address(text, "https", parts._replace(fragment="").geturl(), pin=pin[1])


_PARTS = {"builtin": _builtin, "file": _file, "pvc": _pvc, "hf": _hub, "s3": _bucket, "https": _archive}
