"""Builds in which a stage has nothing to do: no row left out, none kept, none on a side, none near."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.commands.find_row import find_row
from datagen.commands.preview import plan, preview
from datagen.commands.show import show
from datagen.commands.verify import differences, problems
from datagen.errors import UserError
from datagen.pipeline.build import build
from datagen.recipe.load import load, scaled
from datagen.recipe.model import Loaded

PRODUCTS = "seeds/esci/shopping_queries_dataset_products.parquet"

TASK = """
  {name}:
    type: named_entity_recognition
    track: shopping_concept_understanding
    template: named_entity_recognition/brand.j2
    rows: 100
    language: en
    query: |
      with product as (select min(product_locale) as locale, product_id, {groups} as groups, {split} as split
        from esci.products group by product_id order by product_id limit {limit})
      select product_id || '/{name}' as key, groups, split,
        'Acme mug {name} ' || product_id as text, {entities} as entities
      from product"""


@pytest.fixture
def here(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of one's own, with templates and seeds."""
    folder = shutil.copytree(shop, tmp_path / "work", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.chdir(folder)
    return Path(folder)


def recipe(near: str = "null", **tasks: dict[str, Any]) -> Loaded:
    """A recipe of brands to find, of which every row is kept where a task says nothing else."""
    usual = {"groups": "null", "split": "null", "limit": 60, "entities": "['Acme']"}
    text = "".join(TASK.format(name=name, **usual | changed) for name, changed in tasks.items())
    head = f"name: mugs\ndescription: Mugs.\nsources: {{esci: {{}}}}\ndedup: {{near: {near}}}\n"
    Path("recipes/mugs.yaml").write_text(f"{head}split: {{test: 0.1}}\ntasks:{text}\n", encoding="utf-8")
    return load("mugs")


def built(wanted: Loaded) -> dict[str, Any]:
    return build(wanted, Path("seeds"), Path("runs"), workers=1)


def checked(run: Path) -> None:
    """The run is as its manifest says, is built again to the same bytes, and opens."""
    from datasets import load_dataset

    assert problems(run) == []
    assert differences(run, Path("seeds"), workers=1) == []
    for folder in (run, run / "rejects"):
        if folder.is_dir():
            rows = load_dataset(str(folder), cache_dir=str(run.parent / "cache"))
            assert all(len(split) for split in rows.values())


def test_a_task_without_rejects_has_no_file_of_them(here: Path) -> None:
    manifest = built(recipe(mugs={}, cups={"entities": "[if(draw(product_id) % 2 = 0, 'Acme', null)]"}))
    assert [path.name for path in Path("runs/mugs/rejects").iterdir()] == ["cups.parquet"]
    assert manifest["tasks"]["mugs"]["rejected"] == {}
    assert manifest["tasks"]["cups"]["rejected"]
    checked(Path("runs/mugs"))


def test_a_run_without_rejects_has_no_folder_of_them(here: Path) -> None:
    built(recipe(mugs={}))
    run = Path("runs/mugs")
    assert not (run / "rejects").exists()
    checked(run)
    key = pq.read_table(run / "data/train-00000-of-00001.parquet")["key"][0].as_py()
    assert find_row(run, load("mugs"), key).row["key"] == key
    assert "kept" in show(run, key, None)
    with pytest.raises(UserError, match="no row has the id or key `nothing`"):
        find_row(run, load("mugs"), "nothing")


def test_rejects_of_an_older_build_do_not_stay(here: Path) -> None:
    built(recipe(mugs={"entities": "[if(draw(product_id) % 2 = 0, 'Acme', null)]"}))
    assert Path("runs/mugs/rejects").exists()
    built(recipe(mugs={}))
    assert not Path("runs/mugs/rejects").exists()


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({"limit": 0}, 0),
        ({"entities": "[null]"}, 0),
        ({"entities": "null"}, 0),
        ({"entities": "['Nobody']"}, 0),
        ({"split": "'train'"}, 60),
        ({"split": "'test'"}, 60),
        ({"groups": "[null]"}, 60),
        ({"groups": "['a']"}, 60),
        ({"limit": 1}, 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("near", ["0.85", "null"])
def test_a_task_may_be_left_with_nothing(here: Path, near: str, changed: dict[str, Any], kept: int) -> None:
    wanted = recipe(near, mugs={}, cups=changed)
    tasks = built(wanted)["tasks"]
    assert sum(tasks["cups"]["kept"].values()) == kept
    assert sum(tasks["mugs"]["kept"].values()) == 60
    assert problems(Path("runs/mugs")) == []
    assert [found.name for found in preview(wanted, Path("seeds"), 2)] == ["mugs", "cups"]
    assert len(list(plan(wanted, Path("seeds")))) == 2


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"limit": 0}, r"no row was kept of 0 drawn \(the queries give no rows\)"),
        ({"entities": "[' ']"}, r"no row was kept of 60 drawn \(empty_entity 60\)"),
        ({"entities": "null"}, r"no row was kept of 60 drawn \(missing_value 60\)"),
    ],
)
def test_a_build_that_keeps_nothing_says_why(here: Path, changed: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=why):
        built(recipe(mugs=changed))


@pytest.mark.parametrize("side", ["train", "test"])
def test_a_run_of_one_side_is_whole(here: Path, side: str) -> None:
    built(recipe(mugs={"split": f"'{side}'"}))
    assert {path.name.split("-")[0] for path in Path("runs/mugs/data").iterdir()} == {side}
    checked(Path("runs/mugs"))


@pytest.mark.parametrize("name", ["esci_mcq", "esci_small"])
@pytest.mark.parametrize("title", ["Mug", None, ""])
def test_titles_that_are_all_alike_leave_rows_out_with_a_reason(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, title: str | None
) -> None:
    table = pq.read_table(PRODUCTS)
    titles = pa.array([title] * len(table), pa.string())
    place = table.schema.get_field_index("product_title")
    pq.write_table(table.set_column(place, "product_title", titles), PRODUCTS)
    monkeypatch.chdir(here.parent)  # the shipped templates
    try:
        build(scaled(load(name), 500), here / "seeds", Path("runs"), workers=1)
    except UserError as error:
        assert "no row was kept of" in str(error)  # noqa: PT017
    else:
        assert problems(Path("runs") / name) == []
