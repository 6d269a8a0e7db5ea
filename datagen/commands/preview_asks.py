"""What a teacher would be asked in each step of a recipe, word for word; nothing is asked."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from datagen.commands.preview import worded
from datagen.console.progress import Say
from datagen.console.text import aside, heading
from datagen.errors import QueryError, UserError
from datagen.paths import find
from datagen.pipeline import steps
from datagen.pipeline.render import job_of
from datagen.pipeline.rewriting import reworder_of, rewriter_of, rows_of, teacher_of
from datagen.prompts.template import load_template
from datagen.recipe.model import Loaded, Rewrite
from datagen.recipe.narrow import tasks_named
from datagen.schema import LANGUAGES
from datagen.sources.database import open_seeds
from datagen.teacher import reword, rewrite
from datagen.teacher.ask import Ask, Teacher
from datagen.teacher.client import held
from datagen.teacher.estimate import Estimate, estimates
from datagen.teacher.marks import of_wording

ROWS = 60
"""Rows of a task that are drawn for a few to be shown."""


def asks_of(
    recipe: Loaded, seeds: Path, rows: int, task: str | None = None, *, say: Say = lambda text: None
) -> list[tuple[Teacher, list[Ask]]]:
    """The asks of every step, `rows` of each, with the teacher as that step asks it.

    Raises UserError where the recipe asks nothing of a teacher, or has no such task.
    """
    found = [(teacher, asks) for teacher, asks in _asks(recipe, seeds, rows, task, say) if asks]
    if not found:
        raise UserError(f"recipe {recipe.name} asks nothing of a teacher: it has none of its keys")
    return found


def priced(asks: Iterable[tuple[Teacher, list[Ask]]], ledger: Path) -> list[Estimate]:
    """What these asks will cost, by step."""
    return [one for teacher, some in asks for one in estimates(teacher, some, ledger)]


def planned(recipe: Loaded, seeds: Path, ledger: Path, *, say: Say = lambda text: None) -> list[Estimate]:
    """What the asks of a whole build will cost, by step, as some of each tell."""
    found = []
    for name, available, rows in _rows_of_steps(recipe, seeds, ROWS, say):
        step = recipe.steps[name]
        scale = min(step.rows, available) / max(1, len(rows))
        asker, asks = steps.asker_of(recipe, step), list(steps.asks_of(recipe, name, rows))
        found += estimates(asker, asks, ledger, scale)
        judged = steps.to_be_judged(recipe, name, rows, held(asker, asks, ledger))
        found += estimates(steps.judge_of(recipe), judged, ledger, scale)
    if recipe.rewrite:
        of_tasks: dict[str, list[Ask]] = {}
        for ask in _rewrites(recipe, seeds, ROWS, [*recipe.tasks], say):
            of_tasks.setdefault(ask.step, []).append(ask)
        for label, asks in of_tasks.items():
            wanted = recipe.tasks[label.removeprefix("rewrite.")].rows * recipe.rewrite.share
            found += estimates(rewriter_of(recipe), asks, ledger, wanted / len(asks))
    return found


def told(asks: Iterable[Ask]) -> Iterator[str]:
    """The messages of asks, for people; what a step's asks have in common is printed once."""
    step = system = ""
    for ask in asks:
        if ask.step != step:
            step = ask.step
            yield heading(step)
        for message in ask.messages:
            if message["role"] != "system" or message["content"] != system:
                yield aside(f"{message['role']}:") + "\n" + _indented(message["content"])
        system = ask.messages[0]["content"]


def _asks(
    recipe: Loaded, seeds: Path, rows: int, task: str | None, say: Say
) -> Iterator[tuple[Teacher, list[Ask]]]:
    names = tasks_named(recipe, task)
    if recipe.reword:
        rewordings = []
        for template in sorted({recipe.tasks[name].template for name in names}):
            wording = load_template(find("templates", template)).wordings[0]
            if marked := of_wording(wording.text):
                language = wording.language or next(iter(LANGUAGES))
                rewordings.append(reword.ask(template, marked, [], language, recipe.reword.wordings))
        yield reworder_of(recipe), rewordings
    if task is None:
        for name, _, found in _rows_of_steps(recipe, seeds, rows, say):
            asks = list(steps.asks_of(recipe, name, found))
            yield steps.asker_of(recipe, recipe.steps[name]), asks
            unknown = held(teacher_of(recipe), asks, Path())
            yield steps.judge_of(recipe), steps.to_be_judged(recipe, name, found, unknown)
    if recipe.rewrite:
        yield rewriter_of(recipe), list(_rewrites(recipe, seeds, rows, names, say))


def _rows_of_steps(
    recipe: Loaded, seeds: Path, rows: int, say: Say
) -> Iterator[tuple[str, int, list[steps.Row]]]:
    """The name of each step, how many rows its query gives, and some of those that would be asked about."""
    if not recipe.steps:
        return
    with open_seeds(recipe.sources, seeds, recipe.seed, say=say) as opened:
        for name, step in recipe.steps.items():
            try:
                bounded = step.model_copy(update={"rows": min(rows, step.rows)})
                available, _, found = steps.rows_of(opened, name, bounded)
            except QueryError:  # it reads what an earlier step will fill
                say(f"{name}: its rows are known when the tables that it reads are filled")
                continue
            yield name, available, found


def _rewrites(recipe: Loaded, seeds: Path, rows: int, names: Sequence[str], say: Say) -> Iterator[Ask]:
    whole = recipe.model_copy(update={"rewrite": Rewrite(share=1.0)})
    try:
        for name, _, examples, _ in worded(whole, seeds, dict.fromkeys(names, max(rows, ROWS)), say):
            yield from map(rewrite.ask, rows_of(examples, job_of(whole, name))[:rows])
    except UserError as error:
        if not recipe.steps:  # else its tasks stand on tables that are yet to be filled
            raise
        say(f"rewrite: which prompts would be written anew is not known yet: {error}")


def _indented(text: str) -> str:
    """A message on lines of its own; data as JSON that people can read."""
    lines = text.split("\n")
    if len(lines) == 3 and lines[1].startswith("{"):
        lines[1:2] = json.dumps(json.loads(lines[1]), indent=2, ensure_ascii=False).split("\n")
    return "\n".join(f"  {line}" for line in lines)
