"""Where media stand in the body of a chat."""

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

from backends.contract.errors import InvalidRequest, MediaUnsupported

Kind = Literal["image", "audio"]
MOST = 64
_KINDS: dict[str, Kind] = {"image_url": "image", "audio_url": "audio"}
# Files of a server, addresses of others, and tensors, which are unpickled or as good as that.
_ELSEWHERE = ("file_url", "video_url")


@dataclass(slots=True)
class Part:
    """`at`: where it stands, such as `messages[0].content[1].image_url`. `bare`: base64 without more."""

    kind: Kind
    at: str
    held: MutableMapping[str, Any]
    name: str
    bare: bool = False

    @property
    def given(self) -> str:
        return str(self.held[self.name])

    @given.setter
    def given(self, url: str) -> None:
        self.held[self.name] = url


def parts(body: MutableMapping[str, Any]) -> list[Part]:
    """Of `messages` and `input`, however deep. Raises InvalidRequest and MediaUnsupported."""
    found = [part for name in ("messages", "input") for part in _within(body.get(name), name)]
    if len(found) > MOST:
        raise InvalidRequest(f"there are more than {MOST} images and sounds", param=found[MOST].at)
    return found


def _within(value: Any, at: str) -> Iterator[Part]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _within(item, f"{at}[{number}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _named(value, name, item, f"{at}.{name}")


def _named(held: dict[str, Any], name: str, item: Any, at: str) -> Iterator[Part]:
    if item is None:
        return
    if name in _ELSEWHERE or (name.endswith("_url") and name not in _KINDS):
        raise MediaUnsupported(f"'{at}' is not taken: images and sounds are, as data: URLs", param=at)
    if name.endswith("_embeds"):
        raise MediaUnsupported(f"'{at}' is not taken: media are, no tensors", param=at)
    if name in _KINDS and isinstance(item, str):
        yield Part(_KINDS[name], at, held, name)
    elif name in _KINDS and isinstance(item, dict) and isinstance(item.get("url"), str):
        yield Part(_KINDS[name], at, item, "url")
    elif name == "input_audio" and isinstance(item, dict) and isinstance(item.get("data"), str):
        yield Part("audio", f"{at}.data", item, "data", bare=True)
    else:
        yield from _within(item, at)
