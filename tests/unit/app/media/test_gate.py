"""What engines see of media."""

from typing import Any

import pytest

from app.media.gate import FRAMES, Media
from app.media.parts import MOST
from backends.contract.errors import GatewayError

from .made import gif, mp3, png, url, wav

SHORT = Media(1_000_000, longest_s=10, fetcher=None)


def image(given: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": given, "detail": "low"}}


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


async def test_engines_get_what_it_is() -> None:
    """Whatever a caller calls the bytes: readers choose by that name."""
    body = said(
        image(url(png(), "video/jpeg")),
        {"type": "input_image", "image_url": url(gif(), "text/html;charset=x")},
        {"type": "audio_url", "audio_url": {"url": url(mp3(), "audio/flac")}},
        {"type": "input_audio", "input_audio": {"data": url(wav()).partition(",")[2], "format": "wav"}},
    )
    length = await SHORT.inlined(body, 1000)
    shown, seen, heard, bare = body["messages"][0]["content"]
    assert shown["image_url"] == {"url": url(png(), "image/png"), "detail": "low"}
    assert seen["image_url"] == url(gif(), "image/gif")
    assert heard["audio_url"]["url"] == url(mp3(), "audio/mpeg")
    assert bare["input_audio"]["data"] == url(wav()).partition(",")[2]
    assert length == 1000 + len("png") - len("jpeg") + len("image") - len("video") - len(
        "text/html;charset=x"
    ) + len("image/gif") + len("audio/mpeg") - len("audio/flac")


async def test_what_is_none_passes() -> None:
    body = {
        "messages": [
            {"role": "user", "content": "look at https://example.com/a.png"},
            {"role": "assistant", "content": None, "audio": None, "image_url": None},
            {"role": "assistant", "tool_calls": [{"function": {"arguments": '{"image_url": "http://x"}'}}]},
        ],
        "tools": [{"function": {"parameters": {"properties": {"image_url": {"type": "string"}}}}}],
    }
    before = repr(body)
    assert await SHORT.inlined(body, 5) == 5
    assert repr(body) == before


HTTPS = "https://example.com/a.png"


@pytest.mark.parametrize(
    ("part", "param", "code"),
    [
        (image(HTTPS), "image_url", "media_not_fetched"),
        (image("file:///etc/passwd"), "image_url", "media_not_fetched"),
        (image("/etc/passwd"), "image_url", "media_not_fetched"),
        (image(""), "image_url", "media_not_fetched"),
        ({"type": "input_image", "image_url": HTTPS}, "image_url", "media_not_fetched"),
        ({"type": "tool", "output": [{"image_url": HTTPS}]}, "output[0].image_url", "media_not_fetched"),
        ({"type": "video_url", "video_url": {"url": url(png())}}, "video_url", "unsupported_media"),
        ({"type": "input_file", "file_url": HTTPS}, "file_url", "unsupported_media"),
        ({"type": "any", "any_url": HTTPS}, "any_url", "unsupported_media"),
        ({"type": "image_embeds", "image_embeds": "AAAA"}, "image_embeds", "unsupported_media"),
        (image("data:image/png,AAAA"), "image_url", "unsupported_media"),
        (image("data:image/png;base64"), "image_url", "unsupported_media"),
        (image("data:image/png;base64,"), "image_url", "unsupported_media"),
        (image("data:image/png;base64,!!"), "image_url", "unsupported_media"),
        (image("data:image/png;base64,é"), "image_url", "unsupported_media"),
        (image(url(b"<svg/>")), "image_url", "unsupported_media"),
        (image(url(wav())), "image_url", "unsupported_media"),
        (image(url(png(20_000, 20_000))), "image_url", "media_too_large"),
        (image(url(png(2**31, 2**31))), "image_url", "media_too_large"),
        (image(url(png(1, 1, FRAMES + 1))), "image_url", "media_too_large"),
        ({"type": "a", "audio_url": url(png())}, "audio_url", "unsupported_media"),
        ({"type": "a", "audio_url": url(wav(11))}, "audio_url", "media_too_long"),
        ({"type": "a", "input_audio": {"data": "!!"}}, "input_audio.data", "unsupported_media"),
    ],
)
async def test_refused(part: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(GatewayError) as refused:
        await SHORT.inlined(said(part), 1000)
    assert (refused.value.param, refused.value.code) == (f"messages[0].content[0].{param}", code)
    assert refused.value.status == 400
    assert "/etc" not in refused.value.message


async def test_limits_are_of_all_together() -> None:
    fine = image(url(png(6_000, 6_000)))
    await SHORT.inlined(said(fine, fine), 1000)
    with pytest.raises(GatewayError) as refused:
        await SHORT.inlined(said(fine, fine, fine), 1000)
    assert refused.value.param == "messages[0].content[2].image_url"
    heard = {"type": "a", "audio_url": url(wav(6))}
    with pytest.raises(GatewayError, match="longer than 10 s"):
        await SHORT.inlined({"input": [heard, heard]}, 1000)
    with pytest.raises(GatewayError) as refused:
        await SHORT.inlined(said(*[image(url(png()))] * (MOST + 1)), 1000)
    assert refused.value.param == f"messages[0].content[{MOST}].image_url"
