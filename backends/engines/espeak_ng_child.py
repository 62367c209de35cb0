"""The synthesiser itself: what runs in the child of `espeak-ng`.

A binding to the few functions of libespeak-ng that are needed. Its state is global to the
process and it is GPL-3, which is why it lives in one of its own.
"""

import ctypes
import os
import tempfile
from array import array
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from backends.contract.errors import InvalidRequest
from backends.sentences import split
from backends.worker import Item

# Of speak_lib.h
SYNCHRONOUS, DONT_EXIT = 2, 0x8000
UTF8, END_PAUSE = 1, 0x1000
RATE_PARAMETER = 1
SLOWEST_WPM = 80  # slower is spoken at this pace all the same

# `espeak_Initialize` fails with a longer data path, silently falling back to another.
LONGEST_PATH = 120

ITEM_S = 0.5
LONGEST_PIECE = 400  # characters
SILENT = 64  # the loudest sample of what counts as silence, of 32,767

DEBIAN_LIBRARY = "libespeak-ng.so.1"


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),  # pairs of a priority byte and a C string
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def start(options: Mapping[str, Any]) -> "Synthesiser":
    return Synthesiser(options["silence_s"])


class Synthesiser:
    def __init__(self, silence_s: float) -> None:
        library, data = _locate()
        self._shelter: tempfile.TemporaryDirectory[str] | None = None
        if data is not None and len(data) > LONGEST_PATH:
            self._shelter = tempfile.TemporaryDirectory(prefix="espeak")
            short = os.path.join(self._shelter.name, "d")
            os.symlink(data, short)
            data = short
        self._espeak = ctypes.CDLL(library)
        self._espeak.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._espeak.espeak_Info.restype = ctypes.c_char_p
        self._rate = self._espeak.espeak_Initialize(SYNCHRONOUS, 0, data and data.encode(), DONT_EXIT)
        if self._rate <= 0:
            raise RuntimeError("espeak-ng did not find its data")
        self._made = bytearray()
        self._callback = _Callback(self._hear)  # kept: the library holds no reference
        self._espeak.espeak_SetSynthCallback(self._callback)
        self._variants = self._find_variants()
        self._silence = bytes(2 * int(self._rate * silence_s))

    def describe(self, _fields: Any, _data: bytes) -> Generator[Item, None, None]:
        """One item: `{"voices": [[identifier, name, language]], "variants": [name]}`."""
        voices = []
        listed = self._espeak.espeak_ListVoices(None)
        for entry in listed:
            if not entry:
                break
            voice = entry.contents
            language = ctypes.string_at(voice.languages + 1).decode() if voice.languages else ""
            voices.append([voice.identifier.decode(), voice.name.decode(), language])
        yield {"voices": voices, "variants": self._variants}, b""

    def speak(self, fields: Any, _: bytes) -> Generator[Item | None, None, None]:
        """Items of at most half a second, `{"rate": Hz}` and samples. `fields`: text, voice
        (an identifier, with or without `+variant`), wpm."""
        wpm = max(SLOWEST_WPM, round(fields["wpm"]))
        tempo = fields["wpm"] / wpm
        started = False
        pieces = split(fields["text"], LONGEST_PIECE)
        for piece in pieces:
            sound = self._synthesise(piece, fields["voice"], wpm)
            yield None
            if tempo < 1:
                sound = _stretched(sound, self._rate, tempo)
                yield None
            if not started:
                if _silent(sound):
                    continue  # nothing is said before there is something to say
                started = True
                yield from self._items(self._silence)
            yield from self._items(sound)
        if not started:
            raise InvalidRequest("there is nothing to speak in the text", param="input")
        yield from self._items(self._silence)

    def _items(self, sound: bytes) -> Generator[Item, None, None]:
        step = 2 * int(self._rate * ITEM_S)
        for at in range(0, len(sound), step):
            yield {"rate": self._rate}, sound[at : at + step]

    def _synthesise(self, text: str, voice: str, wpm: int) -> bytes:
        # Each time: choosing a voice resets the pace.
        if self._espeak.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"espeak-ng does not know its own voice {voice}")
        self._espeak.espeak_SetParameter(RATE_PARAMETER, wpm, 0)
        self._made.clear()
        encoded = text.encode() + b"\0"
        self._espeak.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded)), 0, 1, 0, UTF8 | END_PAUSE, None, None
        )
        return bytes(self._made)

    def _hear(self, samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            self._made += ctypes.string_at(samples, 2 * count)
        return 0

    def _find_variants(self) -> list[str]:
        where = ctypes.c_char_p()
        self._espeak.espeak_Info(ctypes.byref(where))
        folder = Path((where.value or b"").decode()) / "voices" / "!v"
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def _locate() -> tuple[str, str | None]:
    """The library and its data: the package's, else the system's (which knows its data)."""
    try:
        import espeakng_loader
    except ImportError:
        return DEBIAN_LIBRARY, None
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


def _stretched(sound: bytes, rate: int, tempo: float) -> bytes:
    from backends.pace import Stretch

    stretch = Stretch(rate, tempo)
    return stretch.feed(sound) + stretch.finish()


def _silent(sound: bytes) -> bool:
    samples = array("h", sound)
    return not samples or -SILENT < min(samples) <= max(samples) < SILENT
