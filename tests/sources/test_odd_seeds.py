"""Seeds that are not quite as their publisher has them: read as they are meant, and told in a line each."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from datagen.commands.verify import differences, problems
from datagen.errors import UserError
from datagen.pipeline.build import build
from datagen.pipeline.lockfile import changes, read_lock
from datagen.pipeline.sampling import draw
from datagen.recipe.load import load
from datagen.sources import SOURCES
from datagen.sources.database import Seeds, open_seeds

PRODUCTS = "shopping_queries_dataset_products.parquet"
EXAMPLES = "shopping_queries_dataset_examples.parquet"
MARKS = "shopping_queries_dataset_sources.csv"


@pytest.fixture
def seeds(shop: Path, tmp_path: Path) -> Path:
    """A folder of one's own with seeds as they should be."""
    return Path(shutil.copytree(shop / "seeds", tmp_path / "seeds"))


def rows(seeds: Path, table: str = "examples") -> tuple[list[tuple[Any, ...]], list[str]]:
    """The rows of a seed table, sorted, and what was told when it was opened."""
    said: list[str] = []
    with open_seeds({"esci": SOURCES["esci"].Options()}, seeds, 7, say=said.append) as opened:
        return opened.connection.execute(f"select * from esci.{table} order by all").fetchall(), said


def opened_hashes(seeds: Path) -> dict[str, dict[str, str]]:
    with open_seeds({"esci": SOURCES["esci"].Options()}, seeds, 7) as opened:
        return Seeds.hashes(opened)


def change(file: Path, column: str, new: Any) -> None:
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, new(table[column])), file)


def with_rows(file: Path, more: list[dict[str, Any]]) -> None:
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table, pa.Table.from_pylist(more, schema=table.schema)]), file)


def test_seeds_as_they_should_be_are_read_without_a_word(seeds: Path) -> None:
    for table, file in (("examples", EXAMPLES), ("products", PRODUCTS)):
        found, said = rows(seeds, table)
        assert len(found) == pq.read_metadata(seeds / "esci" / file).num_rows
        assert said == []


@pytest.mark.parametrize(
    "name",
    [
        "split=test",
        "product_locale=jp",
        "a[1]",
        "what?*",
        "{x,y}",
        "it's",
        "a b",
        "a\\b",
        "query_id=7/esci_label=E",
    ],
)
def test_the_names_of_folders_change_nothing(seeds: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    (tmp_path / "a1").mkdir()  # what `a[1]` is a pattern of
    shutil.copytree(seeds, folder)
    for table in ("examples", "products", "sources"):
        assert rows(folder, table) == rows(seeds, table)


def test_a_run_in_a_folder_with_such_a_name_is_built_and_verified(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "split=test" / "runs[1]"
    monkeypatch.chdir(shop)
    manifest = build(load("shop"), Path("seeds"), folder, workers=1)
    assert {side for task in manifest["tasks"].values() for side in task["kept"]} == {"train", "test"}
    assert problems(folder / "shop") == []
    assert differences(folder / "shop", Path("seeds"), workers=1) == []


@pytest.mark.parametrize(
    "text",
    [
        "source,query_id\nother,7\nnegations,8\n",
        ",query_id,source\n0,7,other\n1,8,negations\n",
        "query_id, source, source\n7,other,x\n8,negations,y\n",
        '\ufeff"query_id","source","note"\n7,other,"a\nb"\n8,negations,\n',
        "query_id,source\r\n7,other\r\n8,negations\r\n",
        "query_id,source\n7,other\n8,negations\n7,other\n",
    ],
    ids=["swapped", "index", "blanks", "quoted", "Windows", "repeated"],
)
def test_columns_of_a_csv_file_are_found_by_their_names(seeds: Path, text: str) -> None:
    (seeds / "esci" / MARKS).write_text("query_id,source\n7,other\n8,negations\n", encoding="utf-8")
    expected, _ = rows(seeds, "sources")
    (seeds / "esci" / MARKS).write_text(text, encoding="utf-8")
    assert rows(seeds, "sources")[0] == expected
    assert (7, "other") in expected


def test_labels_locales_and_splits_in_other_spellings_are_read(seeds: Path) -> None:
    file, expected = seeds / "esci" / EXAMPLES, rows(seeds)
    long = {"E": "Exact", "S": " substitute", "C": "COMPLEMENT", "I": "i"}
    change(file, "esci_label", lambda labels: pa.array([long[label] for label in labels.to_pylist()]))
    change(file, "product_locale", pc.utf8_upper)
    change(file, "split", pc.utf8_capitalize)
    change(seeds / "esci" / PRODUCTS, "product_locale", pc.utf8_upper)
    assert rows(seeds) == expected
    assert {row[6] for row in rows(seeds, "products")[0]} == {"us", "es", "jp"}


def test_unknown_labels_and_locales_are_told_with_their_counts(seeds: Path) -> None:
    file = seeds / "esci" / EXAMPLES
    count = pq.read_metadata(file).num_rows
    change(file, "esci_label", lambda labels: pa.array(["perfect", None, *labels.to_pylist()[2:]]))
    change(file, "product_locale", lambda locales: pa.repeat("uk", count))
    found, said = rows(seeds)
    assert found == []
    assert said == [
        f"{file}: unknown values of product_locale, with their rows: 'uk' {count:,}; known are us, es, jp",
        f"{file}: unknown values of esci_label, with their rows: 'perfect' 1, null 1; known are E, S, C, I",
    ]


def test_a_product_that_is_listed_twice_is_there_once_and_told(seeds: Path) -> None:
    file, (expected, _) = seeds / "esci" / PRODUCTS, rows(seeds, "products")
    first = pq.read_table(file).slice(0, 1).to_pylist()[0]
    with_rows(file, [first, first | {"product_title": "~ Not the first in order"}])
    found, (said,) = rows(seeds, "products")
    assert found == expected
    assert said.startswith(
        f"{file}: 2 of its rows left out, which repeat the product_id and product_locale of another"
    )
    assert first["product_id"] in said


def test_rows_without_a_key_do_not_end_a_build_and_are_told(seeds: Path) -> None:
    file, (expected, _) = seeds / "esci" / PRODUCTS, rows(seeds, "products")
    first = pq.read_table(file).slice(0, 1).to_pylist()[0]
    with_rows(file, [first | {"product_id": None}] * 2)
    assert rows(seeds, "products") == (
        expected,
        [f"{file}: 2 of its rows left out, in which the product_id or product_locale is null"],
    )


def test_judgements_that_are_listed_twice_do_not_stop_a_build(
    shop: Path, seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    for name in (EXAMPLES, PRODUCTS):
        with_rows(seeds / "esci" / name, pq.read_table(seeds / "esci" / name).slice(0, 200).to_pylist())
    said: list[str] = []
    twice = build(load("shop"), seeds, tmp_path / "twice", workers=1, say=said.append)
    assert [line.split(": ")[1].split(",")[0] for line in said] == ["200 of its rows left out"] * 2
    once = build(load("shop"), shop / "seeds", tmp_path / "once", workers=1)
    assert twice["tasks"] == once["tasks"]


def test_numbers_that_stand_twice_are_named_with_their_table(seeds: Path, tmp_path: Path) -> None:
    file = seeds / "esci" / EXAMPLES
    change(file, "example_id", lambda numbers: pa.array([-7, -7, *numbers.to_pylist()[2:]]))
    sql = "select example_id as key, query from esci.examples"
    with (
        open_seeds({"esci": SOURCES["esci"].Options()}, seeds, 7) as opened,
        pytest.raises(
            UserError, match=r"2 rows with the key '-7'.*; esci\.examples has 2 rows with the example_id -7$"
        ),
    ):
        draw(opened, "t", sql, ["key", "query"], 10, 0.1, tmp_path / "t.arrow")


def test_a_file_that_need_not_be_there_is_told_and_done_without(
    shop: Path, seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    before = opened_hashes(seeds)
    (seeds / "esci" / MARKS).unlink()
    found, said = rows(seeds, "sources")
    assert said == [
        f"{seeds / 'esci' / MARKS}: no such file, so what queries ask for is told by their words alone"
    ]
    assert {source for _, source in found} <= {"negations", "prices"}
    assert found
    build(load("shop"), seeds, tmp_path / "runs", workers=1)
    assert problems(tmp_path / "runs/shop") == []
    after = opened_hashes(seeds)
    assert set(before["esci"]) - set(after["esci"]) == {"sources"}
    lock = read_lock(tmp_path / "runs/shop")
    assert changes(lock, after) == []
    assert changes(lock, before) == ["the seeds of esci are others (sources)"]
    assert changes({**lock, "seeds": before}, after) == ["the seeds of esci are others (sources)"]
