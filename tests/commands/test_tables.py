"""The tables that commands print: why a task has fewer rows than wanted."""

from typing import Any

import pytest

from datagen.commands.tables import _shortfall

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
            "1 row fewer than wanted: of the 25 rows that these seeds give, 0 belong to test by their groups",
        ),
        ({"kept": {"train": 5, "test": 1}}, ""),
        (
            {
                **{"kept": {"train": 3, "test": 1}, "drawn": {"train": 20, "test": 5}},
                **{"available": {"train": 90, "test": 5}, "rejected": {"over_rows": 4, "duplicate": 17}},
            },
            "2 rows fewer than wanted: 17 of 25 drawn were left out, and the 4 spare belong to test by their"
            " groups",
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
