"""What `datagen recipes` tells of the recipes at hand: all in short, or the tasks of one."""

from collections import Counter

from datagen.console.text import aside, heading, table
from datagen.paths import names
from datagen.recipe.load import RecipeError, load
from datagen.recipe.model import Loaded
from datagen.recipe.narrow import sources_by_task


def overview() -> str:
    """A recipe's name, size and sources in one line, its own sentence below."""
    parts = []
    for name in names("recipes"):
        try:
            recipe = load(name)
        except RecipeError:
            parts.append(f"{heading(name)}  does not load: datagen check {name}")
            continue
        parts.append(f"{heading(name)}  {_size(recipe)}\n  {aside(recipe.description)}")
    return "\n".join([*parts, "", "The tasks of one: datagen recipes NAME. Its rows: datagen preview NAME"])


def details(name: str) -> str:
    """The tasks of one recipe. Raises RecipeError where it does not load, UserError where there is none."""
    recipe = load(name)
    sources = sources_by_task(recipe)
    rows = [
        [task, *_words(of.type.value, of.track.value), of.metric, of.rows, " ".join(sources[task])]
        for task, of in recipe.tasks.items()
    ]
    head = f"{heading(name)}  {_size(recipe)}\n  {aside(recipe.description)}"
    return f"{head}\n\n{table(['task', 'type', 'track', 'metric', 'rows', 'sources'], rows)}"


def _size(recipe: Loaded) -> str:
    rows = sum(task.rows for task in recipe.tasks.values())
    types = Counter(task.type.value for task in recipe.tasks.values())
    of_types = ", ".join(_words(*types))
    tasks = f"{len(recipe.tasks)} task{'s' if len(recipe.tasks) > 1 else ''}"
    return f"{tasks} ({of_types}), {rows:,} rows, from {' '.join(recipe.sources)}"


def _words(*names: str) -> list[str]:
    return [name.replace("_", " ") for name in names]
