"""A recording, as it was uploaded: bytes, or a file where it is large. Whoever decodes it opens either."""

import io
import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Bytes. What is larger stays in the file that it was spooled into, all the way to the decoder.
HELD = 1 << 20


class Spooled:
    """What is too large to be held: `size` bytes in `file`, which has no name and is nobody else's. Whoever
    made it closes it; what was opened before can still be read.

    Only the size of it crosses to another process: there the file has to be brought (`bring`) by other ways
    than a pickle's, or all of it be sent as bytes instead.
    """

    def __init__(self, file: BinaryIO | None, size: int) -> None:
        self._file, self._size = file, size

    def __len__(self) -> int:
        return self._size

    def __reduce__(self) -> tuple[type["Spooled"], tuple[None, int]]:
        return Spooled, (None, self._size)

    def bring(self, file: BinaryIO) -> None:
        self._file = file

    def fileno(self) -> int:
        """Raises ValueError where the file is not here, or not any more."""
        if self._file is None:
            raise ValueError("the file is in another process")
        return self._file.fileno()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


Audio = bytes | Spooled


def opened(audio: Audio) -> BinaryIO:
    """To be read from its beginning, by one reader. Raises ValueError for a file that is closed."""
    return io.BytesIO(audio) if isinstance(audio, bytes) else io.BufferedReader(_Reader(audio))


class _Reader(io.RawIOBase):
    """With a place of its own: all descriptors of a file share theirs, in whatever processes they are."""

    def __init__(self, audio: Spooled) -> None:
        self._size, self._at = len(audio), 0
        self._file = os.dup(audio.fileno())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        into = memoryview(buffer).cast("B")
        data = os.pread(self._file, len(into), self._at)
        into[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("before the beginning")
        self._at = start + offset
        return self._at

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()
