"""ESCI's seed tables, as recipes see them."""

import re
from pathlib import Path

import duckdb
import pytest

from datagen.sources import esci
from datagen.sources.database import open_seeds
from datagen.sources.sample import write_sample


def marked_by_words(queries: list[str], marked: dict[int, str], mark: str = "negations") -> set[int]:
    """Which of the queries, by position, the seed table `sources` gives this mark."""
    connection = duckdb.connect()
    connection.execute("create table examples_file (query_id bigint, query text, product_locale text)")
    connection.execute("create table sources_file (query_id bigint, source text)")
    connection.executemany("insert into examples_file values (?, ?, 'us')", list(enumerate(queries)) * 2)
    connection.executemany("insert into sources_file values (?, ?)", list(marked.items()))
    found = connection.sql(esci.views(esci.Options())["sources"]).fetchall()
    assert len(found) == len(set(found))
    ours = ("negations", "prices")
    assert {number: source for number, source in found if source not in ours} == {
        number: source for number, source in marked.items() if source not in ours
    }
    return {number for number, source in found if source == mark}


@pytest.mark.parametrize(
    ("query", "asks"),
    [
        ("glass jar without lid", True),
        ("Mask WITHOUT ear straps", True),
        ("black latex gloves not nitrile", True),
        ("bañador sin tirantes", True),
        ("メッセージカード 封筒なし", True),
        ("芯無しトイレットペーパー", True),
        ("glass jar with lid", False),
        ("notebook", False),
        ("sinopsis de libros", False),
        ("おはなし 絵本", False),
        ("割れない鏡", False),
    ],
)
def test_a_query_that_asks_for_an_absence_is_a_negation_without_any_mark(query: str, asks: bool) -> None:
    assert marked_by_words([query], {7: "other"}) == ({0} if asks else set())


@pytest.mark.parametrize(
    ("query", "asks"),
    [
        ("baby sneakers under $13", True),
        ("cool gifts under 15", True),
        ("phone unlocked less than 150 dollars", True),
        ("Cheap phones", True),
        ("cables for less than 5€", True),
        ("mini stepper barato", True),
        ("zapatos económicos mujer", True),
        ("regalos menos de 20 euros", True),
        ("プレゼント 1000円以下", True),
        ("ノートpc 5万円以内", True),
        ("gift under £20", True),
        ("激安 ワンピース", True),
        ("led under cabinet lighting", False),
        ("lamp under 20 inch wide", False),
        ("2 dollar bill", False),
        ("budget planner", False),
        ("円形 テーブル", False),
        ("安全靴", False),
        ("目安箱", False),
    ],
)
def test_a_query_that_asks_for_a_price_is_marked(query: str, asks: bool) -> None:
    assert marked_by_words([query], {7: "other"}, "prices") == ({0} if asks else set())


def test_a_price_tells_more_than_an_absence() -> None:
    assert marked_by_words(["toys without batteries under $5"], {7: "other"}, "prices") == {0}
    assert marked_by_words(["toys without batteries under $5"], {7: "other"}) == set()


def test_marks_of_the_file_stay() -> None:
    marked = {0: "negations", 1: "negations", 2: "other"}
    assert marked_by_words(["jar without lid", "jar - lid", "jar without handle"], marked) == {0, 1, 2}


def test_titles_come_as_a_page_shows_them() -> None:
    connection = duckdb.connect()
    connection.execute("create table products_file (product_title text, product_locale text)")
    written = [
        "Pots &amp; Pans",
        "10&quot; Pan, the Chef&#39;s",
        "&amp;quot; is a quote",
        "R&D; 5 pieces",
        None,
    ]
    connection.executemany("insert into products_file values (?, 'us')", [[title] for title in written])
    found = connection.sql(esci.views(esci.Options())["products"])
    assert found.columns == ["product_title", "product_locale"]
    shown = ["Pots & Pans", "10\" Pan, the Chef's", "&quot; is a quote", "R&D; 5 pieces", None]
    assert [row[0] for row in found.fetchall()] == shown


def test_what_is_drawn_by_ticket_is_all_of_small_seeds(tmp_path: Path) -> None:
    write_sample(tmp_path, 3000)
    root = Path(__file__).parents[2]
    texts = [*(root / "recipes").glob("*.yaml"), *(root / "datagen" / "sources").glob("*.sql")]
    limits = [
        int(limit)
        for text in texts
        for limit in re.findall(r"ticket < (\d+)", text.read_text(encoding="utf-8"))
    ]
    with open_seeds({"esci": esci.Options()}, tmp_path, 2024) as opened:
        [(query, product)] = opened.connection.execute(
            "select (select max(ticket) from esci.judged), (select max(ticket) from esci.titles)"
        ).fetchall()
        [(judged, titles, pages)] = opened.connection.execute(
            "select (select count(ticket) from esci.judged), (select count(*) from esci.titles),"
            " (select count(*) from esci.pages)"
        ).fetchall()
        [(fit,)] = opened.connection.execute(
            "select count(*) from esci.examples where query_id not in"
            " (select query_id from esci.sources where source in ('negations', 'prices'))"
        ).fetchall()
    assert len(limits) > 10
    assert max(query, product) < min(limits)
    assert judged == fit
    assert pages == titles
