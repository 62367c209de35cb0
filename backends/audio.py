"""Decodes uploads of any common container in windows. Synchronous: runs inside a child process.

The bytes are strangers': only demuxers on `DEMUXERS` are tried, so that no playlist (HLS, DASH,
concat, SDP) makes FFmpeg open files or addresses of its choosing.
"""

import math
from collections.abc import Generator

import av
from av.audio.resampler import AudioResampler

from backends.contract.audio import Audio, opened
from backends.contract.errors import MediaTooLong, MediaUnsupported

# FFmpeg's names; its list stops at commas, and each of a demuxer's names suffices.
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,loas,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "mxf,nut,ogg,qcp,rm,shn,tak,tta,voc,w64,wav,wv"
)

# Streams without a length of their own: FFmpeg takes one from the bit rate of their first frames, and
# says ten times too much of a file that begins softly.
_GUESSED = frozenset({"aac", "ac3", "amr", "dts", "eac3", "loas", "mp3", "mpeg", "mpegts"})

_SHARED = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}


def windows(
    data: Audio, rate: int = 16_000, seconds: float = 0.25, longest_s: float | None = None
) -> Generator[bytes, None, None]:
    """The audio of `data` as signed 16-bit little-endian mono at `rate` Hz, in pieces of `seconds`
    (the last is shorter). Holds no more than a window and a packet at a time.

    Damaged packets are skipped as players do. Raises MediaUnsupported (`param="file"`) when
    there is nothing to hear in the file at all, MediaTooLong when it plays longer than `longest_s`:
    at once where the file says so itself, else when that much has been given.
    """
    size = int(rate * seconds) * 2
    pending = bytearray()
    left = math.inf if longest_s is None else longest_s * rate * 2
    for piece in _decoded(data, rate, longest_s):
        left -= len(piece)
        if left < 0:
            raise _too_long(longest_s)
        pending += piece
        while len(pending) >= size:
            yield bytes(pending[:size])
            del pending[:size]
    if pending:
        yield bytes(pending)


def _too_long(longest_s: float | None) -> MediaTooLong:
    return MediaTooLong(f"the audio is longer than {longest_s:g} s, the limit here", param="file")


def _decoded(data: Audio, rate: int, longest_s: float | None) -> Generator[bytes, None, None]:
    if not data:
        raise MediaUnsupported("the file is empty", param="file")
    heard = False
    try:
        with opened(data) as file, av.open(file, "r", options=_SHARED) as container:
            if not container.streams.audio:
                raise MediaUnsupported("the file has no audio in it", param="file")
            if longest_s is not None and _declared_s(container) > longest_s:
                raise _too_long(longest_s)
            resampler = _Resampler(rate)
            for frame in _frames(container):
                for piece in resampler.feed(frame):
                    heard = True
                    yield piece
            yield from resampler.rest()
    except (av.FFmpegError, ValueError) as error:
        # PyAV says ValueError for streams whose parameters make no sense.
        if not heard:
            raise MediaUnsupported("the file is not audio that can be decoded", param="file") from error
        return  # what follows is damaged beyond resynchronising
    if not heard:
        raise MediaUnsupported("the file is not audio that can be decoded", param="file")


def _declared_s(container: av.container.InputContainer) -> float:
    """How long the file says it is, in seconds; 0 where it does not."""
    return 0.0 if container.format.name in _GUESSED else (container.duration or 0) / av.time_base


def _frames(container: av.container.InputContainer) -> Generator[av.AudioFrame, None, None]:
    for packet in container.demux(container.streams.audio[0]):
        try:
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame):
                    yield frame
        except av.InvalidDataError:
            continue


class _Resampler:
    """One that survives a change of format in mid-stream, as broadcasts and joined MP3s have."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._kind: tuple[int, str, str] | None = None
        self._inner: AudioResampler | None = None

    def feed(self, frame: av.AudioFrame) -> Generator[bytes, None, None]:
        kind = (frame.sample_rate, frame.format.name, frame.layout.name)
        if kind != self._kind:
            yield from self.rest()
            self._inner = AudioResampler(format="s16", layout="mono", rate=self._rate)
            self._kind = kind
        assert self._inner is not None
        frame.pts = None  # gaps and jumps in a file's clock are not ours to fill
        for made in self._inner.resample(frame):
            yield _samples(made)

    def rest(self) -> Generator[bytes, None, None]:
        if self._inner is not None:
            for made in self._inner.resample(None):
                yield _samples(made)
            self._inner = None


def _samples(frame: av.AudioFrame) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * 2]  # a plane may be padded
