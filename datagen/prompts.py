"""Template files in, worded prompts out: the small, sandboxed Jinja that templates are written in.

A template file holds all wordings of one prompt, separated by a line `---`. A separator that names
a language (`--- es`) makes the wording after it one for rows of that language only.

A template can print slots, branch, loop once over a list slot, use the filters in FILTERS and call
the macros of `_macros.j2`. It cannot call anything else, compute, or nest loops, so its time and
output are bounded by the size of its slots. Seed text is a value, never a template.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from jinja2 import StrictUndefined, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from datagen.errors import Reject
from datagen.schema import LANGUAGES, TaskType

MACROS_FILE = "_macros.j2"
FILTERS = frozenset(
    (
        *("capitalize", "default", "first", "join", "last", "length", "list", "lower", "reverse", "sort"),
        *("string", "title", "trim", "truncate", "unique", "upper"),
    )
)
ALLOWED_NODES = (
    *(nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.CondExpr),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Filter, nodes.Test),
    *(nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Call, nodes.Macro, nodes.Template, nodes.Assign),
)
_SEPARATOR = re.compile(r"^---[ \t]*(\w*)[ \t]*$", re.MULTILINE)
_MACRO_NAME = "wording"


class TemplateError(Exception):
    """A template that cannot be used, at a 1-based line and column of its file."""

    def __init__(self, path: Path, line: int, column: int, code: str, message: str) -> None:
        super().__init__(f"{path}:{line}:{column}: {code}: {message}")
        self.path, self.line, self.column, self.code, self.message = path, line, column, code, message


@dataclass(frozen=True, slots=True)
class Wording:
    """One phrasing: `render` takes the template's slots by position; `language` None serves all rows.

    `text` is what stands in the file, from its `line` on.
    """

    language: str | None
    line: int
    text: str
    render: Callable[..., str]


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


def system(task_type: TaskType) -> str:
    """The system message of every row and every question of a task type."""
    return f"You are a helpful online shopping assistant. Your task is {task_type.value.replace('_', ' ')}."


def chat(task_type: TaskType, prompt: str) -> list[dict[str, str]]:
    """The messages that are trained on and served for one worded question."""
    return [{"role": "system", "content": system(task_type)}, {"role": "user", "content": prompt}]


class Tokenizer(Protocol):
    """What of a Hugging Face tokenizer a prompt needs."""

    def apply_chat_template(self, conversation: list[dict[str, str]], /, **settings: Any) -> Any:
        """The conversation as the model reads it."""

    def encode(self, text: str, /, **settings: Any) -> list[int]:
        """The text's token ids."""


def prompt_ids(tokenizer: Tokenizer, task_type: TaskType, prompt: str) -> list[int]:
    """The tokens before the answer: what a model is trained on and what it is sent, from one function."""
    text = tokenizer.apply_chat_template(chat(task_type, prompt), tokenize=False, add_generation_prompt=True)
    return tokenizer.encode(text, add_special_tokens=False)  # the chat template holds them


def load_template(path: Path) -> Template:
    """Read, check and compile a template file.

    Raises TemplateError at the first thing that the template language does not allow.
    """
    return _compile(path, path.read_text(encoding="utf-8"), _macros(path.parent.parent / MACROS_FILE))


def _compile(path: Path, text: str, macros: dict[str, Callable[..., str]]) -> Template:
    environment = _environment()
    environment.globals = dict(macros)
    parts = _split(path, text)
    names: dict[str, int] = {}
    for _, line, body in parts:
        for name, at in _check(path, body, line, frozenset(macros)).items():
            names.setdefault(name, at)
    slots = tuple(sorted(names))
    wordings = tuple(
        Wording(language, *_trimmed(line, body), _macro(environment, body, line, slots))
        for language, line, body in parts
    )
    return Template(path, wordings, slots, names)


def _split(path: Path, text: str) -> list[tuple[str | None, int, str]]:
    """The wordings of a file as (language, first line, text)."""
    parts, start, language, line = [], 0, "", 1
    for match in [*_SEPARATOR.finditer(text), None]:
        end = match.start() if match else len(text)
        body = text[start:end]
        if re.sub(r"\{#.*?#\}", "", body, flags=re.DOTALL).strip():
            parts.append((language or None, line, body))
        elif parts or match is None:
            raise TemplateError(path, line, 1, "empty_wording", "nothing stands here; drop the `---` line")
        if match:
            language, start = match[1], match.end()
            line = text.count("\n", 0, start) + 1
            if language and language not in LANGUAGES:
                known = ", ".join(LANGUAGES)
                raise TemplateError(path, line, 5, "unknown_language", f"`{language}` is none of {known}")
    return parts


def _trimmed(line: int, body: str) -> tuple[int, str]:
    """A wording's first line that is not empty, by number, and its text from there."""
    text = body.lstrip("\n")
    return line + len(body) - len(text), text.rstrip("\n")


def _check(path: Path, body: str, line: int, macros: frozenset[str]) -> dict[str, int]:
    """Slots that the text prints, with their lines. Raises TemplateError for what a template may not do."""

    def fail(at: int, code: str, message: str, word: str = "") -> NoReturn:
        column = body.split("\n")[at - 1].find(word) + 1 if word else 1
        raise TemplateError(path, line + at - 1, max(column, 1), code, message)

    environment = _environment()
    try:
        tree = environment.parse(body)
    except TemplateSyntaxError as error:
        fail(error.lineno, "template_syntax", error.message or "this is not Jinja")
    loops = _loops_in_loops(tree)
    if loops:
        fail(loops[0].lineno, "nested_loop", "a loop stands in a loop; let the query give one list", "{%")
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.Call):
            name = node.node.name if isinstance(node.node, nodes.Name) else "this"
            if name not in macros:
                known = ", ".join(sorted(macros)) or f"none, {MACROS_FILE} is empty"
                fail(node.lineno, "template_call", f"`{name}(...)` cannot be called; macros: {known}", name)
        elif isinstance(node, nodes.Filter) and node.name not in FILTERS:
            known = ", ".join(sorted(FILTERS))
            fail(node.lineno, "unknown_filter", f"`{node.name}` is none of the filters {known}", node.name)
        elif isinstance(node, (nodes.Expr, nodes.Stmt)) and not isinstance(node, ALLOWED_NODES):
            what = type(node).__name__.lower()
            fail(node.lineno, "template_computes", f"`{what}` is not for templates; compute it in the query")
        elif isinstance(node, (nodes.Getattr, nodes.Getitem)) and _private(node):
            fail(node.lineno, "template_computes", "names that start with _ cannot be read")
    used = meta.find_undeclared_variables(tree) - macros
    return {name: line + _first_line(tree, name) - 1 for name in used}


def _loops_in_loops(tree: nodes.Node) -> list[nodes.For]:
    return [inner for loop in tree.find_all(nodes.For) for inner in loop.find_all(nodes.For)]


def _private(node: nodes.Getattr | nodes.Getitem) -> bool:
    key = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", "")
    return isinstance(key, str) and key.startswith("_")


def _first_line(tree: nodes.Template, name: str) -> int:
    return min((node.lineno for node in tree.find_all(nodes.Name) if node.name == name), default=1)


def _macro(
    environment: ImmutableSandboxedEnvironment, body: str, line: int, slots: tuple[str, ...]
) -> Callable[..., str]:
    """Compile one wording to a function of its slots.

    As a macro its slots are local variables: a call costs a tenth of `Template.render`, which builds
    a context for every row.
    """
    source = "\n" * (line - 1) + f"{{% macro {_MACRO_NAME}({', '.join(slots)}) %}}{body}{{% endmacro %}}"
    function: Callable[..., str] = getattr(environment.from_string(source).module, _MACRO_NAME)
    return function


@functools.cache
def _macros(path: Path) -> dict[str, Callable[..., str]]:
    """The macros of `_macros.j2`, which every template may call; they print and branch, no more."""
    if not path.is_file():
        return {}
    environment = _environment()
    text = path.read_text(encoding="utf-8")
    try:
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        raise TemplateError(
            path, error.lineno, 1, "template_syntax", error.message or "this is not Jinja"
        ) from None
    for node in tree.find_all((nodes.For, nodes.Call)):
        raise TemplateError(path, node.lineno, 1, "macro_computes", "a macro neither loops nor calls")
    names = [node.name for node in tree.find_all(nodes.Macro)]
    module = environment.from_string(text).module
    return {name: getattr(module, name) for name in names}


def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # prompts are plain text, not HTML
        finalize=_printed,
    )


def _printed(value: Any) -> Any:
    if value is None:
        raise Reject("null_slot")
    return value
