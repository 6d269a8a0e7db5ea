"""A recipe goes in; everything that is wrong with it comes out at once, before anything is built or paid for.

Beyond keys and values, which `recipe` checks, this looks at what they point to: the query and its columns,
the template and the slots that it prints. It needs no seeds.
"""

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection

from datagen.errors import UserError
from datagen.paths import among, find
from datagen.prompts import Template, TemplateError, load_template
from datagen.recipe import gather, locate
from datagen.recipe_sql import inspect
from datagen.recipe_yaml import Document, Loc, Problem
from datagen.schema import TaskType
from datagen.seeds import open_layout
from datagen.sources import SOURCES
from datagen.tasks import TASKS
from datagen.tasks.question import RESERVED, Columns

OPTIONAL: Columns = {"split": pa.string(), "groups": pa.list_(pa.string()), "language": pa.string()}
"""Columns that any query may return; the pipeline reads them."""

TAKEN = {
    "side": "the build makes a column of this name: choose another",
    "place": "the build makes a column of this name: choose another",
    "metric": "a metric is the task's, not a row's: write `metric:` beside `query:`",
}
"""Columns that no query may return, and what to do instead."""

_INTEGER = r"U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?"
_SQL_TYPES = {
    pa.string(): ("VARCHAR", "VARCHAR"),
    pa.int64(): ("BIGINT", _INTEGER),
    pa.float64(): ("DOUBLE", rf"DOUBLE|FLOAT|DECIMAL\(.*\)|{_INTEGER}"),
}
"""Arrow types of columns: the SQL type to cast to, and a pattern of those that do as they are."""


def check(recipe: str) -> list[Problem]:
    """All problems of the recipe of this name, or in this file, and of those that it includes; sorted.

    Raises UserError where there is no such file.
    """
    _, documents = gather(locate(recipe))
    for document in documents:
        _check_tasks(document)
    return sorted({problem for document in documents for problem in document.problems})


def _check_tasks(document: Document) -> None:
    """Look at each task as far as it can be read, whatever is wrong with the others."""
    tasks, sources = document.data.get("tasks"), document.data.get("sources")
    if not isinstance(tasks, dict) or not isinstance(sources, dict):
        return
    known = sources if sources.keys() <= SOURCES.keys() else {}  # else queries would be blamed for it
    tables = [f"{name}.{table}" for name in known for table in SOURCES[name].TABLES]
    layout = {
        name: SOURCES[name].Options() for name in known
    }  # whatever the options, the columns are the same
    with open_layout(layout) as connection:
        for name, task in tasks.items():
            if isinstance(task, dict):
                _check_task(document, ("tasks", name), task, connection, tables)


def _check_task(
    document: Document, loc: Loc, task: dict[str, Any], connection: DuckDBPyConnection, tables: Sequence[str]
) -> None:
    query, name, kind = task.get("query"), task.get("template"), task.get("type")
    columns = None
    if query and isinstance(query, str) and tables:
        columns = _columns(document, (*loc, "query"), query, connection, tables)
    template = _template(document, (*loc, "template"), name) if isinstance(name, str) else None
    if kind not in list(TaskType):
        return  # the model says so
    if columns is not None:
        _check_columns(document, (*loc, "query"), columns, TaskType(kind))
    if columns is not None and template is not None:
        _check_slots(document, (*loc, "query"), template, columns, TaskType(kind))
    if columns is not None and template is not None and "language" not in columns:
        _check_wordings(document, (*loc, "template"), template, task.get("language", "en"))


def _columns(
    document: Document, loc: Loc, query: str, connection: DuckDBPyConnection, tables: Sequence[str]
) -> dict[str, str] | None:
    """Names and SQL types of the columns that a query returns; None where it does not run."""
    columns, faults = inspect(connection, query, tables)
    for fault in faults:
        document.problem(document.inside(loc, fault.line, fault.column), fault.code, fault.message)
    return columns


def _check_columns(document: Document, loc: Loc, columns: dict[str, str], kind: TaskType) -> None:
    """Note columns that are missing, taken or of the wrong type."""
    place = document.inside(loc, 1, 1)
    forms = [{"key": pa.string(), **form} for form in TASKS[kind].COLUMNS]
    form = min(forms, key=lambda form: len(form.keys() - columns.keys()))
    missing = [name for name in form if name not in columns]
    if missing:
        wanted = " or ".join(", ".join(f"{name} {_sql_type(form[name])}" for name in form) for form in forms)
        message = (
            f"the query lacks {', '.join(missing)}: a {kind} needs {wanted}; it returns {', '.join(columns)}"
        )
        document.problem(place, "missing_column", message)
    for name, wanted_type in {**form, **OPTIONAL}.items():
        if name in columns and name != "key" and not _fits(columns[name], wanted_type):
            is_one = pa.types.is_list(wanted_type) and not columns[name].endswith("[]")
            advice = "make it a list, `[...]" if is_one else "cast it, `(...)"
            message = f"`{name}` is {columns[name]}: {advice}::{_sql_type(wanted_type)} as {name}`"
            document.problem(place, "column_type", message)
    for name in TAKEN.keys() & columns.keys():
        document.problem(place, "taken_column", f"the query returns `{name}`: {TAKEN[name]}")


def _template(document: Document, loc: Loc, name: str) -> Template | None:
    """The template of a task; None, and a problem at its place, where it can't be used."""
    try:
        return load_template(find("templates", name))
    except UserError as error:
        document.problem(document.value(loc), "unknown_template", str(error))
    except UnicodeDecodeError as error:
        document.problem(
            document.value(loc), "template_syntax", f"`{name}` is not UTF-8 ({error.reason}): save it so"
        )
    except TemplateError as error:
        document.problems.append(Problem(error.path, error.line, error.column, error.code, error.message))
    return None


def _check_slots(
    document: Document, loc: Loc, template: Template, columns: dict[str, str], kind: TaskType
) -> None:
    """Note slots of a template that its query does not give."""
    task = TASKS[kind]
    answers = {name for form in task.COLUMNS for name in form} - set(task.SLOTS)
    slots = sorted({*columns, *task.SLOTS} - answers - RESERVED)
    line, _ = document.inside(loc, 1, 1)
    for name in template.slots:
        if name in answers | RESERVED and name in columns:
            code = "hidden_slot"
            message = f"`{name}` is the answer's or the build's: a prompt prints {', '.join(slots)}"
        elif name not in slots:
            code = "unknown_slot"
            message = f"the query at {document.path}:{line} returns no `{name}`: {among(name, slots)}"
        else:
            continue
        place = template.lines[name], _column(template, name)
        document.problems.append(Problem(template.path, *place, code, message))


def _check_wordings(document: Document, loc: Loc, template: Template, language: Any) -> None:
    """Note a template that says nothing in the language of its task's rows."""
    if isinstance(language, str) and not template.choices(language):
        message = f"no wording serves rows in `{language}`: add one to {template.path}, after a line `---`"
        document.problem(document.value(loc), "no_wording", message)


def _column(template: Template, name: str) -> int:
    """The column in which a slot stands in the line that first names it."""
    line = template.path.read_text(encoding="utf-8").split("\n")[template.lines[name] - 1]
    found = re.search(rf"\b{name}\b", line)
    return found.start() + 1 if found else 1


def _fits(sql_type: str, wanted: pa.DataType) -> bool:
    """Whether a column of this SQL type holds what is wanted."""
    if pa.types.is_list(wanted):
        return sql_type.endswith("[]") and _fits(sql_type.removesuffix("[]"), wanted.value_type)
    return re.fullmatch(_SQL_TYPES[wanted][1], sql_type) is not None


def _sql_type(wanted: pa.DataType) -> str:
    """The SQL name of a column's type."""
    return f"{_sql_type(wanted.value_type)}[]" if pa.types.is_list(wanted) else _SQL_TYPES[wanted][0]
