"""`POST /v1/rerank` as Jina and Cohere have it, `/v2/rerank` as Cohere has it, `/rerank` as TEI, `/score`
as vLLM; and what they are answered with."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from app.wire.base import Closed
from backends.contract.errors import InvalidRequest

MOST = 10_000

Document = dict[str, Any]


def _query(given: Any) -> Any:
    """Jina also takes `{"text": …}`."""
    return given["text"] if isinstance(given, dict) and given.keys() == {"text"} else given


def _documents(given: Any) -> Any:
    """A string is short for an object with a `text`."""
    if not isinstance(given, list):
        raise InvalidRequest("'documents' must be an array", param="documents")
    for number, item in enumerate(given):
        if not isinstance(item, str | dict):
            at = f"documents[{number}]"
            raise InvalidRequest(f"'{at}' must be a string or an object", param=at)
    return [{"text": item} if isinstance(item, str) else item for item in given]


Query = Annotated[str, BeforeValidator(_query), Field(min_length=1)]
Documents = Annotated[
    list[Document],
    BeforeValidator(_documents),
    Field(
        min_length=1,
        max_length=MOST,
        description='Strings, or objects such as `{"text": "…"}`.',
        json_schema_extra={"items": {"type": ["string", "object"]}},
    ),
]
TopN = Annotated[int, Field(ge=1, description="How many results; all if not given.")]


class RerankRequest(Closed):
    query: Query
    documents: Documents
    top_n: TopN | None = None
    return_documents: Annotated[bool, Field(description="Repeat each document in its result.")] | None = None
    rank_fields: (
        Annotated[
            list[str],
            Field(
                min_length=1, description="What to read of documents that are objects; `text` if not given."
            ),
        ]
        | None
    ) = None
    max_tokens_per_doc: (
        Annotated[int, Field(ge=1, description="Of each document; the rest is left out.")] | None
    ) = None
    user: str | None = None

    def texts(self) -> tuple[str, ...]:
        """What is read of each document: the fields' values, in their order, a line each.

        Raises InvalidRequest for a document without any of them.
        """
        fields = self.rank_fields or ["text"]
        return tuple(
            _text(item, fields, f"documents[{number}]") for number, item in enumerate(self.documents)
        )


def _text(document: Document, fields: list[str], at: str) -> str:
    found = {name: document[name] for name in fields if name in document}
    if not found:
        wanted = " or ".join(f"'{name}'" for name in fields)
        raise InvalidRequest(f"'{at}' must be an object with {wanted}", param=at)
    for name, value in found.items():
        if not isinstance(value, str):
            raise InvalidRequest(f"'{at}.{name}' must be a string", param=f"{at}.{name}")
    return "\n".join(found.values())


class RerankV1Request(RerankRequest):
    max_chunks_per_doc: (
        Annotated[int, Field(ge=1, description="A document is read as one chunk, whatever its length.")]
        | None
    ) = None

    @property
    def shows(self) -> bool:
        """Whether results repeat their documents: of its own accord, Jina does and Cohere does not.
        Who uses a field that only Cohere has is Cohere's."""
        if self.return_documents is not None:
            return self.return_documents
        return not (self.rank_fields or self.max_chunks_per_doc or self.max_tokens_per_doc)


class TextsRequest(Closed):
    """TEI's."""

    query: Annotated[str, Field(min_length=1)]
    texts: Annotated[list[str], Field(min_length=1, max_length=MOST)]
    return_text: bool | None = None
    raw_scores: bool | None = None
    truncate: bool | None = None
    truncation_direction: Literal["right", "Right"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _elsewhere(cls, given: Any) -> Any:
        if isinstance(given, dict) and "documents" in given and "texts" not in given:
            said = "'documents' are ranked at /v1/rerank and /v2/rerank; here they are 'texts', as TEI has it"
            raise InvalidRequest(said, param="documents")
        return given

    @model_validator(mode="after")
    def _offered(self) -> "TextsRequest":
        if self.raw_scores:
            raise InvalidRequest("'raw_scores' are not offered: scores are in 0…1", param="raw_scores")
        if self.truncate is False:
            said = "'truncate' cannot be false: texts are cut to what the model reads"
            raise InvalidRequest(said, param="truncate")
        return self


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


Side = Annotated[
    list[str],
    BeforeValidator(_listed),
    Field(min_length=1, max_length=MOST, json_schema_extra={"type": ["string", "array"]}),
]


class ScoreRequest(Closed):
    """vLLM's: one text against several, or several against as many, pair by pair."""

    text_1: Side
    text_2: Side
    user: str | None = None

    def asked(self) -> list[tuple[str, tuple[str, ...]]]:
        """Queries, each with the documents to be scored against it. Raises InvalidRequest (`text_1`)."""
        if len(self.text_1) == 1:
            return [(self.text_1[0], tuple(self.text_2))]
        if len(self.text_1) != len(self.text_2):
            raise InvalidRequest("'text_1' must be one text, or as many as 'text_2'", param="text_1")
        return [(query, (document,)) for query, document in zip(self.text_1, self.text_2, strict=True)]


class Result(BaseModel):
    """`relevance_score`: 0…1. `document`: as it was given, a string as `{"text": …}`."""

    index: int
    relevance_score: float
    document: Document | None = None


class RankedUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class ApiVersion(BaseModel):
    version: Literal["1", "2"]
    is_experimental: bool


class BilledUnits(BaseModel):
    """Cohere's unit: a query with up to 100 documents."""

    search_units: int


class Tokens(BaseModel):
    input_tokens: int
    output_tokens: int


class Meta(BaseModel):
    api_version: ApiVersion
    billed_units: BilledUnits
    tokens: Tokens


class RankedV2(BaseModel):
    """Cohere's v2."""

    id: str
    results: list[Result]
    meta: Meta


class Ranked(RankedV2):
    """Jina's and Cohere's v1 in one: `object`, `model` and `usage` are Jina's, `id` and `meta` Cohere's."""

    object: Literal["list"]
    model: str
    usage: RankedUsage


class TextScore(BaseModel):
    """TEI's."""

    index: int
    score: float
    text: str | None = None


class Score(BaseModel):
    index: int
    object: Literal["score"]
    score: float


class ScoreUsage(RankedUsage):
    completion_tokens: int


class Scores(BaseModel):
    """vLLM's."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[Score]
    usage: ScoreUsage
