"""What is told before anything is built or asked: the rows to expect, and what a teacher will cost."""

from collections.abc import Iterator
from pathlib import Path

from datagen.commands import preview, preview_asks, tables
from datagen.console.progress import Say
from datagen.errors import UserError
from datagen.pipeline.rewriting import LEDGER, teacher_of
from datagen.recipe.model import Loaded
from datagen.teacher.ledger import spent_on


def of_build(recipe: Loaded, seeds: Path, runs: Path, *, say: Say) -> Iterator[str]:
    """The tables of a whole build: its rows by task, and the teacher's asks by step.

    Raises UserError where no row is to be expected, once that is told.
    """
    hope = False
    try:
        plans = list(preview.plan(recipe, seeds, say=say))
        hope = any(plan.share for plan in plans)
        yield tables.planned(plans)
    except UserError as error:
        if not recipe.steps:  # else its tasks stand on tables that are yet to be filled
            raise
        say(f"how many rows it will give is known when its tables are filled ({error})")
    if recipe.steps or recipe.rewrite:
        estimates = preview_asks.planned(recipe, seeds, runs / LEDGER, say=say)
        yield "\n" + tables.costs(teacher_of(recipe), estimates)
        for line in tables.over_limit(teacher_of(recipe), estimates, spent_on(runs / LEDGER, recipe.name)):
            say(line)
        hope |= any(one.asks for one in estimates)
    if not hope:
        raise UserError(f"recipe {recipe.name}: no row to expect, as none of those looked at would be kept")


def of_asks(
    recipe: Loaded, seeds: Path, runs: Path, rows: int, task: str | None, *, say: Say
) -> Iterator[str]:
    """What the teacher would be asked about a few rows, word for word, and a table of what that costs."""
    asks = preview_asks.asks_of(recipe, seeds, rows, task, say=say)
    yield from preview_asks.told(ask for _, some in asks for ask in some)
    yield "\n" + tables.costs(teacher_of(recipe), preview_asks.priced(asks, runs / LEDGER))
