"""YAML text → plain data, and for every key and item the line it stands on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from backends.fleet.problems import Finding, Path, Problem, shown

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null"))

# Aliases of aliases, and merges of merges, grow exponentially; no fleet comes near this.
_MOST_VALUES = 20_000


class Unreadable(Exception):
    """The text is not YAML as fleets use it. `problem` says where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(slots=True)
class Document:
    """`data`: dicts, lists, str, int, float, bool, None. `lines`: path → line, from 1.
    `problems`: what YAML lets pass and a fleet does not."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def locate(self, path: Path) -> Path:
        """The part of `path` that is written in the file.

        Keys that are not there are passed over: those of the long form where the short one is
        written (`variants`, `main`), the names pydantic gives to the branches of a union, and
        whatever has its default.
        """
        here: Path = ()
        for part in path:
            if (*here, part) in self.lines:
                here = (*here, part)
        return here

    def problem(self, finding: Finding) -> Problem:
        here = self.locate(finding.path)
        return Problem(self.lines[here], dotted(here), finding.message, finding.hint)


def dotted(path: Path) -> str:
    """`("models", "llm", "aliases", 0)` → `models.llm.aliases[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def parse(text: str) -> Document:
    """Raises Unreadable: bad syntax, foreign tags, more than one document, too deep, too large."""
    document = Document(lines={(): 1})
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is not None:
            document.data = _Reader(loader, document).value(root, ())
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_syntax(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(Problem(line, "", "a control character that YAML does not allow")) from None
    except RecursionError:
        raise Unreadable(Problem(1, "", "nested too deeply, or an anchor that contains itself")) from None
    return document


def _syntax(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "cannot be read"
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    hint = ""
    if "'\\t'" in what:
        what, hint = "a tab where YAML wants spaces", "indent with spaces"
    elif "mapping values are not allowed" in what:
        hint = "a text that holds ': ' needs quotes"
    elif "single document" in (error.context or ""):
        what, hint = "a second document begins", "one file is one fleet: remove the '---'"
    return Problem(mark.line + 1 if mark else 1, "", f"not valid YAML: {where}{what}", hint)


class _Loader(yaml.SafeLoader):
    """Without dates: `2024-05-13` in an option is a text (a revision, say)."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TAG + "timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Reader:
    """Our own walk over YAML's nodes: PyYAML's constructor takes the last of two equal keys
    without a word, and forgets the lines."""

    def __init__(self, loader: _Loader, document: Document) -> None:
        self._loader, self._document = loader, document
        self._values = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise Unreadable(Problem(_line(node), "", "more values than a fleet can have"))
        self._document.lines.setdefault(path, _line(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        if node.tag not in _SCALARS:
            tag = node.tag.replace(_TAG, "!!")
            raise Unreadable(Problem(_line(node), "", f"the tag {tag} means nothing here", "remove it"))
        try:
            return self._loader.construct_object(node)
        except (ValueError, KeyError):
            kind = node.tag.removeprefix(_TAG)
            raise Unreadable(Problem(_line(node), "", f"{shown(node.value)} is no {kind}")) from None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        written: dict[str, int] = {}
        for key_node, value_node, merged in self._pairs(node):
            if not isinstance(key_node, yaml.ScalarNode):
                raise Unreadable(Problem(_line(key_node), dotted(path), "a key must be one text"))
            key = self._key(key_node, path)
            inner = (*path, key)
            if not merged and key in written:
                message = f"'{key}' is written twice, first on line {written[key]}"
                self._document.problems.append(
                    Problem(_line(key_node), dotted(inner), message, "keep one of the two")
                )
                continue
            if not merged:
                written[key] = _line(key_node)
            if key in result:
                self._forget(inner)  # merged in, and now replaced
            self._document.lines[inner] = _line(key_node)
            result[key] = self.value(value_node, inner)
        return result

    def _key(self, node: yaml.ScalarNode, path: Path) -> str:
        key = self._scalar(node)
        if not isinstance(key, str):
            # YAML reads `on:` as true and `7:` as a number; go on with what was written.
            message = f"the key {node.value} is not a text in YAML"
            self._document.problems.append(
                Problem(_line(node), dotted((*path, node.value)), message, "put it in quotes")
            )
        return str(node.value)

    def _forget(self, path: Path) -> None:
        lines = self._document.lines
        for known in [known for known in lines if known[: len(path)] == path]:
            del lines[known]

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        """Key, value, and whether it was merged in; own keys last, since they win."""
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in reversed(sources):
                    if not isinstance(source, yaml.MappingNode):
                        raise Unreadable(Problem(_line(key), "", "'<<' merges mappings only"))
                    yield from ((key, value, True) for key, value, _ in self._pairs(source))
        for key, value in node.value:
            if key.tag != _TAG + "merge":
                yield key, value, False


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
