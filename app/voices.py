"""Voices made from recordings: what is kept of them, and where.

A folder, or an object store by its URL (`s3://BUCKET/PATH`, …) where fsspec has the package for it.
Every door reads and writes the same one; replicas never see it.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import orjson

from backends.child import Pool
from backends.contract.tasks import Sample

ID = re.compile(r"voice_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Voice:
    """`consent`: what the speaker agreed to, as the uploader has it. `created_at`: Unix seconds.
    `language`: ISO 639-1. `seconds`: how long the recording is."""

    id: str
    name: str
    consent: str
    created_at: int
    seconds: float
    language: str | None = None


class Recordings:
    """Uploads → recordings as engines take them, in a child of its own: what strangers send is
    decoded by native code. It starts with the first upload."""

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._starting = asyncio.Lock()

    async def take(self, upload: bytes) -> tuple[float, bytes]:
        """Seconds, and WAV as `Sample.sound` has it. Raises MediaUnsupported for what is no sound,
        InvalidRequest for one too short, too long or silent, both without a `param`."""
        async with self._starting:
            if self._pool is None:
                pool = Pool("backends.recording_child", {})
                await pool.start()
                self._pool = pool
        async with aclosing(self._pool.stream("take", {}, upload)) as items:
            async for found, sound in items:
                return found["seconds"], sound
        raise RuntimeError("the child said nothing")

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()


class Voices:
    """The store. `where`: a folder or a URL; nothing is read or made before the first use."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.recordings = Recordings()

    async def add(self, name: str, consent: str, language: str | None, seconds: float, sound: bytes) -> Voice:
        """Keep a recording. The same one, of the same name and language, is the same voice; of the
        consents, the last is kept."""
        content = hashlib.sha256(b"\0".join([name.encode(), (language or "").encode(), sound]))
        voice = Voice(f"voice_{content.hexdigest()[:32]}", name, consent, int(time.time()), seconds, language)
        known = await self.find(voice.id)
        if known is not None:
            voice = replace(voice, created_at=known.created_at)
        else:
            await self._write(f"{voice.id}.wav", sound)
        # Last: a voice is there when its description is.
        await self._write(f"{voice.id}.json", orjson.dumps(asdict(voice)))
        return voice

    async def find(self, voice: str) -> Voice | None:
        if not ID.fullmatch(voice):
            return None
        return _parsed(await self._read(f"{voice}.json"))

    async def sample(self, voice: str) -> Sample | None:
        """What a task says of a voice that is kept here, without its sound; None for all others."""
        found = await self.find(voice)
        return None if found is None else Sample(language=found.language)

    async def sound(self, voice: str) -> bytes | None:
        return await self._read(f"{voice}.wav") if ID.fullmatch(voice) else None

    async def all(self) -> list[Voice]:
        """The oldest first."""
        names = await asyncio.to_thread(self._names)
        voices = await asyncio.gather(*(self.find(name) for name in names))
        return sorted((voice for voice in voices if voice), key=lambda voice: (voice.created_at, voice.id))

    async def remove(self, voice: str) -> bool:
        """Whether there was one."""
        if await self.find(voice) is None:
            return False
        for name in (f"{voice}.json", f"{voice}.wav"):
            with suppress(FileNotFoundError):
                await asyncio.to_thread(self._files.rm_file, self._path(name))
        return True

    def _read(self, name: str) -> Awaitable[bytes | None]:
        def read() -> bytes | None:
            try:
                content: bytes = self._files.cat_file(self._path(name))
            except FileNotFoundError:
                return None
            return content

        return asyncio.to_thread(read)

    def _write(self, name: str, content: bytes) -> Awaitable[None]:
        def write() -> None:
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(self._path(name), content)

        return asyncio.to_thread(write)

    def _names(self) -> list[str]:
        try:
            found = self._files.ls(self._root, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        names = (str(path).rpartition("/")[2] for path in found)
        return [name.removesuffix(".json") for name in names if name.endswith(".json")]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """Blocks, and may import the client of an object store."""
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self._where)
        return files, str(root).rstrip("/")

    @property
    def _files(self) -> Any:
        return self._place[0]

    @property
    def _root(self) -> str:
        return self._place[1]


def _parsed(content: bytes | None) -> Voice | None:
    """None where it is not there, or not whole yet."""
    try:
        found = orjson.loads(content or b"")
    except orjson.JSONDecodeError:
        return None
    return Voice(**{field.name: found[field.name] for field in fields(Voice)})
