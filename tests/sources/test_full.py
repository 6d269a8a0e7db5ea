"""Tests of the seeds of full size: as many rows as asked, no duplicates, joins that hold."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from datagen import dedup
from datagen.sources import SOURCES, sample
from datagen.sources.database import open_seeds
from datagen.sources.sample import full


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "QUERIES", 60)
        patch.setattr(sample, "PRODUCTS", 900)
        for source, tables in full.COPIES.items():
            patch.setitem(full.COPIES, source, dict.fromkeys(tables, 100))
        sizes = {"examples": 6_000, "products": 4_500, "sources": 300}
        patch.setitem(full.COPIES, "esci", sizes)
        sample.write_sample(folder, "full")
    return folder


def test_copies_have_their_own_ids_and_words(seeds: Path) -> None:
    with open_seeds({"esci": SOURCES["esci"].Options()}, seeds, 1) as opened:
        assert opened.made_up() == ["esci"]
        products, ids, titles = opened.connection.execute(
            "select count(*), count(distinct product_id || product_locale), count(distinct product_title)"
            " from esci.products"
        ).fetchall()[0]
        joined = opened.connection.execute(
            "select count(*) from esci.examples join esci.products using (product_id, product_locale)"
        ).fetchall()[0][0]
    assert products == ids == 4_500
    assert titles > 0.9 * products
    assert joined > 3_500


def test_every_source_of_the_sample_is_copied(seeds: Path) -> None:
    assert {path.name for path in seeds.iterdir()} <= set(full.COPIES)
    assert set(full.COPIES) == set(SOURCES)
    for source, tables in full.COPIES.items():
        assert set(tables) <= set(SOURCES[source].TABLES)


def test_a_session_s_ids_are_those_of_its_copy(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("prev_items,next_item,locale\n\"['B01' 'B02'\n 'B03']\",B04,DE\n")
    full._copy(tmp_path / "s.csv", tmp_path / "t.csv", 3, headed=True)
    found = (
        duckdb.connect()
        .execute(f"from read_csv('{tmp_path / 't.csv'}', all_varchar = true) order by next_item")
        .fetchall()
    )
    assert found[1] == ("['011' '012'\n '013']", "014", "DE")


def test_copies_of_a_row_are_not_near_each_other(tmp_path: Path) -> None:
    title = "Brynn Insulated Water Bottle, Stainless Steel, 24 oz, Yellow"
    (tmp_path / "p.csv").write_text(f'id,locale,title\nB01,UK,"{title}"\n', encoding="utf-8")
    full._copy(tmp_path / "p.csv", tmp_path / "t.csv", 200, headed=True)
    found = duckdb.connect().execute(f"select id, [title] from '{tmp_path / 't.csv'}'").fetchall()
    ids, fields = zip(*found, strict=True)
    rows = {"id": ids, "kind": ["k"] * 200, "fields": fields, "options": [[]] * 200, "answer": [""] * 200}
    types = {"options": pa.list_(pa.string())}
    table = pa.table({name: pa.array(values, types.get(name)) for name, values in rows.items()})
    assert dedup.decide([dedup.read(table)], 0.85)["reason"].null_count == 200


def test_copies_of_a_session_s_words_come_again(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,locale,title\nB01,DE,Schreibtisch\n")
    full._copy(tmp_path / "p.csv", tmp_path / "q.csv", 4, headed=True, alike=2)
    rows = duckdb.connect().execute(f"from read_csv('{tmp_path / 'q.csv'}', all_varchar = true)").fetchall()
    assert len({row[0] for row in rows}) == 4
    assert len({row[2] for row in rows}) == 2


def test_no_option_of_a_copy_comes_again(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("What is worn on feet in deep snow?,Boots,Hats,Caps,34 ties,A\n")
    full._copy(tmp_path / "q.csv", tmp_path / "c.csv", 30, headed=False)
    rows = (
        duckdb.connect()
        .execute(f"from read_csv('{tmp_path / 'c.csv'}', all_varchar = true, header = false)")
        .fetchall()
    )
    assert {row[0][:7] for row in rows} == {"What is"}
    assert {row[5] for row in rows} == {"A"}
    for place in range(1, 5):
        assert len({row[place] for row in rows}) > 24


def test_half_of_the_sessions_are_of_products_that_esci_sells_too(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("prev_items,next_item,locale\n\"['B01' 'B02']\",B04,DE\n")
    full._copy(tmp_path / "s.csv", tmp_path / "t.csv", 40, headed=True, alike=2, shared=5, back=True)
    rows = duckdb.connect().execute(f"from read_csv('{tmp_path / 't.csv'}', all_varchar = true)").fetchall()
    among_first = [row for row in rows if row[1][:2] in {full._code(k) for k in range(5)}]
    assert 20 <= len(among_first) <= 25
    assert len({row[0] for row in rows}) > 35  # none is drawn with another
