"""What a teacher would be asked in each step of a recipe, word for word; nothing is asked."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from datagen.commands.preview import worded
from datagen.console.progress import Say
from datagen.console.text import aside, heading
from datagen.errors import QueryError, UserError
from datagen.paths import find
from datagen.pipeline import steps
from datagen.pipeline.render import job_of
from datagen.pipeline.rewriting import rewriter_of, rows_of, teacher_of
from datagen.prompts.template import load_template
from datagen.recipe.model import Loaded, Rewrite
from datagen.recipe.narrow import tasks_named
from datagen.schema import LANGUAGES
from datagen.sources.database import open_seeds
from datagen.teacher import reword, rewrite
from datagen.teacher.ask import Ask
from datagen.teacher.estimate import Estimate, estimates
from datagen.teacher.marks import of_wording

ROWS = 60
"""Rows of a task that are drawn for a few to be shown."""


def asks_of(
    recipe: Loaded, seeds: Path, rows: int, task: str | None = None, *, say: Say = lambda text: None
) -> list[Ask]:
    """The asks of every step, `rows` of each.

    Raises UserError where the recipe asks nothing of a teacher, or has no such task.
    """
    asks = list(_asks(recipe, seeds, rows, task, say))
    if not asks:
        raise UserError(f"recipe {recipe.name} asks nothing of a teacher: it has none of its keys")
    return asks


def planned(recipe: Loaded, seeds: Path, ledger: Path, *, say: Say = lambda text: None) -> list[Estimate]:
    """What the asks of a whole build will cost, by step, as some of each tell."""
    of_steps: dict[str, list[Ask]] = {}
    for ask in _asks(recipe.model_copy(update={"reword": None}), seeds, ROWS, None, say):
        of_steps.setdefault(ask.step, []).append(ask)
    share = recipe.rewrite.share if recipe.rewrite else 0.0
    wanted = {f"rewrite.{name}": task.rows * share for name, task in recipe.tasks.items()}
    for name, step in recipe.steps.items():
        wanted[steps.label_of(name)] = float(step.rows * steps.asks_a_row(step))
    found = []
    for name, asks in of_steps.items():
        teacher = rewriter_of(recipe) if name.startswith("rewrite.") else teacher_of(recipe)
        found += estimates(teacher, asks, ledger, wanted[name] / len(asks))
    return found


def told(asks: Sequence[Ask]) -> Iterator[str]:
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


def _asks(recipe: Loaded, seeds: Path, rows: int, task: str | None, say: Say) -> Iterator[Ask]:
    names = tasks_named(recipe, task)
    if recipe.reword:
        for template in sorted({recipe.tasks[name].template for name in names}):
            wording = load_template(find("templates", template)).wordings[0]
            if marked := of_wording(wording.text):
                language = wording.language or next(iter(LANGUAGES))
                yield reword.ask(template, marked, [], language, recipe.reword.wordings)
    if recipe.steps and task is None:
        with open_seeds(recipe.sources, seeds, recipe.seed, say=say) as opened:
            for name, step in recipe.steps.items():
                try:
                    _, _, found = steps.rows_of(opened, name, step.model_copy(update={"rows": rows}))
                except QueryError:  # it reads what an earlier step will fill
                    say(f"{name}: its rows are known when the tables that it reads are filled")
                    continue
                yield from steps.asks_of(recipe, name, found)
    if recipe.rewrite:
        whole = recipe.model_copy(update={"rewrite": Rewrite(share=1.0)})
        for name, _, examples, _ in worded(whole, seeds, dict.fromkeys(names, max(rows, ROWS)), say):
            for row in rows_of(examples, job_of(whole, name))[:rows]:
                if ask := rewrite.ask(row):
                    yield ask


def _indented(text: str) -> str:
    """A message on lines of its own; data as JSON that people can read."""
    lines = text.split("\n")
    if len(lines) == 3 and lines[1].startswith("{"):
        lines[1:2] = json.dumps(json.loads(lines[1]), indent=2, ensure_ascii=False).split("\n")
    return "\n".join(f"  {line}" for line in lines)
