"""The recogniser itself: what runs in the child of `pocketsphinx`.

Sound → endpointer → utterances → words. Two things shape it:

- The library holds the GIL for the whole of a call, and a call cannot be interrupted: sound is
  fed in short windows, with a place to stop after each.
- Fed in pieces, the library normalises sound by a running mean that starts from a guess:
  measurably worse (33 % against 25 % word error on seven clips of real speech). So an utterance's
  true mean is measured first, by recognising it whole against a one-word grammar (0.6 % of the
  time of the real pass), and set for the real pass.

Both the mean and the estimate of noise carry over from one utterance to the next unless they are
reset; then a result would depend on the requests before it.
"""

from collections.abc import Generator, Mapping
from typing import Any

from pocketsphinx import Decoder, Endpointer

from backends.audio import windows
from backends.contract.audio import Audio
from backends.worker import Item

RATE = 16_000
PER_SECOND = RATE * 2  # bytes
FRAMES_PER_SECOND = 100  # of the recogniser

# An utterance is cut after this long when the speaker does not pause, at the quietest place of
# its last stretch.
LONGEST_S = 20.0
SEARCH_S = 4.0
# How often, in seconds of audio, to say how far the work is when there is nothing else to say.
NEWS_S = 10.0


def start(options: Mapping[str, Any]) -> "Recogniser":
    return Recogniser(options["window_s"])


class Recogniser:
    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        # The second pass (`fwdflat`) runs over a whole utterance in one call, 1.3 s for one of 20 s,
        # and buys nothing on real speech. `maxhmmpf` bounds the work on noise and music: half the
        # time of the default for the same word error.
        self._decoder = Decoder(samprate=RATE, loglevel="FATAL", fwdflat=False, maxhmmpf=5000)
        self._whole_language = self._decoder.current_search()
        self._decoder.add_jsgf_string("mean", "#JSGF V1.0; grammar mean; public <mean> = a;")

    def transcribe(self, fields: Any, audio: Audio) -> Generator[Item | None, None, None]:
        """Items `{"position": seconds, "segments": [{"start", "end", "text", "words"}]}`, a word
        being `[text, start, end, probability]`. None after every window. `fields`:
        `{"longest_s": …}`, what plays longer is refused."""
        position = told = 0.0
        endpointer = _Endpointer()
        for window in windows(audio, RATE, self._window_s, fields["longest_s"]):
            position += len(window) / PER_SECOND
            for start, sound in endpointer.feed(window):
                segment = yield from self._utterance(start, sound)
                if segment:
                    told = position
                    yield {"position": position, "segments": [segment]}, b""
            if position - told >= NEWS_S:
                told = position
                yield {"position": position, "segments": []}, b""
            yield None
        last = []
        for start, sound in endpointer.finish():
            segment = yield from self._utterance(start, sound)
            if segment:
                last.append(segment)
        yield {"position": position, "segments": last}, b""

    def _utterance(self, start: float, sound: bytes) -> Generator[None, None, dict[str, Any] | None]:
        decoder = self._decoder
        decoder.activate_search("mean")
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(sound, full_utt=True)
        decoder.end_utt()
        mean = decoder.get_cmn(False)
        yield None
        decoder.activate_search(self._whole_language)
        decoder.reinit_feat()
        decoder.start_utt()
        try:
            step = int(self._window_s * PER_SECOND) & ~1
            for at in range(0, len(sound), step):
                decoder.set_cmn(mean)  # each time: the library moves it along
                decoder.process_raw(sound[at : at + step])
                yield None
        finally:  # also when stopped: the next utterance must find it at rest
            decoder.end_utt()
        return _segment(start, decoder)


def _segment(start: float, decoder: Any) -> dict[str, Any] | None:
    words = []
    for found in decoder.seg() or ():
        # `<s>`, `<sil>`, `[NOISE]`, `++COUGH++` are not words; `read(2)` is a second pronunciation.
        text = found.word.partition("(")[0]
        if text and text[0] not in "<[+":
            begin = round(start + found.start_frame / FRAMES_PER_SECOND, 2)
            end = round(start + (found.end_frame + 1) / FRAMES_PER_SECOND, 2)
            words.append([text, begin, end, min(1.0, found.prob)])
    if not words:
        return None
    text = " ".join(word[0] for word in words)
    return {"start": words[0][1], "end": words[-1][2], "text": text, "words": words}


class _Endpointer:
    """Cuts sound into utterances `(start in seconds, sound)` where the speaker pauses."""

    def __init__(self) -> None:
        self._inner = Endpointer(window=0.5, sample_rate=RATE)
        self._frame = self._inner.frame_bytes
        self._pending = bytearray()
        self._speech = bytearray()
        self._start = 0.0

    def feed(self, sound: bytes) -> Generator[tuple[float, bytes], None, None]:
        self._pending += sound
        while len(self._pending) > self._frame:
            frame = bytes(self._pending[: self._frame])
            del self._pending[: self._frame]
            yield from self._take(self._inner.process(frame))

    def finish(self) -> Generator[tuple[float, bytes], None, None]:
        if self._pending:
            yield from self._take(self._inner.end_stream(bytes(self._pending)))
        if self._speech:
            yield self._start, bytes(self._speech)

    def _take(self, speech: bytes | None) -> Generator[tuple[float, bytes], None, None]:
        if not speech:
            return
        if not self._speech:
            self._start = self._inner.speech_start
        self._speech += speech
        if not self._inner.in_speech:
            yield self._start, bytes(self._speech)
            self._speech.clear()
        elif len(self._speech) >= LONGEST_S * PER_SECOND:
            cut = _quietest(self._speech, self._frame)
            yield self._start, bytes(self._speech[:cut])
            del self._speech[:cut]
            self._start += cut / PER_SECOND


def _quietest(speech: bytearray, frame: int) -> int:
    """The offset of the frame with the least loudness in the last stretch."""
    first = len(speech) - int(SEARCH_S * PER_SECOND)
    first -= first % 2
    offsets = range(first, len(speech) - frame, frame)
    return min(offsets, key=lambda at: sum(map(abs, memoryview(speech)[at : at + frame].cast("h"))))
