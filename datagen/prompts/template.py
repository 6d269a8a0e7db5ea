"""The sandboxed Jinja that templates are written in.

A template file holds all wordings of one prompt, separated by a line `---`. A separator that names
a language (`--- es`) makes the wording after it one for rows of that language only.

A template can print slots, branch, loop once over a list slot and use the filters in FILTERS. It
cannot call, compute, or nest loops, so its time and output are bounded by the size of its slots. Seed
text is a value, never a template.

Further wordings, by a teacher, may stand in a file beside it (`best.reworded.j2` beside `best.j2`), whose
first line names that teacher. They come after the template's own, and print no slot that these don't.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from datagen.errors import Fault
from datagen.prompts.printed import compared, filters, printed
from datagen.schema import LANGUAGES

FILTERS = frozenset(
    (
        *("capitalize", "default", "first", "join", "last", "length", "list", "lower", "reverse", "sort"),
        *("string", "title", "trim", "truncate", "unique", "upper"),
    )
)
_OPERAND, _COMPARED = "printed", "compared"
REWORDED = "reworded"
TESTS = frozenset(ImmutableSandboxedEnvironment().tests)
ALLOWED_NODES = (
    *(nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.CondExpr),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Filter, nodes.Test),
    *(nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Template, nodes.Assign),
)
_SEPARATOR = re.compile(r"^---[ \t]*+((?:\w[\w-]*+)?+)[ \t]*+$", re.MULTILINE)
_LONG_DASHES = "\u2013\u2014\u2015\u2e3a\u2e3b"
"""What editors make of two or three hyphens."""

_DASHES = re.compile(
    rf"(?:[-{_LONG_DASHES}\u2010-\u2012\u2043\u2212\u02d7\ufe58\ufe63\uff0d\u30fc\uff70\u2500\u2501]\s?)+"
)
_TEACHER = re.compile(r"\{# reworded by (\S[^\n]{0,200}?) ?#\}[ \t]*(?:\n|$)")
"""The first line of a file of reworded wordings."""

OPEN, CLOSE = "\x02", "\x03"
"""What is put around printed values to tell them from the template's words: no row that is kept holds one."""

_AROUND = " \t\u00a0\u3000\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\"'`>#\\"
"""What may stand around a separator by mistake."""


class TemplateError(Exception):
    """A template that cannot be used, with every mistake in its file.

    `lines` tells for each slot of its sound wordings the line that first names it.
    """

    def __init__(self, path: Path, faults: Iterable[Fault], lines: Mapping[str, int] | None = None) -> None:
        self.path, self.faults, self.lines = path, sorted(faults), dict(lines or {})
        super().__init__(
            "\n".join(f"{path}:{at}:{column}: {code}: {what}" for at, column, code, what in self.faults)
        )


@dataclass(frozen=True, slots=True)
class Wording:
    """One phrasing: `render` takes the template's slots by position; `language` None serves all rows.

    `text` is what stands in the file, from its `line` on; `slots` are those of the template that it names.
    `teacher` is the model that worded it, None for the template's own.
    """

    language: str | None
    line: int
    text: str
    slots: frozenset[str]
    render: Callable[..., str]
    teacher: str | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """The wordings of one prompt; `slots` are the names that any of them prints, in sorted order.

    `lines` tells for each slot the line of the file that first names it.
    """

    path: Path
    wordings: tuple[Wording, ...]
    slots: tuple[str, ...]
    lines: dict[str, int]

    def choices(self, language: str) -> list[int]:
        """Positions of the wordings that may serve a row of `language`."""
        return [i for i, wording in enumerate(self.wordings) if wording.language in (None, language)]

    def render(self, wording: int, slots: dict[str, Any]) -> str:
        """The user message of a row. Raises Reject where a printed slot is null, KeyError where it lacks."""
        return self.wordings[wording].render(*[slots[name] for name in self.slots]).strip()

    def pieces(self, wording: int, slots: dict[str, Any]) -> list[str]:
        """What `render` gives, in pieces: the template's words at even places, the values at odd ones."""
        render = _marking(self.wordings[wording].text, self.slots)
        marked = render(*[slots[name] for name in self.slots]).strip()
        parts = [part for piece in marked.split(CLOSE) for part in piece.split(OPEN)]
        parts[0], parts[-1] = parts[0].lstrip(), parts[-1].rstrip()
        return parts


def load_template(path: Path) -> Template:
    """Read, check and compile a template file, and what a teacher has worded anew beside it.

    One text is compiled once. Raises TemplateError with all that the template language does not allow.
    """
    text, beside = path.read_text("utf-8-sig"), reworded_path(path)
    if not beside.is_file():
        return _compile(path, text)
    return _with_reworded(path, text, beside.read_text("utf-8-sig"))


def reworded_path(path: Path) -> Path:
    """Where the wordings stand that a teacher has made of a template."""
    return path.with_suffix(f".{REWORDED}{path.suffix}")


def teachers_of(path: Path) -> tuple[str | None, ...]:
    """Who worded each wording of a template: None for its own; nothing where all are."""
    if not reworded_path(path).is_file():
        return ()
    return tuple(wording.teacher for wording in load_template(path).wordings)


@functools.cache
def _with_reworded(path: Path, text: str, reworded: str) -> Template:
    """The template with the wordings of the file beside it after its own."""
    own, beside = _compile(path, text), reworded_path(path)
    first = _TEACHER.match(reworded)
    if not first:
        message = "its first line names who worded it, as in `{# reworded by gpt-4o #}`"
        raise TemplateError(beside, [Fault(1, 1, "template_syntax", message)])
    more = _compile(beside, "\n" + reworded[first.end() :])
    for name in more.slots:
        if name not in own.slots:
            message = f"no wording of {path.name} prints `{name}`"
            raise TemplateError(beside, [Fault(more.lines[name], 1, "unknown_slot", message)])
    places = [own.slots.index(name) for name in more.slots]

    def rendered(render: Callable[..., str]) -> Callable[..., str]:
        return lambda *values: render(*[values[place] for place in places])

    wordings = [
        replace(wording, render=rendered(wording.render), teacher=first[1]) for wording in more.wordings
    ]
    return replace(own, wordings=(*own.wordings, *wordings))


@functools.cache
def _compile(path: Path, text: str) -> Template:
    environment = _environment()
    parts, faults = _split(text)
    names: dict[str, int] = {}
    bodies: list[list[nodes.Node]] = []
    named: list[frozenset[str]] = []
    for _, line, body in parts:
        try:
            tree = environment.parse("\n" * (line - 1) + body)
            wrong = _refused(tree, text)
            used = set() if wrong else _undeclared(tree)
        except TemplateSyntaxError as error:
            faults.append(_syntax(error))
            continue
        faults += wrong
        if "loop" in used:
            message = "`loop` means something in a loop alone; a column needs another name"
            faults.append(Fault(_first_line(tree, "loop"), 1, "template_syntax", message))
        bodies.append(tree.body)
        named.append(frozenset(used))
        for name in used:
            names.setdefault(name, _first_line(tree, name))
    if faults:
        raise TemplateError(path, faults, names)
    slots = tuple(sorted(names))
    functions = _functions(environment, bodies, slots)
    wordings = tuple(
        Wording(language, *_trimmed(line, body), used, function)
        for (language, line, body), used, function in zip(parts, named, functions, strict=True)
    )
    return Template(path, wordings, slots, names)


def _split(text: str) -> tuple[list[tuple[str | None, int, str]], list[Fault]]:
    """The wordings of a file as (language, first line, text), and what is wrong between them."""
    parts, faults, start, language, line = [], [], 0, "", 1
    for match in [*_SEPARATOR.finditer(text), None]:
        end = match.start() if match else len(text)
        body = text[start:end]
        if re.sub(r"\{#.*?#\}", "", body, flags=re.DOTALL).strip():
            parts.append((language or None, line, body))
        elif start or match is None:
            faults.append(Fault(line, 1, "empty_wording", "nothing stands here; drop the `---` line"))
        faults += _almost_separators(body, line)
        if match:
            language, start = match[1], match.end()
            line = text.count("\n", 0, start) + 1
            if language and language not in LANGUAGES:
                known = ", ".join(LANGUAGES)
                faults.append(Fault(line, 5, "unknown_language", f"`{language}` is none of {known}"))
    return parts, faults


def _almost_separators(body: str, first: int) -> Iterator[Fault]:
    """Lines of a wording that look like a separator to people alone: else two wordings are one, unnoticed."""
    bare = re.sub(r"\{#.*?#\}", lambda comment: "\n" * comment[0].count("\n"), body, flags=re.DOTALL)
    for number, line in enumerate(bare.split("\n"), first):
        for written in line.splitlines():
            text = written.strip(_AROUND)
            found = _DASHES.match(text)
            if found:
                dashes, rest = "".join(found[0].split()), text[found.end() :].casefold()
                alone = rest in ("", *LANGUAGES, *(name.casefold() for name in LANGUAGES.values()))
                if len(dashes) > 2 or (alone and (len(dashes) > 1 or dashes in _LONG_DASHES)):
                    message = (
                        f"`{_visible(written[:20])}` is no separator: write `---` or `--- es` at the start of"
                        " its line and nothing else on it, or begin a line of text with another sign"
                    )
                    column = body.split("\n")[number - first].find(dashes[0]) + 1
                    yield Fault(number, column, "almost_separator", message)


def _visible(text: str) -> str:
    """A text whose signs that nobody sees are spelled out."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _trimmed(line: int, body: str) -> tuple[int, str]:
    """A wording's first line that is not empty, by number, and its text from there."""
    text = body.lstrip("\n")
    return line + len(body) - len(text), text.rstrip("\n")


def _syntax(error: TemplateSyntaxError) -> Fault:
    return Fault(error.lineno, 1, "template_syntax", error.message or "this is not Jinja")


def _refused(tree: nodes.Template, text: str) -> list[Fault]:
    """The mistakes in a template of this text, each code once a line."""
    lines = text.split("\n")
    faults: dict[tuple[int, str], Fault] = {}
    for at, code, message, word in _refusals(tree):
        faults.setdefault((at, code), Fault(at, max(lines[at - 1].find(word) + 1, 1), code, message))
    return list(faults.values())


def _refusals(tree: nodes.Template) -> Iterator[tuple[int, str, str, str]]:
    """Line, code, message and first word of each mistake."""
    for loop in _loops_in_loops(tree):
        yield loop.lineno, "nested_loop", "a loop stands in a loop; let the query give one list", "{%"
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.Call):
            name = node.node.name if isinstance(node.node, nodes.Name) else "this"
            message = f"`{name}(...)` is a call, and a template calls nothing; compute it in the query"
            yield node.lineno, "template_call", message, name
        elif isinstance(node, nodes.Filter) and node.name not in FILTERS:
            known = ", ".join(sorted(FILTERS))
            yield node.lineno, "unknown_filter", f"`{node.name}` is none of the filters {known}", node.name
        elif isinstance(node, nodes.Test) and node.name not in TESTS:
            yield node.lineno, "template_syntax", f"No test named '{node.name}'.", node.name
        elif isinstance(node, (nodes.Expr, nodes.Stmt)) and not isinstance(node, ALLOWED_NODES):
            message = f"`{type(node).__name__.lower()}` is not for templates; compute it in the query"
            yield node.lineno, "template_computes", message, ""
        elif isinstance(node, (nodes.Getattr, nodes.Getitem)) and _private(node):
            yield node.lineno, "template_computes", "names that start with _ cannot be read", ""


def _loops_in_loops(tree: nodes.Node) -> list[nodes.For]:
    return [inner for loop in tree.find_all(nodes.For) for inner in loop.find_all(nodes.For)]


def _private(node: nodes.Getattr | nodes.Getitem) -> bool:
    key = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", "")
    return isinstance(key, str) and key.startswith("_")


def _undeclared(tree: nodes.Template) -> set[str]:
    """Names that a wording takes from outside; Jinja alone would keep `self` for itself."""
    hidden = [node for node in tree.find_all(nodes.Name) if node.name == "self"]
    for node in hidden:
        node.name = "0_self"
    found = meta.find_undeclared_variables(tree)
    for node in hidden:
        node.name = "self"
    return {"self" if name == "0_self" else name for name in found}


def _first_line(tree: nodes.Template, name: str) -> int:
    return min((node.lineno for node in tree.find_all(nodes.Name) if node.name == name), default=1)


def _functions(
    environment: ImmutableSandboxedEnvironment, bodies: list[list[nodes.Node]], slots: tuple[str, ...]
) -> list[Callable[..., str]]:
    """Each wording as a function of its slots, all compiled in one go.

    As macros their slots are local variables: a call costs a tenth of `Template.render`, which builds a
    context for every row. No template can spell their names, which begin with a digit.
    """
    names = [f"{number}_wording" for number in range(len(bodies))]
    parameters = {slot: f"{number}_slot" for number, slot in enumerate(slots)}
    macros: list[nodes.Node] = [
        nodes.Macro(name, [nodes.Name(own, "param") for own in parameters.values()], [], body, lineno=1)
        for name, body in zip(names, bodies, strict=True)
    ]
    tree = _Prepared(parameters).visit(nodes.Template(macros, lineno=1))
    tree.set_environment(environment)
    module = environment.from_string(tree).module
    return [getattr(module, name) for name in names]


@functools.cache
def _marking(text: str, slots: tuple[str, ...]) -> Callable[..., str]:
    """A wording as a function of its slots that marks each value that it prints."""
    environment = _environment()
    environment.finalize = _marked
    [function] = _functions(environment, [environment.parse(text).body], slots)
    return function


def _marked(value: Any) -> str:
    return f"{OPEN}{_printed(value)}{CLOSE}"


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # prompts are plain text, not HTML
        finalize=_printed,
    )
    environment.globals = {}
    environment.filters = filters() | {_OPERAND: printed, _COMPARED: compared}
    return environment


def _printed(value: Any) -> str:
    return value if type(value) is str else printed(value)  # the former is most of what is printed


class _Prepared(NodeTransformer):
    """A tree whose operators take values as a prompt does, and whose slots have names of their own."""

    def __init__(self, slots: Mapping[str, str]) -> None:
        self.slots = slots

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:
        """Else a null would become a word in the operator."""
        self.generic_visit(node)
        node.nodes = [_filtered(part, _OPERAND) for part in node.nodes]
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        """Else a DECIMAL of 0.1 would be less than 0.1."""
        self.generic_visit(node)
        if not {operand.op for operand in node.ops} & {"in", "notin"}:
            node.expr = _filtered(node.expr, _COMPARED)
            for operand in node.ops:
                operand.expr = _filtered(operand.expr, _COMPARED)
        return node

    def visit_Name(self, node: nodes.Name) -> nodes.Name:
        """`caller`, `self` and others mean something else to Jinja, so it does not get to see them."""
        node.name = self.slots.get(node.name, node.name)
        return node


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
