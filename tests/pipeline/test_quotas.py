"""Quotas of a mixture: met after all checks, by neighbours of what runs dry; and no key used too often."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen import dedup
from datagen.commands import tables
from datagen.commands.verify import problems
from datagen.pipeline import selection
from datagen.pipeline.build import build
from datagen.pipeline.quotas import dealt
from datagen.pipeline.sampling import with_spare
from datagen.recipe.load import load
from tests.processes import contents

RECIPE = """\
name: {name}
description: Titles that are asked for.
sources: {{esci: {{}}}}
tasks:
  {task}:
    type: {type}
    track: user_behavior_alignment
    template: {type}/{task}.j2
    rows: {rows}
    query: |
      select '{name}/' || product_locale || product_id as key, ['product:' || product_id] as groups,
        product_title as {slot}, {answer}
      from esci.products where product_locale = 'us' and {where}
"""
TASKS: dict[str, dict[str, Any]] = {
    "few": {"task": "one", "type": "multiple_choice", "where": "hash(product_id) % 40 = 0"},
    "many": {"task": "two", "type": "multiple_choice", "where": "true"},
    "far": {"task": "three", "type": "generation", "where": "true"},
}
ANSWERS = {
    "multiple_choice": {"slot": "title", "answer": "product_id as correct, ['x', 'y', 'z'] as distractors"},
    "generation": {"slot": "title", "answer": "product_id as reference"},
}


@pytest.fixture(autouse=True)
def here(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the seeds of the shop, and three recipes: of few rows, of many alike, and of others."""
    monkeypatch.chdir(tmp_path)
    for name, task in TASKS.items():
        write(name, 100, **task)
    for folder in {task["type"] for task in TASKS.values()}:
        (tmp_path / "templates" / folder).mkdir(parents=True)
    for task in TASKS.values():
        listing = "\n{{ listing }}" if task["type"] == "multiple_choice" else ""
        text = f"{task['task']}: {{{{ title }}}}{listing}\nAnswer:"
        (tmp_path / "templates" / task["type"] / f"{task['task']}.j2").write_text(text)
    (tmp_path / "seeds").symlink_to(shop / "seeds")
    return tmp_path


def write(name: str, rows: int, **keys: Any) -> None:
    text = RECIPE.format(name=name, rows=rows, **keys, **ANSWERS[keys["type"]])
    Path("recipes").mkdir(exist_ok=True)
    Path(f"recipes/{name}.yaml").write_text(text)


def mixed(runs: str = "runs", workers: int = 1, **keys: Any) -> dict[str, Any]:
    given = {
        "include": "[few, many, far]",
        "rows": 600,
        "filters": "{language: false}",
        "dedup": "{near: null}",
    }
    lines = [
        f"{key}: {value}" for key, value in {"name": "blend", "description": "All.", **given, **keys}.items()
    ]
    Path("recipes/blend.yaml").write_text("\n".join(lines) + "\n")
    return build(load("blend"), Path("seeds"), Path(runs), workers=workers)


def kept(manifest: dict[str, Any]) -> dict[str, int]:
    return {name.partition(".")[0]: sum(task["kept"].values()) for name, task in manifest["tasks"].items()}


def test_the_whole_is_met_and_told_task_by_task() -> None:
    manifest = mixed(weights="{multiple_choice: 2, generation: 1}")
    rows = kept(manifest)
    assert rows["far"] == 200
    assert rows["few"] < 60
    assert rows["few"] + rows["many"] == 400  # weighed by the same key
    many = manifest["tasks"]["many.two"]
    assert sum(many["wanted"].values()) + sum(many["taken_over"].values()) == rows["many"]
    assert sum(manifest["tasks"]["far.three"]["taken_over"].values()) == 0
    assert problems(Path("runs/blend")) == []
    card = Path("runs/blend/README.md").read_text()
    assert f"few.one has {rows['few']} of 200 rows" in card
    assert f"many.two {rows['many'] - 200} more" in card
    assert f"many.two {rows['many'] - 200}" in tables.built(manifest, load("blend"), Path("runs/blend"), 1.0)


def test_others_help_where_no_neighbour_can() -> None:
    rows = kept(mixed(include="[few, far]", rows=300, weights="{few: 1, far: 1}"))
    assert rows["few"] < 60
    assert sum(rows.values()) == 300


def test_a_recipe_of_its_own_takes_nothing_over() -> None:
    write("few", 200, **TASKS["few"])
    manifest = build(load("few"), Path("seeds"), Path("runs"), workers=1)
    assert sum(manifest["tasks"]["one"]["taken_over"].values()) == 0


def with_duplicates() -> None:
    """Make the recipe `many` give each of some products twenty times."""
    path = Path("recipes/many.yaml")
    head, tasks = path.read_text().split("tasks:")
    twenty = "select p.*, i from esci.products p, range(20) as of(i) where hash(product_id) % 4 = 0"
    tasks = tasks.replace("esci.products", "twenty").replace("'many/'", "i")
    path.write_text(f"{head}tables: {{twenty: '{twenty}'}}\ntasks:{tasks}")


def test_what_duplicates_take_away_is_drawn_again() -> None:
    with_duplicates()
    manifest = mixed(include="[many, far]", rows=400)
    assert manifest["tasks"]["many.two"]["rejected"]["duplicate"] > 100
    assert manifest["tasks"]["many.two"]["kept"]["train"] == 180  # its test side has too few products
    assert sum(kept(manifest).values()) == 400


def test_a_recipe_of_its_own_draws_again_what_was_rejected() -> None:
    write("many", 200, **TASKS["many"])
    with_duplicates()
    task = build(load("many"), Path("seeds"), Path("runs"), workers=1)["tasks"]["two"]
    assert task["rejected"]["duplicate"] > sum(map(with_spare, task["wanted"].values())) - 200
    assert task["kept"]["train"] == task["wanted"]["train"] == 180  # its test side has too few products


def test_the_same_row_in_two_recipes_counts_once() -> None:
    write("copy", 100, **TASKS["far"])
    manifest = mixed(include="[far, copy]", rows=400)
    rows = pa.concat_tables(map(pq.read_table, Path("runs/blend/data").glob("*.parquet")))
    products = [key.partition("/")[2] for key in rows["key"].to_pylist()]
    assert len(products) == len(set(products)) == 400
    assert sum(task["rejected"]["duplicate"] for task in manifest["tasks"].values()) > 20


@pytest.mark.parametrize("most", [1, 2])
def test_no_key_is_used_more_often_than_it_may(most: int) -> None:
    manifest = mixed(include="[many, far]", rows=400, max_per_key=most)
    rows = pa.concat_tables(map(pq.read_table, Path("runs/blend/data").glob("*.parquet")))
    used = Counter(key.partition("/")[2] for key in rows["key"].to_pylist())
    assert max(used.values()) == most
    assert len(rows) == 400
    assert (manifest["tasks"]["many.two"]["rejected"].get("key_used_up", 0) > 0) == (most == 1)


def test_workers_change_no_byte() -> None:
    mixed("one", workers=1, max_per_key=1)
    mixed("three", workers=3, max_per_key=1)
    assert contents(Path("one/blend")) == contents(Path("three/blend"))


Cells = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 50), st.integers(0, 80)), min_size=1
)


@given(cells=Cells, depth=st.integers(1, 2))
def test_shares_are_dealt_as_far_as_there_are_rows(cells: dict[str, tuple[int, int]], depth: int) -> None:
    wanted = {task: rows for task, (rows, _) in cells.items()}
    room = {task: rows for task, (_, rows) in cells.items()}
    groups = {task: ["near" if task < "d" else "far", task][:depth] for task in cells}
    given = dealt(wanted, room, groups)
    assert all(given[task] <= room[task] for task in cells)
    assert all(given[task] >= min(wanted[task], room[task]) for task in cells)
    assert sum(given.values()) == min(sum(wanted.values()), sum(max(room[task], 0) for task in cells))
    near = [task for task in cells if task < "d"]
    if sum(room[task] for task in near) >= sum(wanted[task] for task in near):
        assert sum(given[task] for task in near) >= sum(wanted[task] for task in near)


@given(
    groups=st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=2), max_size=30),
    most=st.integers(1, 3),
)
def test_keys_are_counted_in_the_order_of_ids(groups: list[list[str]], most: int) -> None:
    size = len(groups)
    ids = [f"{(7 * number) % 31:02}" for number in range(size)]
    examples = pa.table(
        {
            "id": ids,
            "task": ["t"] * size,
            "side": ["train"] * size,
            "groups": pa.array(groups, pa.list_(pa.string())),
        }
    )
    examples = examples.cast(
        pa.schema(
            [(name, pa.string()) for name in ("id", "task", "side")] + [("groups", pa.list_(pa.string()))]
        )
    )
    nothing = pa.table([pa.nulls(size, pa.string())] * 2, schema=dedup.RESULT)
    reasons = selection.decide(examples, nothing, most)["reason"].to_pylist()
    used: Counter[str] = Counter()
    for number in sorted(range(size), key=ids.__getitem__):
        fits = all(used[name] < most for name in groups[number])
        assert (reasons[number] is None) == fits
        used.update(set(groups[number]) if fits else ())
