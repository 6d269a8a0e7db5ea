"""YAML documents with the line and column of every key and value, so that messages can name the place.

Only the part of YAML that a recipe needs is read, by YAML 1.2's rules: mappings, lists, text, numbers,
true, false and null (`no` and `12:30` are text). Anchors, aliases and tags are refused: without them a file
means what it shows, can't name Python objects and can't grow when read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Loc = tuple[str | int, ...]
"""The way to a value: keys and list positions, from the top of the file."""

Place = tuple[int, int]
"""Line and column, both from 1, as editors count."""


class Problem(NamedTuple):
    """Something wrong in a recipe or a template, at a 1-based line and column of its file."""

    path: Path
    line: int
    column: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.code}: {self.message}"


@dataclass(slots=True)
class Document:
    """One file as data, and where each of its keys and values stands."""

    path: Path
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    nodes: dict[Loc, yaml.Node] = field(default_factory=dict)
    keys: dict[Loc, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def key(self, loc: Loc) -> Place:
        """Where the key of `loc` stands; of the nearest enclosing one that exists where it has none."""
        while loc and loc not in self.keys:
            loc = loc[:-1]
        return self.keys.get(loc, (1, 1))

    def value(self, loc: Loc) -> Place:
        """Where the value of `loc` starts; the enclosing key where the file has none."""
        node = self.nodes.get(loc)
        return self.key(loc) if node is None else _place(node.start_mark)

    def inside(self, loc: Loc, line: int, column: int) -> Place:
        """Where the `line` and `column` of a text value stand in the file.

        Exact for `|` blocks and for text on one line; the start of the value for folded text.
        """
        node = self.nodes.get(loc)
        if not isinstance(node, yaml.ScalarNode):
            return self.value(loc)
        first, last = node.start_mark, node.end_mark
        if node.style == "|":
            raw, part = self.text.splitlines(), node.value.split("\n")
            row = first.line + line
            if line <= len(part) and row < len(raw) and raw[row].endswith(part[line - 1]):
                return row + 1, len(raw[row]) - len(part[line - 1]) + column
        elif node.style != ">" and first.line == last.line:
            return first.line + 1, first.column + len(node.style or "") + column
        return _place(first)

    def problem(self, place: Place, code: str, message: str) -> None:
        """Note something wrong at `place`."""
        self.problems.append(Problem(self.path, *place, code, message))


def read(path: Path) -> Document:
    """Read one file; what is wrong with it as YAML stands in the document's `problems`.

    Raises OSError where the file can't be opened.
    """
    document = Document(path)
    raw = path.read_bytes()
    try:
        document.text = raw.decode("utf-8-sig")
        root = yaml.compose(document.text, _Loader)
        document.nodes[()] = root or yaml.MappingNode("", [])
        data = _plain(document, root, ()) if root else {}
    except UnicodeDecodeError as error:
        place = _offset(raw[: error.start].decode("utf-8-sig"))
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8: save the file as UTF-8"
        document.problem(place, "yaml_syntax", message)
    except RecursionError:
        document.problem((1, 1), "yaml_syntax", "nested too deeply: a recipe is at most five levels deep")
    except yaml.YAMLError as error:
        document.problem(*_explain(error, document.text))
    else:
        if isinstance(data, dict):
            document.data = data
        else:
            document.problem((1, 1), "wrong_type", "the file is no mapping: it starts with `name: ...`")
    return document


class _Refused(yaml.MarkedYAMLError):
    """YAML that is well formed but has no place in a recipe."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own name, filled below

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if getattr(event, "anchor", None):
            name = f"*{event.anchor}" if isinstance(event, yaml.AliasEvent) else f"&{event.anchor}"
            raise _Refused(problem=f"`{name}` is an anchor or alias: write the value out", problem_mark=mark)
        if getattr(event, "tag", None):
            name = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise _Refused(problem=f"`{name}` is a tag: write the plain value", problem_mark=mark)
        return super().compose_node(parent, index)


_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9][0-9_]{0,17}", list("-+0123456789")),
    "float": (r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
}
"""YAML 1.2's core schema, plus `20_000`, as (pattern, possible first characters)."""

for _name, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first)


def _plain(document: Document, node: yaml.Node, loc: Loc) -> Any:
    """The node as dicts, lists and scalars; notes where it stands, and keys that repeat."""
    document.nodes[loc] = node
    if isinstance(node, yaml.MappingNode):
        return dict(_items(document, node, loc))
    if isinstance(node, yaml.SequenceNode):
        return [_plain(document, item, (*loc, index)) for index, item in enumerate(node.value)]
    return _scalar(node)


def _items(document: Document, node: yaml.MappingNode, loc: Loc) -> Iterator[tuple[str, Any]]:
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            problem = "a key can't be a mapping or a list: put text that starts with `{` or `[` in quotes"
            raise _Refused(problem=problem, problem_mark=key.start_mark)
        place, inner = _place(key.start_mark), (*loc, key.value)
        if inner in document.keys:
            line = document.keys[inner][0]
            message = f"`{key.value}` already stands in line {line}: keep one of the two"
            document.problem(place, "duplicate_key", message)
            continue
        document.keys[inner] = place
        yield key.value, _plain(document, value, inner)


def _scalar(node: yaml.Node) -> Any:
    kind, text = node.tag.rpartition(":")[2], node.value
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return int(text.replace("_", ""))
    if kind == "float":
        return float(text.replace("_", ""))
    return text


_ADVICE = [
    (r"character '\\t'", "a tab: YAML is indented with spaces only"),
    (r"mapping values are not allowed", "a `: ` inside a value, or a key that is indented too far: "
     "put the value in quotes, or move the key to its own line"),
    (r"found character '(.)'", "a value can't start with `{0}`: put it in quotes"),
    (r"expected <block end>", "this doesn't fit the lines before it: look at its indentation, and "
     "for a quote or a dash that is missing before it"),
    (r"could not find expected ':'", "this line has no colon: write `key: value`, or indent a block's text"),
    (r"expected ',' or '(.)'", "a bracket is never closed: a `{0}` or a comma is missing before this"),
    (r"unexpected end of stream", "this quote is never closed"),
    (r"found another document", "a second document: a recipe is one file without `---`"),
    (r"unknown escape character '(.)'", "`\\{0}` means nothing inside double quotes: use single quotes"),
]  # fmt: skip
"""PyYAML's messages, by pattern, and our own in their place."""


def _explain(error: yaml.YAMLError, text: str) -> tuple[Place, str, str]:
    """Place, code and message of what PyYAML says."""
    if isinstance(error, yaml.reader.ReaderError):
        place = _offset(text[: error.position])
        return place, "yaml_syntax", f"an invisible character (U+{ord(text[error.position]):04X}): delete it"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return (1, 1), "yaml_syntax", str(error)
    unfinished = error.context in ("while scanning a quoted scalar", "while scanning a simple key")
    place = _place(error.context_mark if unfinished and error.context_mark else error.problem_mark)
    if isinstance(error, _Refused):
        return place, "yaml_feature", str(error.problem)
    for pattern, advice in _ADVICE:
        match = re.search(pattern, error.problem or "")
        if match:
            return place, "yaml_syntax", advice.format(*match.groups())
    return place, "yaml_syntax", " ".join(filter(None, [error.context, error.problem]))


def _place(mark: yaml.Mark) -> Place:
    return mark.line + 1, mark.column + 1


def _offset(before: str) -> Place:
    """The place that comes after the text `before`."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
