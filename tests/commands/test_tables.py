"""The tables that commands print: why a task has fewer rows than wanted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from datagen.commands.tables import _shortfall, built
from datagen.recipe.model import Recipe

TASK: dict[str, Any] = {
    "kept": {"train": 5},
    "wanted": {"train": 5, "test": 1},
    "drawn": {"train": 25, "test": 0},
    "available": {"train": 25, "test": 0},
    "rejected": {"over_rows": 20},
}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (
            {},
            "1 row fewer than wanted: of the 25 rows that these seeds give, 0 belong to test by their groups"
            " or keys",
        ),
        ({"kept": {"train": 5, "test": 1}}, ""),
        (
            {
                **{"kept": {"train": 3, "test": 1}, "drawn": {"train": 20, "test": 5}},
                **{"available": {"train": 90, "test": 5}, "rejected": {"over_rows": 4, "duplicate": 17}},
            },
            "2 rows fewer than wanted: 17 of 25 drawn were left out, and the 4 spare belong to test by their"
            " groups or keys",
        ),
        (
            {"rejected": {}, "wanted": {"train": 25, "test": 2}, "kept": {"train": 25}},
            "2 rows fewer than wanted: its query gives 25 from these seeds",
        ),
        (
            {"rejected": {"answer_leaked": 20}, "available": {"train": 40, "test": 0}},
            "1 row fewer than wanted: 20 of 25 drawn were left out, more than the spare ones make up for. "
            "Its query gives 15 more: ask for more `rows`, or have it give only rows that can be kept",
        ),
    ],
)
def test_why_a_task_has_fewer_rows_names_what_is_lacking(changed: dict[str, Any], why: str) -> None:
    assert _shortfall(TASK | changed) == why


def test_a_build_says_how_many_rows_all_tasks_lack() -> None:
    manifest: dict[str, Any] = {
        "tasks": {name: {**TASK, "taken_over": {}} for name in ("one", "two")},
        "contaminated": {},
        "made_up": False,
    }
    recipe = cast(Recipe, SimpleNamespace(name="shop", tasks=["one", "two"]))
    lines = built(manifest, recipe, Path("runs/shop"), 1.0).splitlines()
    assert "10 of 12 rows: 2 are missing in all" in lines
    manifest["tasks"]["two"]["available"] = {"train": 0, "test": 0}
    assert "preview shop --task two --seeds DIR` counts the rows" in built(manifest, recipe, Path("x"), 1.0)
    manifest["tasks"]["two"]["kept"] = {"train": 7}
    assert not [
        line for line in built(manifest, recipe, Path("runs/shop"), 1.0).splitlines() if "missing" in line
    ]
