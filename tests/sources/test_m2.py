"""Amazon-M2: its part of the sample, its staging tables, and seeds that are odd or hostile."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.errors import UserError
from datagen.sources import SOURCES
from datagen.sources.database import open_seeds
from datagen.sources.sample.catalogue import catalogue
from datagen.sources.sample.m2 import COLUMNS, LOCALES, words, write_m2

Rows = list[tuple[Any, ...]]


def asked(folder: Path, query: str) -> Rows:
    """What a query over Amazon-M2 gives."""
    with open_seeds({"m2": SOURCES["m2"].Options()}, folder, 1) as seeds:
        return seeds.connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("m2")
    write_m2(folder / "m2", products=2400, sessions=1500)
    return folder


@pytest.fixture(scope="module")
def tables(sample: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_seeds({"m2": SOURCES["m2"].Options()}, sample, 1) as seeds:
        yield seeds.connection


def test_the_sample_is_the_same_each_time(sample: Path, tmp_path: Path) -> None:
    write_m2(tmp_path / "m2", products=2400, sessions=1500)
    for name in ("products_train.csv", "sessions_train.csv"):
        assert (tmp_path / "m2" / name).read_bytes() == (sample / "m2" / name).read_bytes()


def test_the_sample_has_the_words_of_all_that_it_sells() -> None:
    known = words()
    for kind in catalogue().types.values():
        if kind.department in known.departments:
            said = known.types[kind.key]
            assert (len(said["use"]), len(said["lines"])) == (len(kind.uses), len(kind.lines)), kind.key
            assert len(said.get("variant", ())) == len(kind.variants), kind.key
            assert {feature.key for feature in kind.features} <= known.features.keys(), kind.key
            assert {*kind.materials} <= known.materials.keys(), kind.key
            assert {*kind.audiences} <= known.audiences.keys(), kind.key
            shades = {shade.name[0] for family in kind.palette for shade in catalogue().shades[family]}
            assert shades <= known.colors.keys(), kind.key
    for columns in (*known.features.values(), *known.colors.values(), *known.materials.values()):
        assert len(columns) == 3, columns


def test_the_sample_sells_in_six_marketplaces(tables: duckdb.DuckDBPyConnection) -> None:
    found = tables.execute("select locale, count(*) from m2.pages group by locale").fetchall()
    assert {locale for locale, _ in found} == LOCALES.keys()
    assert min(count for _, count in found) > 300


def test_wrong_products_are_of_other_sessions_and_brands(tables: duckdb.DuckDBPyConnection) -> None:
    visits = tables.execute(
        "select titles, after.title, near, popular, [item.brand for item in before] || [after.brand]"
        " from m2.visits join m2.lures using (locale, session)"
    ).fetchall()
    assert len(visits) > 300
    brands = dict(tables.execute("select title, brand from m2.pages where brand is not null").fetchall())
    for titles, last, near, popular, own in visits:
        assert not {*titles, last} & {*near, *popular}
        assert not {brands[title] for title in near + popular if title in brands} & {*own}


def test_parallel_titles_are_no_copies(tables: duckdb.DuckDBPyConnection) -> None:
    pairs = tables.execute("select language, other_language, title, other_title from m2.parallel").fetchall()
    assert {(one, other) for one, other, *_ in pairs} >= {("en", "de"), ("ja", "en"), ("it", "fr")}
    assert all(one != other and title != translated for one, other, title, translated in pairs)


def put(
    folder: Path,
    products: Sequence[Sequence[object]],
    sessions: Sequence[tuple[str, str, str]] = (("['B01' 'B02' 'B03']", "B04", "DE"),),
) -> Path:
    """Write a source of these rows below a folder; products are their first columns."""
    for name, header, rows in (
        ("products_train.csv", COLUMNS, [(*row, *[""] * (len(COLUMNS) - len(row))) for row in products]),
        ("sessions_train.csv", ("prev_items", "next_item", "locale"), sessions),
    ):
        (folder / "m2").mkdir(parents=True, exist_ok=True)
        with (folder / "m2" / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    return folder


SOLD = [(f"B0{number}", "DE", f"Hut aus Wolle Nummer {number}", "9.5", "Marke") for number in range(1, 5)]


@pytest.mark.parametrize(
    ("price", "read"),
    [
        ("9.5", 9.5),
        ("40000000.07", None),
        ("N/A", None),
        ("", None),
        ("-3", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_prices_that_are_none_are_null(tmp_path: Path, price: str, read: float | None) -> None:
    put(tmp_path, [(*row[:3], price) for row in SOLD])
    assert asked(tmp_path, "select distinct price from m2.pages") == [(read,)]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        *[
            ("Wolle", "Wolle"),
            (" \u200eWolle ", "Wolle"),
            ("ウール", "ウール"),
            ("\u200e", None),
            ("N/A", None),
        ],
        *[("x" * 41, None), ("<b>Wolle</b>", None), ("---", None), ("keine", None)],
    ],
)
def test_values_that_say_nothing_are_null(tmp_path: Path, value: str, read: str | None) -> None:
    put(tmp_path, [(*row, "", "", "", value) for row in SOLD])
    assert asked(tmp_path, "select distinct material from m2.pages") == [(read,)]


def test_a_product_listed_twice_is_one(tmp_path: Path) -> None:
    put(tmp_path, [*SOLD, (*SOLD[0][:2], "Anderer Hut aus Wolle", "8", "Marke")])
    assert asked(tmp_path, "select title from m2.pages where id = 'B01'") == [("Anderer Hut aus Wolle",)]
    assert asked(tmp_path, "select count(*) from m2.steps") == [(4,)]


def test_unknown_ids_and_empty_sessions_leave_no_row(tmp_path: Path) -> None:
    odd = [
        ("[]", "B01", "DE"),
        ("", "", "DE"),
        ("['X1' 'X2' 'X3']", "X4", "DE"),
        ("['B01' 'B02' 'B04']", "B04", "DE"),
    ]
    put(tmp_path, SOLD, odd)
    assert asked(tmp_path, "select count(*) from m2.visits") == [(0,)]


def test_a_megabyte_of_text_takes_no_time(tmp_path: Path) -> None:
    long = [
        (*SOLD[0], "", "", "", "", "", "<b>" * 200_000 + "Warm " * 100_000),
        ("B02", "DE", " " * 1_000_000),
    ]
    put(tmp_path, [*long, *SOLD[2:]])
    assert asked(tmp_path, "select count(*) from m2.told") == [(0,)]


def test_lists_in_parquet_are_read_as_prints_in_csv(tmp_path: Path) -> None:
    put(tmp_path, SOLD)
    printed = asked(tmp_path, "select id, place, last from m2.steps order by place")
    (tmp_path / "m2/sessions_train.csv").unlink()
    lists = {"prev_items": [["B01", "B02", "B03"]], "next_item": ["B04"], "locale": ["DE"]}
    pq.write_table(pa.table(lists), tmp_path / "m2/sessions_train.parquet")
    assert asked(tmp_path, "select id, place, last from m2.steps order by place") == printed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('id,locale,title\nB01,DE,"Hut\n', r"products_train\.csv: .*lacks the column"),
        ("", r"products_train\.csv: .*empty"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, said: str) -> None:
    put(tmp_path, SOLD)
    (tmp_path / "m2/products_train.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        asked(tmp_path, "select count(*) from m2.pages")


def test_half_a_line_is_told(tmp_path: Path) -> None:
    path = put(tmp_path, SOLD) / "m2/products_train.csv"
    path.write_text(path.read_text(encoding="utf-8") + 'B09,DE,"Hut', encoding="utf-8")
    told: list[str] = []
    try:
        with open_seeds({"m2": SOURCES["m2"].Options()}, tmp_path, 1, say=told.append) as seeds:
            seeds.connection.execute("select count(*) from m2.products where title = 'x'").fetchall()
    except UserError as error:
        told = [str(error)]
    assert any(re.search(r"products_train\.csv", line) for line in told)
