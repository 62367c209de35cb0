"""One caller's task as a request for the batcher: its texts, what is wrong with them, its answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from backends.contract.errors import ContextExceeded, InvalidRequest
from backends.contract.results import Ranking, Vectors
from backends.vectors.reading import Reader, Tokens

if TYPE_CHECKING:
    from backends.microbatch import Rows

# Characters that are looked through for the end of a text that is mostly white space: a second's work.
_PATIENCE = 1 << 22


class Field(NamedTuple):
    """Texts of a task by the name of their field. `cut`: tokens of each that are read, the rest is left
    out; None: a text that is too long is refused. `prompt`: put before each."""

    name: str
    texts: Sequence[str]
    cut: int | None = None
    prompt: str = ""


class Asked:
    """`fields`: one, or that of a query and another. Raises InvalidRequest for what is empty."""

    def __init__(self, reader: Reader, *fields: Field) -> None:
        self._reader, self._fields = reader, fields
        self._whole: list[str] = []
        self.tokens = 0
        for field in fields:
            _check_present(field)
            texts = [field.prompt + text for text in field.texts] if field.prompt else field.texts
            self._whole += [text.lower() for text in texts] if reader.lower else texts
        reach = reader.reach
        self.texts = [text[:reach] for text in self._whole]

    def _field(self, index: int) -> tuple[Field, int]:
        """Of a text: its field, and which it is in that."""
        first = len(self._fields[0].texts)
        return (self._fields[0], index) if index < first else (self._fields[1], index - first)

    def _encoding(self, index: int, encoding: Any) -> tuple[Field, Any]:
        """Of a whole text, even where a beginning was read. Raises InvalidRequest, ContextExceeded."""
        field, _ = self._field(index)
        if encoding is None:
            raise InvalidRequest("the text is not valid Unicode", param=field.name)
        text = self._whole[index]
        if len(text) > len(self.texts[index]) and field.cut is None and len(encoding) <= self._reader.most:
            if len(text) > _PATIENCE:
                self._refuse(index)
            encoding = self._reader.whole(text)
        return field, encoding

    def _refuse(self, index: int) -> NoReturn:
        field, nth = self._field(index)
        what = "the text" if len(field.texts) == 1 else f"text {nth} (from 0)"
        raise ContextExceeded(
            f"{what} is longer than the {self._reader.most} tokens that this model reads", param=field.name
        )

    def _counted(self, index: int, item: Tokens) -> Tokens:
        if not len(item):
            raise InvalidRequest("the text has nothing to read in it", param=self._field(index)[0].name)
        self.tokens += len(item)
        return item


class _Texts(Asked):
    """Each text for itself."""

    def read(self, index: int, encoding: Any) -> Tokens:
        field, encoding = self._encoding(index, encoding)
        reader = self._reader
        if field.cut is not None and len(encoding) - reader.specials > field.cut:
            return self._counted(index, reader.cut(self.texts[index], field.cut))
        if len(encoding) > reader.most:
            self._refuse(index)
        return self._counted(index, Tokens(encoding, pair=False))


class Embedding(_Texts):
    """`dimensions`: components to keep, and the length is then 1."""

    def __init__(self, reader: Reader, field: Field, dimensions: int | None) -> None:
        super().__init__(reader, field)
        self._dimensions = dimensions

    def finish(self, rows: "Rows") -> Vectors:
        if self._dimensions is not None:
            rows = unit(rows[:, : self._dimensions])
        data = rows.astype("<f4", copy=False).tobytes()
        return Vectors(data, rows.shape[0], rows.shape[1], self.tokens)


class Likeness(_Texts):
    """A query and documents by the cosine of their vectors, mapped to 0…1."""

    def finish(self, rows: "Rows") -> Ranking:
        rows = unit(rows)
        cosines = (rows[1:] @ rows[0]).clip(-1, 1)
        return Ranking(tuple(((1 + cosines) / 2).tolist()), self.tokens)


class Relevance(Asked):
    """A query and documents in pairs, by a model's score of each, mapped to 0…1."""

    _query: Any = None

    def read(self, index: int, encoding: Any) -> Tokens | None:
        field, encoding = self._encoding(index, encoding)
        room = self._reader.room
        if index == 0:
            # Half of the room at most: there is a document to be read beside it.
            if len(encoding) > room // 2:
                if field.cut is None:
                    raise ContextExceeded(
                        f"the query is longer than {room // 2} tokens, half of what this model reads",
                        param=field.name,
                    )
                encoding.truncate(room // 2)
            self._query = encoding
            return None
        room = min(room - len(self._query), room if field.cut is None else field.cut)
        if len(encoding) > room:
            encoding.truncate(room)
        return self._counted(index, self._reader.pair(self._query, encoding))

    def finish(self, rows: "Rows") -> Ranking:
        import numpy as np

        scores = (1 + np.tanh(rows[:, 0].astype(np.float64) / 2)) / 2
        return Ranking(tuple(scores.tolist()), self.tokens)


def unit(rows: "Rows") -> "Rows":
    """Each row with the length 1."""
    import numpy as np

    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Rows = rows / np.maximum(norms, np.finfo(np.float32).tiny)
    return found


def _check_present(field: Field) -> None:
    if not field.texts:
        raise InvalidRequest(f"{field.name} is empty", param=field.name)
    for index, text in enumerate(field.texts):
        if not text or text.isspace():
            what = "the text" if len(field.texts) == 1 else f"text {index} (from 0)"
            raise InvalidRequest(f"{what} is empty", param=field.name)
