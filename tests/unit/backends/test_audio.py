"""Uploads: what decodes, what is refused, and that nothing else is opened."""

import array
import io
import itertools
import math
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from backends.audio import windows
from backends.contract.audio import Spooled
from backends.contract.errors import MediaTooLong, MediaUnsupported

SECONDS = 3
CONTAINERS = [
    ("wav", "pcm_s16le", 24_000, "s16"),
    ("mp3", "libmp3lame", 24_000, "s16p"),
    ("ogg", "libopus", 24_000, "s16"),
    ("flac", "flac", 24_000, "s16"),
    ("adts", "aac", 24_000, "fltp"),
    ("mp4", "aac", 44_100, "fltp"),
    ("webm", "libopus", 48_000, "s16"),
    ("mpegts", "aac", 24_000, "fltp"),
    ("aiff", "pcm_s16be", 8_000, "s16"),
]


def recording(
    muxer: str = "wav",
    codec: str = "pcm_s16le",
    rate: int = 16_000,
    kind: str = "s16",
    loudness: int = 9000,
) -> bytes:
    """A tone of 440 Hz."""
    wave = (int(loudness * math.sin(2 * math.pi * 440 * i / rate)) for i in range(SECONDS * rate))
    tone = array.array("h", wave)
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(tone))
    frame.planes[0].update(tone.tobytes())
    frame.sample_rate, frame.pts = rate, 0
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.codec_context.layout, stream.codec_context.format = "mono", kind
        for made in av.AudioResampler(format=kind, layout="mono", rate=rate).resample(frame):
            container.mux(stream.encode(made))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(("muxer", "codec", "rate", "kind"), CONTAINERS, ids=[c[0] for c in CONTAINERS])
def test_decodes_bytes_without_a_name(muxer: str, codec: str, rate: int, kind: str) -> None:
    pieces = list(windows(recording(muxer, codec, rate, kind), 16_000, 0.25))
    assert {len(piece) for piece in pieces[:-1]} == {8_000}
    samples = array.array("h", b"".join(pieces))
    assert len(samples) / 16_000 == pytest.approx(SECONDS, abs=0.12)
    middle = samples[16_000:32_000]
    assert sum(a < 0 <= b for a, b in itertools.pairwise(middle)) == pytest.approx(440, abs=2)


def test_a_streamed_wav_whose_header_does_not_know_its_length() -> None:
    data = bytearray(recording())
    at = data.index(b"data")
    data[4:8] = data[at + 4 : at + 8] = struct.pack("<I", 0xFFFFFFFF)
    assert sum(map(len, windows(bytes(data)))) == SECONDS * 32_000


def test_a_cut_off_file_gives_what_it_has() -> None:
    data = recording("mp3", "libmp3lame", 24_000, "s16p")
    heard = sum(map(len, windows(data[: len(data) // 2]))) / 32_000
    assert heard == pytest.approx(SECONDS / 2, abs=0.2)


def test_damage_in_the_middle_is_passed_over() -> None:
    data = bytearray(recording("mp3", "libmp3lame", 24_000, "s16p"))
    middle = len(data) // 2
    data[middle : middle + 600] = os.urandom(600)
    assert sum(map(len, windows(bytes(data)))) / 32_000 == pytest.approx(SECONDS, abs=0.5)


def video_only() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        lambda: b"This is not music but a letter.\n" * 50,
        lambda: b'{"file": "no"}',
        lambda: bytes(50_000),
        lambda: recording()[:44],
        lambda: b"RIFF\xff\xff\xff\xffWAVE",
        lambda: b"%PDF-1.7\n" + bytes(3_000),
        video_only,
    ],
    ids=["empty", "text", "json", "zeros", "header only", "half a header", "pdf", "video"],
)
def test_refuses_what_is_not_audio(make: Callable[[], bytes]) -> None:
    with pytest.raises(MediaUnsupported) as caught:
        list(windows(make()))
    assert caught.value.param == "file"


@pytest.mark.parametrize(("muxer", "codec", "rate", "kind"), CONTAINERS, ids=[c[0] for c in CONTAINERS])
def test_refuses_what_plays_too_long(muxer: str, codec: str, rate: int, kind: str) -> None:
    data = recording(muxer, codec, rate, kind)
    assert list(windows(data, longest_s=SECONDS + 0.2))
    given: list[bytes] = []
    with pytest.raises(MediaTooLong) as caught:
        given.extend(windows(data, longest_s=SECONDS / 2))
    assert caught.value.param == "file"
    assert sum(map(len, given)) <= SECONDS / 2 * 32_000
    # Where the file says so itself, nothing is decoded at all.
    assert (not given) == (muxer not in ("mp3", "adts", "mpegts"))


def test_a_length_guessed_from_the_first_frames_refuses_nothing() -> None:
    """Silence first, and then many times as many bytes a second: FFmpeg takes it for hours."""
    soft = recording("adts", "aac", 24_000, "fltp", 0)
    data = soft + recording("adts", "aac", 24_000, "fltp") * 8
    with av.open(io.BytesIO(data)) as container:
        assert (container.duration or 0) / av.time_base > 9 * SECONDS + 1
    assert sum(map(len, windows(data, longest_s=9 * SECONDS + 1))) / 32_000 == pytest.approx(
        9 * SECONDS, abs=0.8
    )


def test_refuses_playlists_that_name_other_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(recording())
    playlists = {
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n",
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }
    for text in playlists.values():
        with pytest.raises(MediaUnsupported):
            list(windows(text.encode()))
    with av.open(io.BytesIO(playlists["concat"].encode()), "r", options={"safe": "0"}) as container:
        assert container.format.name == "concat", "FFmpeg itself would have gone along"


def test_holds_no_more_than_it_must() -> None:
    """Twenty minutes are 38 MB as PCM; decoding them may not take a quarter of that."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=16_000)
        stream.codec_context.layout, stream.codec_context.format = "mono", "s16"
        for _ in range(120):
            frame = av.AudioFrame(format="s16", layout="mono", samples=160_000)
            frame.planes[0].update(bytes(320_000))
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = file.getvalue()
    before = _resident()
    heard = most = 0
    for number, window in enumerate(windows(data)):
        heard += len(window)
        if number % 100 == 0:
            most = max(most, _resident() - before)
    assert heard == 1_200 * 32_000
    assert most < 10_000_000


def test_a_file_is_decoded_as_its_bytes_are() -> None:
    data = recording("flac", "flac")
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        assert list(windows(Spooled(file, len(data)))) == list(windows(data))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
