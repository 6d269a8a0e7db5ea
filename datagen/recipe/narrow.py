"""Some tasks of a recipe alone: those that were asked for, or whose sources and licences are wanted.

What they read is worked out from their SQL; no seeds are opened.
"""

import functools
from collections import Counter
from collections.abc import Collection, Mapping

import duckdb

from datagen.errors import UserError
from datagen.recipe.model import Loaded, Recipe, Task
from datagen.recipe.rows import share
from datagen.sources import SOURCES
from datagen.sources.database import sources_read
from datagen.sources.query import own_name, reads
from datagen.suggest import among


def only(recipe: Loaded, names: Collection[str]) -> Loaded:
    """The recipe with these tasks alone, and with the tables and sources that they read."""
    tasks = {name: task for name, task in recipe.tasks.items() if name in names}
    if len(tasks) == len(recipe.tasks):
        return recipe
    queries = {name: task.query for name, task in tasks.items()}
    read = tables_read(recipe.selects, queries)
    used = {source for name, sql in queries.items() for source in sources_read(_parser(), read, name, sql)}
    return recipe.model_copy(
        update={
            "tasks": tasks,
            "tables": {name: sql for name, sql in recipe.tables.items() if name in read},
            "extract": {name: step for name, step in recipe.extract.items() if f"extracted.{name}" in read},
            "answer": {name: step for name, step in recipe.answer.items() if f"answered.{name}" in read},
            "sources": {name: options for name, options in recipe.sources.items() if name in used},
            "groups": {name: group for name, group in recipe.groups.items() if name in tasks},
        }
    )


def tasks_named(recipe: Recipe, task: str | None) -> list[str]:
    """The name of one task, or of all. Raises UserError where the recipe has no such task."""
    if task is not None and task not in recipe.tasks:
        raise UserError(f"recipe {recipe.name} has no task `{task}`: {among(task, recipe.tasks)}")
    return [task] if task else list(recipe.tasks)


def narrowed(recipe: Loaded, sources: Collection[str] = (), licenses: Collection[str] = ()) -> Loaded:
    """The recipe without tasks that read another source, or one under another licence; empty: any will do.

    What is left out is named in `left_out`; others of a mixture get its rows, as in `without_steps`.
    Raises UserError where a name is not known, or nothing is left.
    """
    if not sources and not licenses:
        return recipe
    for name in sources:
        if name not in recipe.sources:
            raise UserError(f"sources: `{name}` is none of {recipe.name}'s: {among(name, recipe.sources)}")
    wanted = frozenset(map(known_license, licenses))
    left_out = {}
    for task, read in sources_by_task(recipe).items():
        others = [name for name in read if sources and name not in sources]
        foreign = [name for name in read if wanted and SOURCES[name].LICENSE not in wanted]
        if others:
            left_out[task] = f"it reads {', '.join(others)}"
        elif foreign:
            terms = ", ".join(f"{name} ({SOURCES[name].LICENSE})" for name in foreign)
            left_out[task] = f"it reads {terms}"
    if len(left_out) == len(recipe.tasks):
        asked = [*sources, *sorted(wanted)]
        raise UserError(
            f"{recipe.name}: no task is left with {', '.join(asked)} alone: its sources are "
            + ", ".join(f"{name} ({SOURCES[name].LICENSE})" for name in recipe.sources)
        )
    return _without(recipe, left_out)


def without_steps(recipe: Loaded, steps: Collection[str], why: str) -> Loaded:
    """The recipe without the tasks that read one of these tables of the teacher's.

    Others of a mixture get their rows, first those of the same weight. Raises UserError where none is left.
    """
    left_out = {name: why for name, read in steps_by_task(recipe).items() if read & {*steps}}
    if left_out and len(left_out) == len(recipe.tasks):
        raise UserError(f"{recipe.name}: no task is left, as {why}")
    return _without(recipe, left_out)


def _without(recipe: Loaded, left_out: Mapping[str, str]) -> Loaded:
    """The recipe without these tasks, whose rows others of a mixture get."""
    if not left_out:
        return recipe
    kept = only(recipe, recipe.tasks.keys() - left_out.keys())
    tasks = _with_rows_of(recipe, kept.tasks) if recipe.groups else kept.tasks
    return kept.model_copy(update={"tasks": tasks, "left_out": {**recipe.left_out, **left_out}})


def _with_rows_of(recipe: Loaded, kept: Mapping[str, Task]) -> dict[str, Task]:
    """The tasks that are kept, with the rows of those that are not."""
    of_group: Counter[tuple[str, ...]] = Counter()
    of_kept: Counter[tuple[str, ...]] = Counter()
    for name, task in recipe.tasks.items():
        group = tuple(recipe.groups[name])
        of_group[group] += task.rows
        of_kept[group] += task.rows if name in kept else 0
    whole = sum(rows for group, rows in of_group.items() if of_kept[group])
    spread = of_group.total() / whole
    exact = [
        task.rows * of_group[group] / of_kept[group] * spread
        for name, task in kept.items()
        for group in [tuple(recipe.groups[name])]
    ]
    rows = share(of_group.total(), exact)
    return {
        name: task.model_copy(update={"rows": count})
        for (name, task), count in zip(kept.items(), rows, strict=True)
    }


def steps_by_task(recipe: Loaded) -> dict[str, set[str]]:
    """The tables of the teacher's that each task reads, directly or by others."""
    steps = recipe.steps.keys()
    if not steps:
        return {name: set() for name in recipe.tasks}
    selects = recipe.selects
    return {
        name: tables_read(selects, {name: task.query}).keys() & steps for name, task in recipe.tasks.items()
    }


def left_out_lines(recipe: Loaded) -> list[str]:
    """What was left out, a line for each reason; recipes of which nothing is left are named as such."""
    reasons: dict[str, list[str]] = {}
    for task, why in recipe.left_out.items():
        reasons.setdefault(why, []).append(task)
    of_recipe = Counter(_recipe(name) for name in [*recipe.tasks, *recipe.left_out])
    lines = []
    for why, tasks in reasons.items():
        here = Counter(map(_recipe, tasks))
        whole = [name for name in here if name and here[name] == of_recipe[name]]
        named = [*(f"{name}.*" for name in whole), *(name for name in tasks if _recipe(name) not in whole)]
        lines.append(f"left out, as {why}: {', '.join(named)}")
    return lines


def _recipe(task: str) -> str:
    return task.rpartition(".")[0]


def sources_by_task(recipe: Loaded) -> dict[str, tuple[str, ...]]:
    """The seed sources that each task reads, sorted."""
    return {
        name: sources_read(_parser(), recipe.selects, name, task.query) for name, task in recipe.tasks.items()
    }


def sources_of_step(recipe: Loaded, name: str) -> tuple[str, ...]:
    """The seed sources that a table of the teacher's is made from, sorted."""
    return sources_read(_parser(), recipe.selects, name, recipe.steps[name].query)


def known_license(name: str) -> str:
    """A source's licence by its name or first word, in any case. Raises UserError where there is none."""
    known = dict.fromkeys(source.LICENSE for source in SOURCES.values())
    found = [licence for licence in known if name.lower() in (licence.lower(), licence.lower().split()[0])]
    if not found:
        raise UserError(f"`{name}` is the licence of no source: {among(name, known)}")
    return found[0]


def tables_read(tables: Mapping[str, str], queries: Mapping[str, str]) -> dict[str, str]:
    """Of a recipe's own tables those that these queries read, directly or by others, in their order."""
    found: set[str] = set()

    def visit(reader: str, sql: str) -> None:
        for name in {own_name(reader, name) for name in reads(_parser(), sql)} & tables.keys() - found:
            found.add(name)
            visit(name, tables[name])

    for task, sql in queries.items():
        visit(task, sql)
    return {name: select for name, select in tables.items() if name in found}


@functools.cache
def _parser() -> duckdb.DuckDBPyConnection:
    """A connection that sees no table: it parses SQL alone."""
    return duckdb.connect()
