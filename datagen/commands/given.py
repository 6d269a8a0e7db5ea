"""What the words of a command name: a recipe, and the seeds that it is built from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from datagen.console.progress import note, warn
from datagen.console.typed import typed
from datagen.errors import QueryError, UserError

if TYPE_CHECKING:
    from datagen.recipe.model import Loaded


def recipe_named(
    name: str,
    rows: int | None = None,
    sources: str | None = None,
    licenses: str | None = None,
    notes: Path | None = None,
) -> Loaded:
    """A recipe that passes all checks, with the tasks wanted. Raises RecipeError with every problem.

    Below `notes` stands what passed before.
    """
    from datagen.recipe.check import check
    from datagen.recipe.load import RecipeError, load, scaled
    from datagen.recipe.narrow import left_out_lines, narrowed
    from datagen.sources import SOURCES

    problems = check(name, notes)
    if problems:
        raise RecipeError(problems)
    whole = load(name)
    by_license = dict.fromkeys(source.LICENSE for source in SOURCES.values())
    recipe = narrowed(
        whole, _names("--sources", sources, whole.sources), _names("--licenses", licenses, by_license)
    )
    for line in left_out_lines(recipe):
        warn(f"{line}{'; the other tasks get their rows' if recipe.groups else ''}")
    if rows and rows < len(recipe.tasks):
        warn(f"rows: {rows} asked for, but the recipe has {len(recipe.tasks)} tasks: each gets 1 row")
    return scaled(recipe, rows) if rows else recipe


@contextmanager
def placed(recipe: str) -> Iterator[None]:
    """Name the line of a query that fails."""
    try:
        yield
    except QueryError as error:
        from datagen.recipe.load import query_place

        raise UserError(f"{query_place(recipe, error.name)}: {error}") from error


def seeds_of(where: str, recipe: Loaded, runs: Path) -> Path:
    """The folder of a recipe's seeds, which are made up or fetched if need be."""
    from datagen.sources.locate import find_seeds

    return find_seeds(where, recipe.sources, runs, note)


def _names(option: str, text: str | None, known: Collection[str]) -> list[str]:
    """The names in a list that commas or blanks part; a known one may hold blanks itself.

    Raises UserError where a list is given that holds none: that would ask for nothing, and get everything.
    """
    parts = [part.strip() for part in (text or "").split(",")]
    names = [name for part in parts for name in ([part] if part in known else part.split())]
    if text is not None and not names:
        raise UserError(
            f"{typed(option)} `{text}` names none: write some of {', '.join(known)}, or leave it out"
        )
    return names


def own_seeds(run: Path, where: str | None) -> Path | None:
    """The seeds of a run: where the user says, else where they were."""
    from datagen.pipeline.lockfile import read_lock, recipe_of
    from datagen.sources.locate import remembered

    return seeds_of(where, recipe_of(read_lock(run)), run.parent) if where else remembered(run)
