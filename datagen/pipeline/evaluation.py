"""The evaluation questions that a build is decontaminated of: of files, and of the sources' own tests."""

from pathlib import Path

from datagen.dedup.decontaminate import Evaluation
from datagen.recipe.model import Recipe
from datagen.shopbench.evaluation import parsed, read_evaluation
from datagen.sources import SOURCES
from datagen.sources.database import Seeds


def read_evaluations(recipe: Recipe, opened: Seeds) -> list[Evaluation]:
    """All of them, each once. Raises UserError where a file cannot be read."""
    found = [one for name in recipe.decontaminate for one in read_evaluation(Path(name))]
    for source in sorted(recipe.sources):
        select = getattr(SOURCES[source], "EVALUATION", "")
        if select:
            texts = opened.connection.execute(
                f"select distinct text from ({select}) where trim(text) <> '' order by text"
            ).fetchall()
            found += [parsed(text, f"{source}:{number}") for number, (text,) in enumerate(texts, start=1)]
    return found
