"""The check of a recipe: every problem at once, before anything is built or paid for.

`recipe.load` checks keys and values. This also checks what they point to: the query and its columns, the
template and the slots that it prints. It needs no seeds.
"""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection

from datagen.config.document import Document, Loc, Problem
from datagen.errors import UserError
from datagen.paths import find
from datagen.prompts.template import Template, TemplateError, load_template, reworded_path
from datagen.recipe.checked import note_of
from datagen.recipe.lint_sql import inspect
from datagen.recipe.load import gather, locate
from datagen.recipe.model import is_kind
from datagen.schema import TaskType
from datagen.sources import SOURCES
from datagen.sources.database import open_layout, tables_of
from datagen.sources.query import reads
from datagen.suggest import among
from datagen.tasks import TASKS
from datagen.tasks.question import RESERVED, Columns
from datagen.teacher.extract import sql_type as step_type

CODES = {
    "yaml_syntax": "the file is not YAML",
    "yaml_feature": "YAML that recipes don't use: anchors, aliases, tags, keys that are no text",
    "duplicate_key": "a key stands twice",
    "missing_key": "a key that every recipe (or task) has is not there",
    "unknown_key": "a key that means nothing",
    "wrong_type": "a value of another kind: text for a number, a list for a mapping",
    "empty_value": "a key without a value",
    "out_of_range": "a number beyond its bounds",
    "unknown_value": "not one of the values that are allowed",
    "bad_name": "a name with other characters than lower-case letters, digits and `_`",
    "name_mismatch": "`name` is not the file's name",
    "unknown_source": "no seed source of this name",
    "unknown_metric": "a metric that the task's type does not have",
    "unmeasured_shortcut": "a bound for a metric that a build does not score by",
    "unknown_file": "a file that is not there",
    "unknown_recipe": "an included recipe that is nowhere",
    "unknown_task": "a task that an included recipe does not have",
    "include_cycle": "a mixture that includes itself, directly or by others",
    "duplicate_include": "a recipe or a task is included twice",
    "unknown_exclude": "something to leave out that the mixture does not have",
    "nothing_left": "everything that is included is left out",
    "tasks_and_include": "both tasks and included recipes",
    "unknown_weight": "a weight for what the mixture does not have",
    "missing_weight": "weights for some of the recipes, sources, types or tracks only",
    "unknown_license": "a licence that no source has",
    "nothing_licensed": "no task is left with the licences that may be there",
    "source_conflict": "included recipes open one source with different options",
    "sql_syntax": "the query is not SQL",
    "sql_statement": "the query is not a single SELECT",
    "sql_unknown_name": "a table, column or function that is not there",
    "sql_forbidden": "the query reads something else than seed tables",
    "sql_random": "chance or clocks: every build would differ",
    "sql_order": "a result that depends on the order of rows, which no table has",
    "sql_error": "anything else that DuckDB refuses, in its words",
    "unused_table": "a table of the recipe that none of its queries reads",
    "taken_table": "a table's name is that of a source, or a query makes one of this name by `with`",
    "table_order": "a table that reads itself or one after it",
    "missing_column": "the query lacks a column that the task's type needs",
    "column_type": "a column of the wrong type",
    "duplicate_column": "two columns have one name",
    "taken_column": "a column's name is the build's own, or the template language's",
    "private_column": "a column tells people apart",
    "missing_groups": "the query leaves out the groups of a table that it reads",
    "unknown_template": "no template of this name",
    "step_conflict": "included recipes have different tables of one name for the teacher",
    "column_kind": "a kind of column that the teacher cannot fill",
    "template_folder": "the template stands in another type's folder, or not in the teacher's",
    "template_syntax": "the template is not Jinja, or not UTF-8",
    "template_call": "the template calls something",
    "template_computes": "the template computes: arithmetic, private names, statements of its own",
    "nested_loop": "a loop in a loop",
    "unknown_filter": "a filter that templates don't have",
    "empty_wording": "nothing between two lines `---`",
    "almost_separator": "a line that only looks like `---`, so that two wordings are one",
    "unknown_language": "a wording for a language that no row may have",
    "no_wording": "no wording serves the language of the task's rows",
    "unknown_slot": "the template prints what the query does not return",
    "hidden_slot": "the template prints the answer, or a column that is the build's",
    "missing_slot": "a wording does not print what the question is about",
}
"""The meaning of each problem's code. Codes stay the same; messages may get better."""

_PRIVATE = {name for source in SOURCES.values() for table in source.TABLES.values() for name in table.private}

OPTIONAL: Columns = {
    **{"split": pa.string(), "groups": pa.list_(pa.string())},
    **{"language": pa.string(), "explanation": pa.string()},
}
"""Columns that any query may return; the pipeline reads them."""

TAKEN = {
    "side": "the build makes a column of this name: choose another",
    "place": "the build makes a column of this name: choose another",
    "metric": "a metric is the task's, not a row's: write `metric:` beside `query:`",
    **dict.fromkeys(
        ("loop", "true", "false", "none", "True", "False", "None"),
        "a template can't print a column of this name: choose another",
    ),
}
"""Columns that no query may return, and what to do instead."""

_INTEGER = r"U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?"
_SQL_TYPES = {
    pa.string(): ("VARCHAR", "VARCHAR"),
    pa.int64(): ("BIGINT", _INTEGER),
    pa.float64(): ("DOUBLE", rf"DOUBLE|FLOAT|DECIMAL\(.*\)|{_INTEGER}"),
}
"""Arrow types of columns: the SQL type to cast to, and a pattern of those that do as they are."""


def check(recipe: str, notes: Path | None = None) -> list[Problem]:
    """All problems of the recipe of this name, or in this file, and of those that it includes; sorted.

    Below `notes` stands what passed before, and is not checked again. Raises UserError where there is no such
    file.
    """
    [(_, problems)] = check_all([recipe], notes)
    return problems


def check_all(recipes: Iterable[str], notes: Path | None = None) -> Iterator[tuple[str, list[Problem]]]:
    """Each recipe with its problems, as `check` gives them; what several of them share is looked at once."""
    of_tasks: dict[Path, list[Problem]] = {}
    with ExitStack() as stack:

        @functools.cache
        def layout(sources: tuple[str, ...]) -> DuckDBPyConnection:
            options = {name: SOURCES[name].Options() for name in sources}  # they change no columns
            return stack.enter_context(open_layout(options))

        for recipe in recipes:
            _, documents = gather(locate(recipe))
            problems = {problem for document in documents for problem in document.problems}
            for document in documents:
                if document.path not in of_tasks:
                    document.problems.clear()
                    _check_tasks_once(document, layout, notes)
                    of_tasks[document.path] = document.problems
                problems.update(of_tasks[document.path])
            yield recipe, sorted(problems)


def _check_tasks_once(
    document: Document, layout: Callable[[tuple[str, ...]], DuckDBPyConnection], notes: Path | None
) -> None:
    """Check each task, unless a note says that they passed as they are."""
    if notes is None:
        _check_tasks(document, layout)
        return
    note, shape = note_of(document, notes)
    if shape and note.is_file() and note.read_text(encoding="utf-8") == shape:
        return
    _check_tasks(document, layout)
    if shape and not document.problems:
        with suppress(OSError):  # a note that cannot be written is no fault of the recipe
            notes.mkdir(parents=True, exist_ok=True)
            note.write_text(shape, encoding="utf-8")


def _check_tasks(document: Document, layout: Callable[[tuple[str, ...]], DuckDBPyConnection]) -> None:
    """Check each task as far as it can be read, whatever is wrong with the others."""
    tasks, sources = document.data.get("tasks"), document.data.get("sources")
    if not isinstance(tasks, dict):
        return
    known = tuple(sources) if isinstance(sources, dict) and sources.keys() <= SOURCES.keys() else ()
    # one layout of all sources for all recipes: it takes long to make, and `tables` are what a query may read
    seen = _Seen(layout(tuple(SOURCES) if known else ()), tables_of(known))
    with _step_tables(document, seen), _own_tables(document, seen):
        for name, task in tasks.items():
            if isinstance(task, dict):
                _check_task(document, ("tasks", name), task, seen)


@dataclass(slots=True)
class _Seen:
    """What a document's queries see: the `tables` by name, of which some are `broken`, and those `read`."""

    connection: DuckDBPyConnection
    tables: list[str]
    later: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)


@contextmanager
def _step_tables(document: Document, seen: _Seen) -> Iterator[None]:
    """Let queries read the tables that a teacher fills for a while; notes what is wrong with these."""
    steps = {
        f"{prefix}.{name}": ((kind, name), step)
        for kind, prefix in (("extract", "extracted"), ("answer", "answered"))
        for name, step in (document.data.get(kind) or {}).items()
        if isinstance(document.data.get(kind), dict) and isinstance(step, dict) and re.fullmatch(r"\w+", name)
    }
    tables = document.data.get("tables")
    seen.later = {*steps, *(tables if isinstance(tables, dict) else ())}
    made = []
    for name, (loc, step) in steps.items():
        seen.later.remove(name)
        filled = _check_step(document, loc, step, seen)
        if seen.tables:
            seen.tables.append(name)
        if filled is None:
            seen.broken.add(name)
        else:
            seen.connection.execute(f"create schema if not exists {name.partition('.')[0]}")
            seen.connection.execute(
                f"create view {name} as select *, {filled} from ({_bare(step['query'])}\n)"
            )
            made.append(name)
    yield
    for name in steps.keys() - seen.read:
        document.problem(
            document.key(steps[name][0]), "unused_table", f"no query reads `{name}`: take it out"
        )
    for name in made:
        seen.connection.execute(f"drop view {name}")


def _check_step(document: Document, loc: Loc, step: dict[str, Any], seen: _Seen) -> str | None:
    """Check a table that a teacher fills; gives the columns that it adds, in SQL; None: unknown."""
    query, columns = step.get("query"), None
    kinds = step.get("columns") if loc[0] == "extract" else {"reference": "string"}
    if query and isinstance(query, str):
        columns = _columns(document, (*loc, "query"), query, seen)
        _check_private(document, (*loc, "query"), columns or {})
    for key in ("template", *(["judge"] if step.get("judge") else [])):
        template, path, lines = _template(document, (*loc, key), step.get(key))
        for slot in sorted(lines.keys() - {"language"}):
            message = (
                f"`{slot}`: a template for the teacher prints `language` alone, since texts of shops are no"
                " instruction: the row's columns reach the teacher as data"
            )
            place = lines[slot], _column(path, lines[slot], slot)
            document.problems.append(Problem(path, *place, "unknown_slot", message))
        if template is not None and columns is not None and "language" not in columns:
            _check_wordings(document, (*loc, key), template, step.get("language", "en"))
    if columns is None or not isinstance(kinds, dict):
        return None
    place = document.inside((*loc, "query"), 1, 1)
    shown = columns.keys() - RESERVED
    if "key" not in columns or not shown:
        lacks = "key" if "key" not in columns else "anything to show the teacher beside `key`"
        document.problem(place, "missing_column", f"the query lacks {lacks}; it returns {', '.join(columns)}")
    for name in sorted(columns.keys() & {*kinds, "teacher"}):
        message = f"the query returns `{name}`, which the teacher fills: choose another"
        document.problem(place, "taken_column", message)
    for name in sorted(kinds.keys() & (RESERVED | {"teacher"})):
        message = f"the build makes a column `{name}`: choose another"
        document.problem(document.key((*loc, "columns", name)), "taken_column", message)
    if not all(columns.values()) or columns.keys() & kinds.keys() or not all(map(is_kind, kinds.values())):
        return None
    filled = [*((name, step_type(kind)) for name, kind in kinds.items()), ("teacher", "VARCHAR")]
    return ", ".join(f'null::{kind} as "{name}"' for name, kind in filled)


def _bare(query: str) -> str:
    return query.rstrip().rstrip(";")


@contextmanager
def _own_tables(document: Document, seen: _Seen) -> Iterator[None]:
    """Let queries read the recipe's own tables for a while; notes what is wrong with these."""
    given = document.data.get("tables")
    tables = given if isinstance(given, dict) else {}
    sources = {name.partition(".")[0] for name in seen.tables}
    seen.later = {name for name in tables if re.fullmatch(r"\w+", name)}
    views, unusable = [], set[str]()
    for name, select in tables.items():
        if not isinstance(select, str) or not select or name not in seen.later:
            unusable.add(name)
            continue  # the model says so
        if name in sources:
            message = f"`{name}` is the name of a source or of the lists: choose another"
            document.problem(document.key(("tables", name)), "taken_table", message)
        columns = _columns(document, ("tables", name), select, seen)
        seen.later.remove(name)
        if seen.tables:
            seen.tables.append(name)
        if columns is None or not all(columns.values()):  # what reads it is not blamed
            seen.broken.add(name)
        else:
            seen.connection.execute(f'create view "{name}" as {select}')
            views.append(name)
    seen.later -= unusable
    seen.broken |= unusable
    yield
    for name in tables.keys() - unusable - seen.read:
        message = f"no query reads `{name}`: take it out"
        document.problem(document.key(("tables", name)), "unused_table", message)
    for name in views:
        seen.connection.execute(f'drop view "{name}"')


def _check_task(document: Document, loc: Loc, task: dict[str, Any], seen: _Seen) -> None:
    query, name, kind = task.get("query"), task.get("template"), task.get("type")
    columns = None
    if query and isinstance(query, str):
        columns = _columns(document, (*loc, "query"), query, seen)
        _check_private(document, (*loc, "query"), columns or {})
    template, path, lines = _template(document, (*loc, "template"), name)
    if kind not in list(TaskType):
        return  # the model says so
    if columns is not None:
        _check_columns(document, (*loc, "query"), columns, TaskType(kind))
        _check_groups(document, (*loc, "query"), task["query"], columns, seen)
        _check_slots(document, (*loc, "query"), path, lines, columns, TaskType(kind))
    if template is not None:
        _check_shown(document, template, TaskType(kind))
    if columns is not None and template is not None and "language" not in columns:
        _check_wordings(document, (*loc, "template"), template, task.get("language", "en"))


def _columns(document: Document, loc: Loc, query: str, seen: _Seen) -> dict[str, str] | None:
    """Names and SQL types of the columns that a query returns, as `inspect` gives them; notes its faults."""
    seen.read |= reads(seen.connection, query)
    columns, faults = inspect(seen.connection, query, seen.tables, seen.later, seen.broken)
    if any(fault.code == "sql_syntax" for fault in faults):
        seen.read |= set(re.findall(r"\w+", query))  # what it would read is unknown, so no table is blamed
    for fault in faults:
        document.problem(document.inside(loc, fault.line, fault.column), fault.code, fault.message)
    return columns


def _check_private(document: Document, loc: Loc, columns: Collection[str]) -> None:
    """Note columns that would tell people apart in rows, or to the teacher; `tables` may have them."""
    for name in sorted(_PRIVATE & {*columns}):
        message = (
            f"the query returns `{name}`, which tells people apart: leave it out; queries may join by it"
        )
        document.problem(document.inside(loc, 1, 1), "private_column", message)


def _check_columns(document: Document, loc: Loc, columns: dict[str, str], kind: TaskType) -> None:
    """Note columns that are missing, taken or of the wrong type."""
    place = document.inside(loc, 1, 1)
    forms = [{"key": pa.string(), **form} for form in TASKS[kind].COLUMNS]
    form = min(forms, key=lambda form: len(form.keys() - columns.keys()))
    missing = [name for name in form if name not in columns]
    if missing:
        wanted = " or ".join(", ".join(f"{name} {sql_type(form[name])}" for name in form) for form in forms)
        message = (
            f"the query lacks {', '.join(missing)}: a {kind} needs {wanted}; it returns {', '.join(columns)}"
        )
        document.problem(place, "missing_column", message)
        derived = tuple(f'column "{name}"' for name in missing)  # where the query reads it, too
        document.problems[:] = [
            problem
            for problem in document.problems
            if problem.line < place[0]
            or problem.code != "sql_error"
            or not problem.message.startswith(derived)
        ]
    for name, wanted_type in {**form, **OPTIONAL}.items():
        if columns.get(name) and name != "key" and not _fits(columns[name], wanted_type):
            is_one = pa.types.is_list(wanted_type) and not columns[name].endswith("[]")
            advice = "make it a list, `[...]" if is_one else "cast it, `(...)"
            message = f"`{name}` is {columns[name]}: {advice}::{sql_type(wanted_type)} as {name}`"
            document.problem(place, "column_type", message)
    own = set(TASKS[kind].SLOTS).difference(*TASKS[kind].COLUMNS)
    taken = TAKEN | dict.fromkeys(own, f"a {kind} makes a slot of this name: choose another")
    if kind is not TaskType.MULTIPLE_CHOICE:
        taken["explanation"] = f"the grader would read it as part of a {kind}'s answer: leave it out"
    for name in taken.keys() & columns.keys():
        document.problem(place, "taken_column", f"the query returns `{name}`: {taken[name]}")


def _check_groups(document: Document, loc: Loc, query: str, columns: Collection[str], seen: _Seen) -> None:
    """Note a query without the groups that a table of its has: nothing else would show that rows leak."""
    if "groups" in columns:
        return
    for table in sorted(reads(seen.connection, query) & {*seen.tables} - seen.broken):
        if "groups" in seen.connection.sql(f"from {table}").columns:
            message = (
                f"`{table}` has `groups`, which the query does not return: without them rows about one"
                " thing stand in train and in test. Return them, or `[key] as groups` if rows share nothing"
            )
            document.problem(document.inside(loc, 1, 1), "missing_groups", message)


def _template(document: Document, loc: Loc, name: Any) -> tuple[Template | None, Path, dict[str, int]]:
    """The template of a task, its file, and the line that first names each slot.

    None, and a problem at its place, where it can't be used; its slots are told as far as it can be read.
    """
    path, lines = Path(), dict[str, int]()
    if not isinstance(name, str):
        return None, path, lines  # the model says so
    try:
        path = find("templates", name)
        template = load_template(path)
        return template, path, template.lines
    except UserError as error:
        document.problem(document.value(loc), "unknown_template", str(error))
    except UnicodeDecodeError as error:
        message = f"`{name}` is not UTF-8 ({error.reason}): save it so"
        document.problem(document.value(loc), "template_syntax", message)
    except TemplateError as error:
        document.problems += [Problem(error.path, *fault) for fault in error.faults]
        lines = error.lines
    return None, path, lines


def _check_slots(
    document: Document,
    loc: Loc,
    path: Path,
    lines: Mapping[str, int],
    columns: Mapping[str, str],
    kind: TaskType,
) -> None:
    """Note slots of a template that its query does not give."""
    task = TASKS[kind]
    answers = {name for form in task.COLUMNS for name in form} - set(task.SLOTS)
    slots = sorted({*columns, *task.SLOTS} - answers - RESERVED)
    line, _ = document.inside(loc, 1, 1)
    for name in sorted(lines):
        if name in answers | RESERVED and name in columns:
            code = "hidden_slot"
            message = f"`{name}` is the answer's or the build's: a prompt prints {', '.join(slots)}"
        elif name not in slots:
            code = "unknown_slot"
            message = f"the query at {document.path}:{line} returns no `{name}`: {among(name, slots)}"
        else:
            continue
        place = lines[name], _column(path, lines[name], name)
        document.problems.append(Problem(path, *place, code, message))


def _check_shown(document: Document, template: Template, kind: TaskType) -> None:
    """Note wordings that do not print what an answer is chosen from, or nothing of their row at all."""
    shown = next((name for name in ("listing", "text") if name in TASKS[kind].SLOTS), None)
    for wording in template.wordings:
        if shown and shown not in wording.slots:
            message = f"a {kind} is asked of what `{{{{ {shown} }}}}` prints: this wording lacks it"
        elif not wording.slots:
            message = "this wording prints no slot: it asks the same of every row"
        else:
            continue
        path = reworded_path(template.path) if wording.teacher else template.path
        document.problems.append(Problem(path, wording.line, 1, "missing_slot", message))


def _check_wordings(document: Document, loc: Loc, template: Template, language: Any) -> None:
    """Note a template that says nothing in the language of its task's rows."""
    if isinstance(language, str) and not template.choices(language):
        message = f"no wording serves rows in `{language}`: add one to {template.path}, after a line `---`"
        document.problem(document.value(loc), "no_wording", message)


def _column(path: Path, line: int, name: str) -> int:
    """The column in which a slot stands in a line of its template."""
    found = re.search(rf"\b{name}\b", path.read_text(encoding="utf-8").split("\n")[line - 1])
    return found.start() + 1 if found else 1


def _fits(kind: str, wanted: pa.DataType) -> bool:
    """Whether a column of this SQL type holds what is wanted."""
    if pa.types.is_list(wanted):
        return kind.endswith("[]") and _fits(kind.removesuffix("[]"), wanted.value_type)
    return re.fullmatch(_SQL_TYPES[wanted][1], kind) is not None


def sql_type(wanted: pa.DataType) -> str:
    """The SQL name of an Arrow type that a task type asks for: `VARCHAR[]`."""
    return f"{sql_type(wanted.value_type)}[]" if pa.types.is_list(wanted) else _SQL_TYPES[wanted][0]
