"""One ONNX GenAI model in memory, and one answer in the making. Every call here blocks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from backends.chat import messages
from backends.chat.asked import Asked
from backends.chat.chunks import Finish, Piece
from backends.chat.genai_folder import GenAIFolder
from backends.chat.logits import Score, Scorer, Steering
from backends.chat.shapes import Shape
from backends.chat.spelling import spelling
from backends.chat.stops import StopScanner
from backends.chat.tools import CLOSE, Tools
from backends.contract.errors import ContextExceeded, InvalidRequest

LONGEST_TOKEN = 128  # characters: vocabularies hold long runs of spaces and of dashes
SEEDS = 2**31  # the package takes 31 bits; OpenAI's seeds have 64
# The package has one kind of error: by this it is the grammar's, in the middle of an answer.
MASK_FAILED = "Error computing mask"
FEWEST_CHARACTERS, MOST_CHARACTERS = 64, 8000


class Loaded:
    """A folder in memory: the model, its tokenizer and template. Blocks; build it in a thread."""

    def __init__(
        self, folder: Path, *, threads: int = 1, context_length: int | None = None, prefill_chunk: int = 128
    ) -> None:
        files = GenAIFolder(folder)
        import onnxruntime_genai as og

        og.disable_telemetry_events()
        self._og = og
        settings = og.Config(str(folder))
        settings.overlay(orjson.dumps(_overlay(threads)).decode())
        self.model = og.Model(settings)
        self.tokenizer = og.Tokenizer(self.model)
        self.window = files.window(context_length)
        self.search = files.search
        self.prefill_chunk = prefill_chunk
        self.ends = frozenset(int(token) for token in self.tokenizer.eos_token_ids)
        self.fingerprint = files.fingerprint()
        self._controls = messages.Controls(files.control_tokens())
        self._shows_calls = "tool_calls" in files.template()
        self._shows_tools = "tools" in files.template()
        self._files = files

    def warm(self) -> None:
        """Read a prompt and generate one token: a template or graph that fails, fails at load."""
        prompt = self.prompt([{"role": "user", "content": "Hello"}])
        generator = self.generator({"max_length": len(prompt) + 1})
        generator.append_tokens(prompt)
        generator.generate_next_token()

    def prompts(self, wanted: Asked) -> list[Any]:
        """Token ids (numpy int32) of every prompt of a request. Raises InvalidRequest."""
        if wanted.bias and max(wanted.bias) >= self._files.vocabulary:
            raise InvalidRequest(
                f"'logit_bias': this model has {self._files.vocabulary:,} tokens", param="logit_bias"
            )
        if wanted.prompts:
            for text in wanted.prompts:
                self._fits(len(text), "prompt")
            return [self.tokenizer.encode(text) for text in wanted.prompts]
        return [self.prompt(wanted.messages, wanted.tools)]

    @property
    def vocabulary(self) -> int:
        """How many tokens there are; ids are below it."""
        return self._files.vocabulary

    def encode(self, text: str) -> list[int]:
        """Token ids of a text. Raises ContextExceeded for one that is far over the window."""
        self._fits(len(text), "prompt")
        return [int(token) for token in self.tokenizer.encode(text)]

    def prompt(self, raw: Any, tools: Tools | None = None, *, opens: bool = True) -> Any:
        """OpenAI's messages → token ids (numpy int32) by the folder's template. `opens`: it ends
        where the answer begins. Raises InvalidRequest and ContextExceeded."""
        if tools and not self._shows_tools:
            raise InvalidRequest("this model's chat template shows no tools", param="tools")
        shown = {"tools": orjson.dumps(self._controls.disarm(list(tools.shown))).decode()} if tools else {}
        conversation = self._controls.disarm(messages.read(raw, calls=self._shows_calls))
        given = orjson.dumps(conversation).decode()
        self._fits(len(given) + sum(map(len, shown.values())), "messages")
        try:
            text = self.tokenizer.apply_chat_template(messages=given, add_generation_prompt=opens, **shown)
        except RuntimeError:
            # What the template raised may quote its source, so the caller gets our words.
            raise InvalidRequest(
                "the model's chat template does not take these roles in this order", param="messages"
            ) from None
        return self.tokenizer.encode(text)

    def _fits(self, characters: int, param: str) -> None:
        """Refuse what is far over the window before it is made into tokens: that holds the
        interpreter's lock, and everybody else would wait."""
        if characters > self.window * LONGEST_TOKEN:
            raise ContextExceeded(
                f"this model's context length is {self.window} tokens, you gave {characters} characters",
                param=param,
            )

    def generator(self, search: Mapping[str, Any], grammar: tuple[str, str] | None = None) -> Any:
        """`grammar`: its kind, and itself. Raises RuntimeError for one the package does not take."""
        params = self._og.GeneratorParams(self.model)
        params.set_search_options(**search)
        if grammar:
            params.set_guidance(*grammar)
        return self._og.Generator(self.model, params)

    def constrained(self, search: Mapping[str, Any], wanted: Asked, most: int) -> Any:
        """A generator held to the shape and the tools that are wanted, where any are."""
        # Of a string without bound: several of them fit into the tokens there are.
        characters = min(max(most // 4, FEWEST_CHARACTERS), MOST_CHARACTERS)
        grammar = lark(wanted, characters)
        if grammar is None:
            return self.generator(search)
        try:
            return self.generator(search, ("lark_grammar", grammar))
        except RuntimeError as error:
            for shape in shapes(wanted):
                self._try(shape, characters)
            raise_too_complex(error, wanted)
            raise

    def _try(self, shape: Shape, characters: int) -> None:
        """Raises InvalidRequest where this is the schema that cannot be held to."""
        schema = orjson.dumps(shape.bounded(characters)).decode()
        try:
            self.generator({"max_length": 1}, ("json_schema", schema))
        except RuntimeError as error:
            # About the caller's own schema, in the words of the grammar's compiler.
            why = str(error).partition("\n")[0].removeprefix("Error creating grammar: ")
            raise InvalidRequest(
                f"'{shape.param}' cannot be held to by this model: {why}", param=shape.param
            ) from None

    def spell(self, token: int) -> bytes:
        """The bytes of a token, which may be part of a character."""
        known = self._spelling.get(token)
        return str(self.tokenizer.decode([token])).encode() if known is None else known

    @cached_property
    def _spelling(self) -> dict[int, bytes]:
        return spelling(self._files.tokenizer())


def raise_too_complex(error: RuntimeError, wanted: Asked) -> None:
    """Raises InvalidRequest where it is the grammar that failed, after its compiler had taken it."""
    if str(error).startswith(MASK_FAILED):
        param = wanted.shape.param if wanted.shape else "tools"
        raise InvalidRequest(
            f"'{param}' cannot be held to by this model: it grows too complex on the way", param=param
        ) from None


def shapes(wanted: Asked) -> list[Shape]:
    """All that the answer may be held to."""
    return [
        *([wanted.shape] if wanted.shape else []),
        *(wanted.tools.shapes.values() if wanted.tools else ()),
    ]


def lark(wanted: Asked, characters: int) -> str | None:
    """The grammar of the whole answer; None where any text will do."""
    shape, tools = wanted.shape, wanted.tools
    answer = f"answer: {shape.grammar(characters)}\n" if shape else ""
    if tools is None:
        return f"start: answer\n{answer}" if shape else None
    if tools.forced:
        return f"start: calls\n{tools.rules(characters)}"
    if shape:
        return f"start: answer | calls\n{answer}{tools.rules(characters)}"
    if not tools.strict:
        return None
    # Any text, but a call that it makes must be a right one.
    text = "TEXT: /(?s:.+)/ & ~/(?s:.*<tool_call>.*)/\n"
    return f"start: TEXT | TEXT? calls\n{text}{tools.rules(characters)}"


@dataclass(eq=False)  # compared by identity, as turns are
class Generation:
    """One choice in the making: reads its prompt in chunks, then gives a token a step."""

    loaded: Loaded
    wanted: Asked
    prompt: Any
    most: int
    send: Callable[[Piece | Exception], None]
    index: int = 0

    def __post_init__(self) -> None:
        wanted = self.wanted
        self._unread, self._generated = self.prompt, 0
        self._generator: Any = None
        # Who wants one call at most has it at the end of the first.
        single = wanted.tools is not None and not wanted.tools.several
        self._stops = StopScanner((*wanted.stops, CLOSE) if single else wanted.stops)
        self._steering = self._scorer = None
        if wanted.bias or wanted.presence or wanted.frequency:
            self._steering = Steering(wanted.bias, wanted.presence, wanted.frequency)
        if wanted.alternatives is not None:
            self._scorer = Scorer(wanted.alternatives, self.loaded.spell)

    def step(self) -> bool:
        if not self.most:
            return self._finish("", 0, "length")
        if self._generator is None:
            self._begin()
        if len(self._unread):
            size = self.loaded.prefill_chunk
            chunk, self._unread = self._unread[:size], self._unread[size:]
            self._generator.append_tokens(chunk)
            if len(self._unread):
                return True
        logprobs = self._look() if self._steering or self._scorer else None
        self._generate()
        return self._take(int(self._generator.get_next_tokens()[0]), logprobs)

    def _begin(self) -> None:
        search = search_options(self.wanted, self.loaded.search)
        if self.wanted.seed is not None:
            # Choices of one request differ, and are the same every time.
            search["random_seed"] = (self.wanted.seed + self.index) % SEEDS
        # The cache is allocated by this length, so it is what this answer may need, no more.
        search["max_length"] = len(self.prompt) + self.most
        self._generator = self.loaded.constrained(search, self.wanted, self.most)
        self._stream = self.loaded.tokenizer.create_stream()

    def _generate(self) -> None:
        """Raises InvalidRequest where the caller's schema grows beyond what can be held to."""
        try:
            self._generator.generate_next_token()
        except RuntimeError as error:
            raise_too_complex(error, self.wanted)
            raise

    def _look(self) -> Any:
        """Log-probabilities of the next token where they are wanted; then the logits are steered."""
        logits = self._generator.get_logits().copy()
        last = logits.reshape(-1, logits.shape[-1])[-1]
        logprobs = self._scorer.read(last) if self._scorer else None
        if self._steering:
            self._steering.steer(last)
            self._generator.set_logits(logits)
        return logprobs

    def _take(self, token: int, logprobs: Any) -> bool:
        if token in self.loaded.ends:
            if self.wanted.shape and not self._generated:
                param = self.wanted.shape.param
                raise InvalidRequest(f"'{param}' lets no answer be", param=param)
            return self._finish("", 0, "stop")
        self._generated += 1
        if self._steering:
            self._steering.chose(token)
        scores = (self._scorer.score(logprobs, token),) if self._scorer else ()
        # The stream holds back the bytes of an unfinished character.
        text = self._stops.push(self._stream.decode(token))
        if self._stops.stopped:
            return self._finish(text, 1, "stop", scores)
        if self._generated >= self.most or self._generator.is_done():
            return self._finish(text, 1, "length", scores)
        self.send(Piece(text, 1, None, self.index, scores))
        return True

    def _finish(self, text: str, tokens: int, finish: Finish, scores: tuple[Score, ...] = ()) -> bool:
        self.send(Piece(text + self._stops.flush(), tokens, finish, self.index, scores))
        return False

    def fail(self, error: Exception) -> None:
        self.send(error)

    def close(self) -> None:
        self._generator = self._stream = None


def search_options(wanted: Asked, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller asked for, as the package's search options over the folder's `defaults`."""
    search: dict[str, Any] = {}
    if wanted.temperature is not None:
        search["temperature"] = wanted.temperature
    if wanted.top_p is not None:
        search["top_p"] = wanted.top_p
    if wanted.seed is not None:
        search["random_seed"] = wanted.seed % SEEDS
    if wanted.temperature == 0 or wanted.top_p == 0:
        # The package reads a `top_p` of 0 as none at all; a nucleus of nothing is the top token.
        search.pop("top_p", None)
        search["do_sample"] = False
    elif wanted.temperature is not None or (wanted.top_p is not None and wanted.top_p < 1):
        search["do_sample"] = True
        if not wanted.temperature and not defaults.get("temperature", 1):
            search["temperature"] = 1.0
    return search


def _overlay(threads: int) -> dict[str, Any]:
    session = {
        "intra_op_num_threads": threads,
        "inter_op_num_threads": 1,
        # Spinning threads would keep a core busy between tokens.
        "session.intra_op.allow_spinning": "0",
        "session.inter_op.allow_spinning": "0",
    }
    # One beam: the search settings of a folder may ask for more, which cannot be streamed.
    return {
        "model": {"decoder": {"session_options": session}},
        "search": {"num_beams": 1, "num_return_sequences": 1},
    }
