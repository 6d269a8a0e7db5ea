"""The history of rows, kept and rejected, and the notice where seeds have changed."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from datagen.commands.show import show as styled
from datagen.errors import UserError
from datagen.pipeline.render import row_id
from datagen.reject_reasons import STAGES, explain
from datagen.schema import TaskType
from datagen.storage.manifest import shard_files

SEEDS = Path("seeds")


@pytest.fixture
def here(shop: Path, shop_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run, seen from the folder that its recipe and templates are in."""
    monkeypatch.chdir(shop)
    return shop_run


def show(run: Path, name: str, seeds: Path | None, task: str | None = None) -> str:
    return click.unstyle(styled(run, name, seeds, task))


def rows(run: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in shard_files(run)])


def rejects(run: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(run / "rejects").to_pylist()
    return found


@pytest.mark.parametrize("kind", list(TaskType))
def test_a_kept_row_tells_its_way_and_comes_out_of_its_seeds_again(here: Path, kind: TaskType) -> None:
    table = rows(here)
    row = table.filter(pc.equal(table["task_type"], kind.value)).to_pylist()[0]
    text = show(here, row["id"], SEEDS)
    assert text.startswith(row["id"])
    assert "Worded again from its seeds: the same prompt." in text
    assert f"templates/{row['template']} line " in text
    assert row["target"] in text
    assert "score     1.0" in text
    assert "  split       passed  looks for crosses_split\n" in text
    for message in (*row["prompt"], *row["completion"]):
        assert all(line in text for line in message["content"].splitlines())


def test_every_reason_in_the_run_is_explained_by_a_row(here: Path) -> None:
    for reason, row in {row["reason"]: row for row in rejects(here)}.items():
        text = show(here, row["key"], SEEDS, row["task"])
        assert f"left out  {reason}: {explain(reason)}" in text
        assert "\nSeed row\n  key" in text
        assert text.count("not reached") < len(STAGES)


def test_a_row_that_clashed_leads_to_the_one_it_clashed_with(here: Path) -> None:
    clashed = [row for row in rejects(here) if row["detail"]]
    assert clashed
    for row in clashed[:3]:
        assert f"\n  caused by {row['detail']} (" in show(here, row["key"], SEEDS, row["task"])
        text = show(here, row["detail"], SEEDS)
        assert f"task      {row['task']} " in text


def test_a_row_is_found_by_a_prefix_of_its_id(here: Path) -> None:
    ids = sorted(rows(here)["id"].to_pylist())
    assert show(here, ids[0][:10], SEEDS).startswith(ids[0])


def test_a_row_that_was_left_out_has_an_id_too(here: Path) -> None:
    row = next(row for row in rejects(here) if row["reason"] == "over_rows" and row["task"] == "order_of_fit")
    assert f"key {row['key']} in {here}\n" in show(here, row_id(7, row["task"], 0, row["key"]), SEEDS)


def test_a_name_of_several_rows_asks_for_more(here: Path) -> None:
    table = rows(here)
    tasks = ["best_match", "order_of_fit"]
    of_task = [set(table.filter(pc.equal(table["task"], task))["key"].to_pylist()) for task in tasks]
    key = min(set.intersection(*of_task))
    with pytest.raises(UserError, match=r"is the key of [23] rows: .*Add --task"):
        show(here, key, SEEDS)
    assert "order_of_fit (ranking" in show(here, key, SEEDS, "order_of_fit")


def test_a_beginning_of_several_ids_tells_a_few_of_them(here: Path) -> None:
    ids = rows(here)["id"].to_pylist()
    [(begin, count)] = Counter(name[0] for name in ids if name[0].isalpha()).most_common(
        1
    )  # keys are numbers
    with pytest.raises(UserError, match=rf"`{begin}` begins the ids of {count} rows: .*Say more"):
        show(here, begin, SEEDS)


def test_a_beginning_of_keys_tells_a_few_of_them(here: Path) -> None:
    keys = sorted(row["key"] for row in rejects(here))
    with pytest.raises(UserError, match=r"begins .*\. Give a key as a whole"):
        show(here, keys[-1][:-1], SEEDS)


def test_an_unknown_name_brings_the_nearest(here: Path) -> None:
    row = rows(here)["id"][0].as_py()
    with pytest.raises(UserError, match=f"did you mean `{row}`"):
        show(here, row[:-1] + "x", SEEDS)


def test_a_name_that_is_like_none_brings_none(here: Path) -> None:
    with pytest.raises(UserError, match="it holds none like it"):
        show(here, "fff1", SEEDS)


def test_a_task_that_is_not_there_brings_the_nearest(here: Path) -> None:
    key = rows(here)["key"][0].as_py()
    with pytest.raises(UserError, match="has no task `best_mach`: did you mean `best_match`"):
        show(here, key, SEEDS, "best_mach")


def test_other_seeds_are_not_taken_for_the_runs_own(here: Path, tmp_path: Path) -> None:
    shutil.copytree(SEEDS, tmp_path / "seeds")
    with (tmp_path / "seeds" / "esci" / "shopping_queries_dataset_sources.csv").open("a") as file:
        file.write("1,other\n")
    text = show(here, rows(here)["id"][0].as_py(), tmp_path / "seeds")
    assert "the seeds of esci are others (sources)" in text
    assert "Worded again" not in text


@pytest.mark.parametrize("seeds", [None, Path("nowhere")])
def test_without_its_seeds_a_row_still_tells_the_rest(here: Path, seeds: Path | None) -> None:
    row = rows(here).to_pylist()[0]
    text = show(here, row["id"], seeds)
    assert "Its seeds " in text
    assert row["prompt"][-1]["content"].splitlines()[0] in text


def test_a_template_that_has_changed_is_named(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(here)
    row = table.filter(pc.equal(table["task"], "order_of_fit")).to_pylist()[0]
    shutil.copytree("templates", tmp_path / "templates")
    seeds = SEEDS.resolve()
    monkeypatch.chdir(tmp_path)
    Path("templates/ranking/order_of_fit.j2").write_text("Order {{ query }}:\n{{ listing }}\n")
    text = show(here, row["id"], seeds)
    assert "Since the build, templates/ranking/order_of_fit.j2 has changed." in text
    assert "another prompt!" in text
