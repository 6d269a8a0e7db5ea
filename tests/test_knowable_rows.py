"""Rows whose answer follows from what their prompt shows, on the sample: nothing else is right as well."""

import csv
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datagen.recipe.load import load
from datagen.sources.database import open_seeds
from datagen.sources.sample import write_sample
from datagen.sources.sample.catalogue import catalogue

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


def test_a_description_that_fits_the_title_as_well_is_not_among_the_wrong_ones(
    rows_of: Callable[[str, str], Rows],
) -> None:
    rows = rows_of("m2_products", "description_for_title")
    assert rows
    for row in rows:
        told = [word for word in row["own"] if word in row["correct"].lower()]
        assert told
        for text in row["distractors"]:
            assert [word for word in told if word not in text.lower()], row


def test_a_value_that_the_title_does_not_tell_is_the_product_s_own(
    rows_of: Callable[[str, str], Rows], tmp_path: Path
) -> None:
    write_sample(tmp_path)
    with (tmp_path / "m2" / "products_train.csv").open(encoding="utf-8", newline="") as file:
        told = {row["id"]: row for row in csv.DictReader(file) if row["locale"] == "UK"}
    rows = rows_of("m2_products", "value_of_attribute")
    assert rows
    assert not [row for row in rows if told[row["key"].split("/")[0]][row["kind"]] != row["correct"]]


def test_a_wrong_bullet_point_has_one_word_of_the_title_at_most(rows_of: Callable[[str, str], Rows]) -> None:
    rows = rows_of("reviews_products", "features_of_product")
    assert rows
    for row in rows:
        words = set(re.findall(r"[^\W\d_]{4,}", row["title"].lower()))
        for line in row["negatives"]:
            assert len([word for word in words if word in line.lower()]) < 2, (row["title"], line)


def test_a_description_tells_nothing_of_the_shop(rows_of: Callable[[str, str], Rows]) -> None:
    rows = rows_of("ecinstruct_products", "description")
    assert rows
    assert not [row for row in rows if re.search(r"customer service|write to us|gift", row["reference"])]


def test_the_name_of_an_attribute_is_not_asked_for_a_measure_nor_one_name_most_often(
    rows_of: Callable[[str, str], Rows],
) -> None:
    rows = rows_of("reviews_attributes", "attribute_name")
    counts = Counter(row["reference"] for row in rows)
    assert not [row["words"] for row in rows if row["words"][0].isdigit()]
    assert max(counts.values()) <= 5 * len(rows) / len(counts)


def test_a_material_is_not_wrong_where_another_kind_of_material_is_right(
    rows_of: Callable[[str, str], Rows],
) -> None:
    rows = rows_of("reviews_attributes", "attribute_of_sentence")
    material = re.compile("Material|Metal|Fabric")
    asked = [row for row in rows if material.search(row["correct"])]
    assert asked
    assert not [row for row in asked for other in row["distractors"] if material.search(other)]


def test_the_number_of_a_rating_is_that_of_the_stars(rows_of: Callable[[str, str], Rows]) -> None:
    rows = rows_of("reviews_sentiment", "rating")
    assert {row["answer"] for row in rows} == {1, 2, 3, 4, 5}
    assert not [row for row in rows if not row["options"][row["answer"]].startswith(f"{row['answer']} star")]


def test_a_description_of_the_made_up_shop_invents_no_name(rows_of: Callable[[str, str], Rows]) -> None:
    names = {name for brands in catalogue().brands.values() for brand in brands for name in brand.series}
    rows = rows_of("reviews_products", "description_of_item")
    assert rows
    for row in rows:
        assert not names & set(re.findall(r"\w+", row["reference"])), row
