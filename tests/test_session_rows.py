"""Rows about sessions of Amazon-M2: what is wrong is of another kind than what the session saw."""

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datagen.recipe.load import load
from datagen.sources.database import open_seeds
from datagen.sources.sample.m2 import COLUMNS

Rows = list[dict[str, Any]]

TOGETHER = [
    ("Curtain", "Rod"),
    ("Kettle", "Teapot"),
    ("Glove", "Shears"),
    ("Lamp", "Bulb"),
    ("Rug", "Cushion"),
]
"""What the same sessions look at."""

COLORS = ["black", "white", "green", "purple"]
FEATURES = ["washable", "antique", "painted", "glossy", "sturdy", "slender"]


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """Products of ten kinds in four colors, and sessions that stay with one kind and its partner."""
    rng = random.Random(1)
    folder = tmp_path / "m2"
    folder.mkdir()
    shelves: list[list[str]] = []
    with (folder / "products_train.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for pair in TOGETHER:
            shelves.append([])
            for place in range(24):
                kind, color = pair[place % 2], COLORS[place // 2 % 4]
                code = f"B{len(shelves):02}{place:07}"
                brand = f"Brand{len(shelves)}x{place}"
                title = f"{kind} {place}, {rng.choice(FEATURES)}, {color}"
                rows.writerow([code, "UK", title, 9.99, brand, color, "", "", "", "", ""])
                shelves[-1].append(code)
    with (folder / "sessions_train.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("prev_items", "next_item", "locale"))
        for _ in range(400):
            *before, last = rng.sample(rng.choice(shelves), 6)
            rows.writerow([f"[{' '.join(map(repr, before))}]", last, "UK"])
    return tmp_path


@pytest.fixture
def rows_of(seeds: Path) -> Callable[[str], Rows]:
    """All rows of a task about sessions."""

    def found(task: str) -> Rows:
        recipe = load("m2_sessions")
        with open_seeds(
            {"m2": recipe.sources["m2"]}, seeds, 7, tables={"beside": recipe.tables["beside"]}
        ) as opened:
            result = opened.of(task).execute(recipe.tasks[task].query)
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    return found


def shelf(title: str) -> int:
    return next(place for place, pair in enumerate(TOGETHER) if title.startswith(pair))


@pytest.mark.parametrize(
    ("task", "shown", "right", "wrong"),
    [
        ("next_product", "titles", "correct", "distractors"),
        ("also_bought", "title", "correct", "distractors"),
        ("next_products", "titles", "positives", "negatives"),
        ("also_bought_list", "title", "positives", "negatives"),
        ("earlier_clicks", "title", "positives", "negatives"),
        ("odd_one_out", "titles", "distractors", "correct"),
    ],
)
def test_what_a_session_did_not_see_is_of_another_kind(
    rows_of: Callable[[str], Rows], task: str, shown: str, right: str, wrong: str
) -> None:
    rows = rows_of(task)
    assert len(rows) >= 20
    for row in rows:
        kinds = {name: {shelf(title) for title in _listed(row[name])} for name in (shown, right, wrong)}
        assert kinds[shown] == kinds[right], row
        assert not kinds[wrong] & kinds[right], row


def test_near_misses_share_a_color(rows_of: Callable[[str], Rows]) -> None:
    rows = rows_of("also_bought")
    alike = [
        row for row in rows for title in row["distractors"] if title.split()[-1] == row["title"].split()[-1]
    ]
    assert len(alike) > len(rows)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
