"""The shape of a chain: what a model has that is made of other models (`steps:` instead of an engine).

Every shape says which tasks a chain of it can be (`tasks`), and which models it asks for what (`parts`).
"""

from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Discriminator, Field, GetJsonSchemaHandler, Tag, model_validator
from pydantic.json_schema import JsonSchemaValue

from backends.contract.tasks import VERBS, Verb
from backends.fleet.atoms import Number, PublicName, Strict, Whole
from backends.fleet.problems import Path

# A file of the folder that the settings name, and a function in it. Nothing else can be written.
HOOK = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
Hook = Annotated[str, Field(pattern=HOOK)]
Scalar = bool | int | float | str


class Part(NamedTuple):
    """One step: what it is called, where it stands under `steps`, who is asked, and for what."""

    label: str
    path: Path
    model: str
    task: Verb


class AudioChat(Strict):
    """Speech in, speech out: OpenAI's audio chat by three models."""

    tasks: ClassVar[tuple[Verb, ...]] = ("chat",)

    hear: PublicName = Field(description="What transcribes the `input_audio` parts.")
    think: PublicName = Field(description="What answers.")
    speak: PublicName = Field(description="What speaks the answer, sentence by sentence.")

    def parts(self, task: Verb) -> list[Part]:
        return [
            Part("hear", ("hear",), self.hear, "transcribe"),
            Part("think", ("think",), self.think, task),
            Part("speak", ("speak",), self.speak, "speak"),
        ]


class Retrieval(Strict):
    """Documents are compared by their vectors first, and only the nearest are reranked."""

    tasks: ClassVar[tuple[Verb, ...]] = ("rerank",)

    embed: PublicName = Field(description="What embeds the query and the documents.")
    rerank: PublicName = Field(description="What scores the nearest of them.")
    keep: Whole = Field(
        50, ge=1, le=10_000, description="How many are reranked; of fewer documents nothing is embedded."
    )

    def parts(self, task: Verb) -> list[Part]:
        return [
            Part("embed", ("embed",), self.embed, "embed"),
            Part("rerank", ("rerank",), self.rerank, task),
        ]


class Stage(Strict):
    """A model, and what a chat model is told before it reads the text."""

    model: PublicName
    prompt: str | None = Field(None, min_length=1, description="A system message; of a chat model alone.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, raw: Any) -> Any:
        return {"model": raw} if isinstance(raw, str) else raw

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        name = schema["properties"]["model"]
        return {"anyOf": [{key: name[key] for key in ("type", "pattern", "maxLength")}, {**schema}]}


class Sequence(Strict):
    """What one model says is what the next one reads."""

    tasks: ClassVar[tuple[Verb, ...]] = ("chat", "transcribe", "speak")

    sequence: tuple[Stage, ...] = Field(min_length=2)

    def parts(self, task: Verb) -> list[Part]:
        """Text lies between them: what transcribes comes first, what speaks last, all else chats."""
        last = len(self.sequence) - 1
        return [
            Part(str(at + 1), ("sequence", at), stage.model, self._task(task, at, last))
            for at, stage in enumerate(self.sequence)
        ]

    @staticmethod
    def _task(task: Verb, at: int, last: int) -> Verb:
        return task if (task == "transcribe" and at == 0) or (task == "speak" and at == last) else "chat"


class Around(Strict):
    """Functions of the operator's own, before a model is asked and after it has answered."""

    tasks: ClassVar[tuple[Verb, ...]] = VERBS

    before: Hook | None = Field(None, description="`module:function`: task → task.")
    model: PublicName
    after: Hook | None = Field(None, description="`module:function`: task, result → result.")
    within_s: Number = Field(
        2.0, gt=0, le=600, description="The longest either of them may take, in seconds."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> "Around":
        if self.before is None and self.after is None:
            raise ValueError("a step around a model is 'before' it, 'after' it, or both")
        return self

    def parts(self, task: Verb) -> list[Part]:
        return [Part("model", ("model",), self.model, task)]


class Rule(Strict):
    """Who answers, if a field of the request (or what the classifier says) is so; without either, always."""

    model: PublicName
    field: str | None = Field(None, min_length=1, description="Dotted; alone: it is given at all.")
    equals: Scalar | tuple[Scalar, ...] | None = Field(None, description="It is this, or one of these.")
    contains: str | None = Field(
        None, min_length=1, description="This is in its text; capitals do not count."
    )
    over: Number | None = Field(
        None,
        description="It is more than this: a number itself, a text by its characters, a list by its items.",
    )
    answer: str | None = Field(None, min_length=1, description="The classifier says this word.")

    @property
    def always(self) -> bool:
        return self.field is None and self.answer is None

    @model_validator(mode="after")
    def _one_condition(self) -> "Rule":
        told = [name for name in ("equals", "contains", "over") if getattr(self, name) is not None]
        if len(told) > 1:
            raise ValueError(f"'{told[0]}' and '{told[1]}' in one rule: a rule has one condition")
        if told and self.field is None:
            raise ValueError(f"'{told[0]}' needs the 'field' that it is about")
        if self.field is not None and self.answer is not None:
            raise ValueError("'field' and 'answer' in one rule: a rule has one condition")
        return self


class Switch(Strict):
    """The first rule that holds says who answers."""

    tasks: ClassVar[tuple[Verb, ...]] = VERBS

    classify: Stage | None = Field(None, description="A chat model whose answer rules may ask for.")
    switch: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> "Switch":
        if not self.switch[-1].always:
            raise ValueError(
                "the last rule of a switch names a model alone: who answers where no other holds"
            )
        if any(rule.always for rule in self.switch[:-1]):
            raise ValueError("a rule that names a model alone is the last: those after it are never reached")
        if any(rule.answer for rule in self.switch) != (self.classify is not None):
            raise ValueError("'classify' and rules with an 'answer' need each other")
        return self

    def parts(self, task: Verb) -> list[Part]:
        asked = [Part("classify", ("classify",), self.classify.model, "chat")] if self.classify else []
        return asked + [
            Part(str(at + 1), ("switch", at, "model"), rule.model, task)
            for at, rule in enumerate(self.switch)
        ]


def _kind(raw: Any) -> str | None:
    """Which shape is meant, by the key that only it has."""
    if isinstance(raw, Strict):
        return next((name for name, (_, one) in _SHAPES.items() if isinstance(raw, one)), None)
    keys = frozenset(raw) if isinstance(raw, dict) else frozenset[str]()
    return next((name for name, (marks, _) in _SHAPES.items() if marks & keys), None)


_SHAPES: dict[str, tuple[frozenset[str], type[Strict]]] = {
    "audio": (frozenset({"hear", "think", "speak"}), AudioChat),
    "retrieval": (frozenset({"embed", "rerank", "keep"}), Retrieval),
    "sequence": (frozenset({"sequence"}), Sequence),
    "switch": (frozenset({"switch", "classify"}), Switch),
    "around": (frozenset({"before", "after"}), Around),
}

Steps = Annotated[
    Annotated[AudioChat, Tag("audio")]
    | Annotated[Retrieval, Tag("retrieval")]
    | Annotated[Sequence, Tag("sequence")]
    | Annotated[Switch, Tag("switch")]
    | Annotated[Around, Tag("around")],
    Discriminator(
        _kind,
        custom_error_type="steps",
        custom_error_message=(
            "steps are 'hear', 'think' and 'speak'; 'embed' and 'rerank'; a 'sequence'; a 'switch'; "
            "or 'before' and 'after' a 'model'"
        ),
    ),
]
