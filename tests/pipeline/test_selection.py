"""Selection in the shipped recipes: every row accounted for, nothing on both sides of the split."""

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from datagen.commands.verify import problems
from datagen.paths import names
from datagen.pipeline.build import build
from datagen.recipe.load import load, scaled

ONE_SOURCE = [name for name in names("recipes") if name.startswith("esci_") and "_all" not in name]


HIDING = """\
name: mugs
description: Mugs whose shop only some of the wordings tell.
sources: {esci: {}}
tasks:
  brand:
    type: named_entity_recognition
    track: shopping_concept_understanding
    template: named_entity_recognition/mugs.j2
    rows: 100
    query: |
      with mug as (
        select product_id, row_number() over (order by product_id) as nth from esci.titles where locale = 'us'
      )
      select product_id as key, product_id as shop, 'Acme mug ' || nth // 2 as text, ['Acme'] as entities
      from mug where nth < 80
"""


@pytest.fixture(scope="module", params=ONE_SOURCE)
def shipped_run(shop: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shipped recipe, built in small."""
    runs = tmp_path_factory.mktemp("shipped")
    build(scaled(load(request.param), 300), shop / "seeds", runs, workers=1)
    return runs / str(request.param)


def test_the_accounts_of_every_task_add_up(shipped_run: Path) -> None:
    assert problems(shipped_run) == []
    for file in (shipped_run / "rejects").glob("*.parquet"):
        assert pq.read_table(file)["reason"].null_count == 0


def test_nothing_stands_on_both_sides(shop: Path, shipped_run: Path) -> None:
    """Told from the keys and the seeds alone, not from the groups that the recipe gives.

    A key names its locale (none: us) or two, then the query or the product that its row is about.
    """
    seeds = shop / "seeds/esci/shopping_queries_dataset_"
    judged = f"select distinct product_locale, query_id::varchar, split from '{seeds}examples.parquet'"
    own = {(locale, query): split for locale, query, split in duckdb.execute(judged).fetchall()}
    listed = f"select product_locale, product_id from '{seeds}products.parquet'"
    products = set(duckdb.execute(listed).fetchall())
    sides: dict[tuple[str, str], set[str]] = {}
    for side in ("train", "test"):
        for key in pq.read_table(sorted((shipped_run / "data").glob(f"{side}-*")))["key"].to_pylist():
            parts = key.split("/") if key[2] == "/" else ["us", *key.split("/")]
            locale, subject = parts[0], next(part for part in parts if len(part) > 2 or part.isdecimal())
            assert (locale, subject) in products or own[locale, subject] == side
            sides.setdefault((locale, subject), set()).add(side)
    assert sides
    assert [subject for subject, of in sides.items() if len(of) > 1] == []


def test_rows_that_read_the_same_are_one_row(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wordings = "Brand of {{ text }}?\n---\n{{ shop }} sells {{ text }}. Which brand?\n"
    for place, text in [
        ("recipes/mugs.yaml", HIDING),
        ("templates/named_entity_recognition/mugs.j2", wordings),
    ]:
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text(text, encoding="utf-8")
    task = build(load("mugs"), shop / "seeds", tmp_path / "runs", workers=1)["tasks"]["brand"]
    kept = [prompt[-1]["content"] for prompt in pq.read_table("runs/mugs/data")["prompt"].to_pylist()]
    assert len(kept) == len(set(kept))
    assert 0 < task["rejected"]["duplicate"] < 40 < len(kept)
