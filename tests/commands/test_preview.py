"""Previews and plans against the build that follows: the same rows, and numbers that come true."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.commands.preview import plan, preview
from datagen.errors import UserError
from datagen.pipeline.sampling import SIDES
from datagen.recipe.load import load, scaled
from datagen.storage.manifest import read_manifest, shard_files


@pytest.fixture(autouse=True)
def _in_the_shop(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)


def kept(run: Path) -> dict[str, str]:
    """The prompts of a run by id."""
    rows = pa.concat_tables([pq.read_table(path, columns=["id", "prompt"]) for path in shard_files(run)])
    return {row["id"]: row["prompt"][-1]["content"] for row in rows.to_pylist()}


def test_previewed_rows_are_rows_of_the_build(shop_run: Path) -> None:
    built = kept(shop_run)
    for task in preview(load("shop"), Path("seeds"), 10):
        shown = {row.id: row.prompt for row in task.rows}
        common = shown.keys() & built.keys()
        assert len(common) >= 3  # others are spare ones there
        assert all(shown[row] == built[row] for row in common)


def test_every_previewed_answer_scores_one() -> None:
    rows = [row for task in preview(load("shop"), Path("seeds"), 10) for row in task.rows]
    assert len(rows) > 30
    assert {row.score for row in rows} == {1.0}


def test_a_preview_tells_what_would_be_left_out(shop_run: Path) -> None:
    found = {task.name: task for task in preview(load("shop"), Path("seeds"), 60)}["brand"]
    rejects = pq.read_table(shop_run / "rejects" / "brand.parquet").to_pylist()
    stored = {(row["key"], row["reason"]) for row in rejects if row["reason"] != "over_rows"}
    assert stored
    assert set(found.rejects) >= stored
    assert found.looked_at == len(rejects) + sum(read_manifest(shop_run)["tasks"]["brand"]["kept"].values())


def test_a_preview_of_one_task_shows_no_other() -> None:
    assert [task.name for task in preview(load("shop"), Path("seeds"), 1, "brand")] == ["brand"]
    with pytest.raises(UserError, match="did you mean `brand`"):
        list(preview(load("shop"), Path("seeds"), 1, "brnad"))


def test_a_preview_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    list(preview(load("shop"), Path("seeds"), 1))
    assert list(tmp_path.iterdir()) == []


def test_a_plan_foretells_the_build(shop_run: Path) -> None:
    manifest = read_manifest(shop_run)
    for task in plan(load("shop"), Path("seeds")):
        counts = manifest["tasks"][task.name]
        assert task.available == counts["available"]
        assert task.wanted == counts["wanted"]
        assert all(task.expected[side] <= task.wanted[side] for side in SIDES)
        built = sum(counts["kept"].values())
        assert abs(task.rows - built) <= 3


def test_a_plan_expects_no_more_than_the_query_gives() -> None:
    for task in plan(scaled(load("shop"), 100_000), Path("seeds")):
        assert all(task.expected[side] <= task.available[side] for side in SIDES)
        assert 0 < task.share <= 1
        assert 20 < task.tokens < 1000
