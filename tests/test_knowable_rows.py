"""Rows whose answer follows from what their prompt shows, on the sample: nothing else is right as well."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datagen.recipe.load import load
from datagen.sources.database import open_seeds
from datagen.sources.sample import write_sample

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def rows_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Rows]:
    """All rows that the sample gives for a task."""
    seeds = tmp_path_factory.mktemp("sample")
    write_sample(seeds)

    def found(recipe_name: str, task: str) -> Rows:
        recipe = load(recipe_name)
        with open_seeds(recipe.sources, Path(seeds), recipe.seed, tables=recipe.tables) as opened:
            result = opened.of(task).execute(recipe.tasks[task].query)
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    return found


def test_a_description_has_as_many_sentences_as_its_prompt_allows(
    rows_of: Callable[[str, str], Rows],
) -> None:
    rows = rows_of("ecinstruct_products", "description")
    assert rows
    assert not [
        row["key"] for row in rows if not 2 <= len(re.findall(r"[.!?](?= |$)", row["reference"])) <= 4
    ]


def test_a_title_does_not_contradict_a_value_that_its_attribute_may_have(
    rows_of: Callable[[str, str], Rows],
) -> None:
    rows = rows_of("m2_products", "value_of_attribute")
    told = {
        "color": r"\b(?i:black|white|red|blue|pink|green|gray)\b",
        "material": r"\b(?i:wood|wool|cotton|leather|steel)\b",
        "size": r"\d",
    }
    assert {row["kind"] for row in rows} == set(told)
    assert not [(row["kind"], row["title"]) for row in rows if re.search(told[row["kind"]], row["title"])]


def test_keywords_of_a_description_stand_in_it_more_often_than_wrong_ones(
    rows_of: Callable[[str, str], Rows],
) -> None:
    rows = rows_of("m2_languages", "keyphrases")
    assert rows
    for row in rows:
        counts = [
            sum(word in row["text"].lower() for word in words.split(", "))
            for words in [row["correct"], *row["distractors"]]
        ]
        assert counts[0] >= 2 > max(counts[1:]), row
