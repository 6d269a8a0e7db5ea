"""The evaluation questions that a build is decontaminated of: of files, and of the sources' own tests."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from datagen.dedup.decontaminate import Evaluation
from datagen.errors import UserError
from datagen.recipe.load import NO_EVALUATION
from datagen.recipe.model import Recipe
from datagen.shopbench.evaluation import read_evaluation
from datagen.sources.database import Seeds
from datagen.sources.staging import staged
from datagen.storage.files import read_json

TABLE = "evaluation"
"""The staging table of a source that has the questions of its publisher's test, as `text`."""


def tested(recipe: Recipe) -> list[str]:
    """The sources of the recipe that have such a table."""
    return [source for source in sorted(recipe.sources) if TABLE in staged(source)]


def own_tests(opened: Seeds, source: str) -> list[str]:
    """The questions of a source's own test."""
    texts = opened.connection.execute(
        f"select distinct trim(text) from {source}.{TABLE} where trim(text) <> '' order by all"
    ).fetchall()
    return [text for (text,) in texts]


def read_evaluations(recipe: Recipe) -> list[Evaluation]:
    """The questions of files, by their paths where two have one name. Raises UserError for a bad one."""
    files = [Path(name) for name in recipe.decontaminate]
    for path in files:
        if not path.exists():
            raise UserError(f"{path}: {NO_EVALUATION}")
    alike = Counter(path.name for path in files)
    return [
        one
        for path in files
        for one in read_evaluation(path, path.name if alike[path.name] == 1 else str(path))
    ]


def rows_by_set(repeated: Iterable[str | None]) -> dict[str, int]:
    """How many rows repeat a question of each file or test, by what `contaminated` says of each row."""
    found = Counter(re.split(r":\d+: ", of, maxsplit=1)[0] for of in repeated if of)
    return dict(sorted(found.items()))


def evaluations_of_tests(tests: Mapping[str, Path]) -> list[Evaluation]:
    """The questions of the sources' own tests, from files of what `own_tests` gave."""
    return [
        # no wording of anybody's is around it
        Evaluation(f"{source}'s own test split:{number}", text, text, (), (), ())
        for source, path in tests.items()
        for number, text in enumerate(read_json(path, "Build the run again")["texts"], start=1)
    ]
