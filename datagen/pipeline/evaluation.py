"""The evaluation questions that a build is decontaminated of: of files, and of the sources' own tests."""

from pathlib import Path

from datagen.dedup.decontaminate import Evaluation
from datagen.recipe.model import Recipe
from datagen.shopbench.evaluation import read_evaluation
from datagen.sources.database import Seeds
from datagen.sources.staging import staged

TABLE = "evaluation"
"""The staging table of a source that has the questions of its publisher's test, as `text`."""


def read_evaluations(recipe: Recipe, opened: Seeds) -> list[Evaluation]:
    """All of them. Raises UserError where a file cannot be read."""
    found = [one for name in recipe.decontaminate for one in read_evaluation(Path(name))]
    for source in sorted(recipe.sources):
        if TABLE in staged(source):
            texts = opened.connection.execute(
                f"select distinct trim(text) from {source}.{TABLE} where trim(text) <> '' order by all"
            ).fetchall()
            found += [
                Evaluation(f"{source}:{number}", text, text, (), (), ())  # no wording of anybody's around it
                for number, (text,) in enumerate(texts, start=1)
            ]
    return found
