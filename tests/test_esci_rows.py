"""A product or two as ESCI has them in, the questions that a recipe asks of them out: what once went wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.draw import draw
from datagen.recipe import load
from datagen.seeds import columns_of, open_seeds
from datagen.sources import esci

ARROW = {"BIGINT": pa.int64(), "VARCHAR": pa.string()}
PRODUCT = {"product_locale": "us", "product_title": "Some kind of thing, large", "product_brand": "Acme"}


def write(folder: Path, table: str, rows: Sequence[dict[str, Any]]) -> None:
    columns = {name: ARROW[kind] for name, kind in esci.TABLES[table].columns.items()}
    filled = [{name: row.get(name) for name in columns} for row in rows]
    pq.write_table(pa.Table.from_pylist(filled, pa.schema(columns.items())), folder / esci.TABLES[table].file)


def rows_of(
    folder: Path, name: str, products: Sequence[dict[str, Any]], queries: Sequence[str] = ("thing",)
) -> list[dict[str, Any]]:
    """What the task `recipe/task` makes of the products, the first of which is exact for all queries."""
    recipe_name, _, task_name = name.partition("/")
    seeds = folder / "seeds"
    (seeds / "esci").mkdir(parents=True)
    full = [{"product_id": f"P{place}", **PRODUCT, **product} for place, product in enumerate(products)]
    first = {"product_id": "P0", "product_locale": full[0]["product_locale"], "esci_label": "E"}
    asked = [{**first, "query": query, "query_id": place} for place, query in enumerate(queries)]
    write(seeds / "esci", "products", full)
    write(seeds / "esci", "examples", [{"split": "train", "example_id": 0, **row} for row in asked])
    (seeds / "esci" / esci.TABLES["sources"].file).write_text("query_id,source\n")
    recipe = load(recipe_name)
    task, path = recipe.tasks[task_name], folder / "drawn.arrow"
    with open_seeds(recipe.sources, seeds, recipe.seed) as opened:
        draw(opened, task_name, task.query, list(columns_of(opened.connection, task.query)), 1000, 0.0, path)
    with pa.OSFile(str(path)) as file:
        found: list[dict[str, Any]] = pa.ipc.open_file(file).read_all().to_pylist()
    return found


@pytest.mark.parametrize(
    ("locale", "title", "color", "entities"),
    [
        ("us", "Pullover Hoodie for Men, Navy Blue, Large", "Navy Blue", ["Navy Blue"]),
        ("es", "Anillo de acero para mujer, oro rosa", "Oro rosa", ["oro rosa"]),
        ("es", "Bikini de rayas para mujer (Verde Rosa,L)", "Verde Rosa", None),
        ("us", "Striped Socks for Women, Black White", "Black White", None),
    ],
)
def test_two_colours_are_not_one(
    tmp_path: Path, locale: str, title: str, color: str, entities: list[str] | None
) -> None:
    product = {"product_locale": locale, "product_title": title, "product_color": color}
    rows = rows_of(tmp_path, "esci_ner/color_in_title", [product])
    assert [row["entities"] for row in rows] == ([entities] if entities else [])


BULLETS = {
    "us": ["Fits pots of up to 8 inch", "Steel that does not rust", "Holds 20 pounds with ease"],
    "es": ["Para macetas de hasta 20 cm", "Acero que no se oxida nunca", "Soporta hasta nueve kilos"],
    "jp": ["直径二十センチまでの植木鉢に対応しています", "錆びにくい鋼を使った頑丈なつくりです", "九キロまでの重さに耐えられるので安心です"],
}


@pytest.mark.parametrize(
    ("locale", "line"),
    [
        ("us", "30 days money back guarantee, no questions asked"),
        ("us", "A great gift for Mom on her birthday"),
        ("us", "高品質な原材料を使った色鉛筆です、初心者にもおすすめです"),
        ("es", "Hundreds of secrets to discover and puzzles to solve"),
        ("es", "Ver descripción del producto para obtener más información."),
        ("jp", "Works with Alexa and Google Assistant"),
        ("jp", "《지적 대화를 위한 넓고 얕은 지식》 2"),
        ("jp", "到着後三十日以内なら返品返金いたします、お気軽にどうぞ"),
    ],
)
def test_lines_of_any_page_or_another_language_are_nobodys_bullet_points(
    tmp_path: Path, locale: str, line: str
) -> None:
    """Twelve products share the same kind of line; one of them has too few of its own to be asked about."""
    shared = [
        {
            "product_title": f"Thing{place} {place}",
            "product_bullet_point": "\n".join(f"{place} {text}" for text in [*BULLETS[locale], line]),
        }
        for place in range(12)
    ]
    shared[3]["product_bullet_point"] = "\n".join([*BULLETS[locale][:2], line])
    products = [{**product, "product_locale": locale} for product in shared]
    rows = rows_of(tmp_path, "esci_retrieval/bullets_of_product", products)
    assert len(rows) == 4, "the last ones have too few after them"
    assert all("P3" not in row["key"] for row in rows)
    assert not any(line in bullet for row in rows for bullet in row["positives"] + row["negatives"])
