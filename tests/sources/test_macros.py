"""The SQL macros that a query may call beside DuckDB's own functions."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from datagen.sources.database import MACROS, open_layout

RECIPE_PAGE = Path(__file__).parents[2] / "docs" / "recipe.md"


@pytest.fixture(scope="module")
def cage() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_layout({}) as connection:
        yield connection


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("plain(' \u200eRed\u200b  wine ', 20)", "Red wine"),
        ("plain('\u200e', 20)", None),
        ("plain('N/A', 20)", None),
        ("plain('ブルー', 2)", None),
        ("plain('ブルー', 20)", "ブルー"),
        ("of_sets('Gluten Free Crackers - 2 / 4.5 Oz Bags')", True),
        ("of_sets('Dutch Waffles, 18 2-pack Waffles per Box, 2.75oz each')", True),
        ("of_sets('Ground Coffee, 12 oz, 2 Pack')", False),
        ("of_sets('20 Blister Pads + 12 Dots, Hydrocolloid')", True),
        ("language_name('de', 'fr')", "allemand"),
        ("language_name('ja', 'en')", "Japanese"),
        ("language('us')", "en"),
        ("language('jp')", "ja"),
        ("in_language('Taza para café', 'en')", False),
        ("in_language('Taza para café', 'es')", True),
        ("in_language('Mug with a lid', 'es')", False),
        ("in_language('収納サイズ：560×150mm', 'es')", False),
        ("in_language('マグカップ', 'ja')", True),
        ("in_language('Mug', 'ja')", False),
        (
            "readable_lines('<b>Keeps coffee hot</b>\nShort\nAsa c&oacute;moda de acero', 'en')",
            ["Keeps coffee hot"],
        ),
        (
            "headed_lines('【EASY TO CLEAN】 All of it goes into dishwashers.\n"
            "Free shipping: It takes one day to reach you, or two.')",
            [{"heading": "easy to clean", "body": "All of it goes into dishwashers."}],
        ),
        (
            "headed_lines('Easy to clean: ---All of it goes into dishwashers.')",
            [{"heading": "easy to clean", "body": "All of it goes into dishwashers."}],
        ),
        (
            "headed_lines('✿Pick your weight - Made for those of 140 - 190 lbs 【one size】 - or so.\n"
            "Pick your color: Red - as a rose is - or a deep sea blue')",
            [
                {
                    "heading": "pick your weight",
                    "body": "Made for those of 140 - 190 lbs 【one size】 - or so.",
                },
                {"heading": "pick your color", "body": "Red - as a rose is - or a deep sea blue"},
            ],
        ),
        ("headed_lines('A line without any heading, however long it is')", []),
        ("of_parcel('Item Package Weight: 0.4 kg')", True),
        ("of_parcel('Número de modelo: 12')", True),
        ("of_parcel('Made in small batches, each sewn by hand')", False),
        ("of_parcel('Garment care: Hang dry, do not bleach')", True),
        ("of_parcel('Machine washable wool that keeps its shape. It is soft, too.')", False),
        ("headed_lines('Superior design: All of it was drawn by people who cook')", []),
        ("of_seller('30 days money back guarantee')", True),
        ("of_seller('Steel that does not rust')", False),
        ("of_seller('Buy 3 get 5% off, buy 5 get 7% off')", True),
        ("of_seller('We charge a 40% restock fee')", True),
        ("of_seller('Unas tres semanas de entrega a España')", True),
        ("of_seller('書類を当店にお送りください')", True),
        ("of_seller('Precio mínimo en los 30 días previos a la oferta')", True),
        ("broken('Clear on top£¬and on the sides')", True),
        ("broken('Holds £10 in coins')", False),
        ("headed_lines('Easy to clean: All of it goes into dishwashers. Note: dry it well.')", []),
        ("of_seller('Please check out our other products')", True),
        (
            "bullet_points('Fast Logistics Service: in days' || chr(10) || 'Steel that does not rust', 'en')",
            ["Steel that does not rust"],
        ),
        ("unmarked('✅ Light - as a feather')", "Light: as a feather"),
        ("unmarked('【LIGHT】as a feather')", "LIGHT: as a feather"),
        ("prose('<h2>Mug</h2><p>Keeps <b>tea</b>\nhot.</p>')", "Keeps tea hot."),
        ("sentences('Holds 1.5 l. Keeps tea hot!')", ["Holds 1.5 l.", "Keeps tea hot!"]),
        ("of_shop('Our customers love it.')", True),
        ("of_shop('Our line of mugs has what you need.')", True),
        ("of_shop('It keeps tea hot.')", False),
        ("of_food('Ground Coffee, 12 Ounce')", True),
        ("of_food('Coffee Pods, Each Brews 2.7 Ounce')", False),
        ("aspects_in('An easy care shirt', 'en')", ["cleaning"]),
        ("singulars('Two mugs, a lid')", ["two", "mug", "lid"]),
        ("printed('tea mug', 'A Tea Mug', ['Red'])", True),
        ("printed('red mug', 'A Tea Mug', ['Red'])", False),
        ("long_words('Cleaning it by hand')", ["cleaning", "hand"]),
        ("word_stems('Cleaning it by hand')", ["clea", "hand"]),
        ("words_of('The dogs'' beds, 12 inch, for men''s', 'en')", ["dog", "bed", "12", "inch", "men"]),
        ("words_of('Bañeras para el bebé', 'es')", ["banera", "bebe"]),
        ("words_of('犬 ベッド', 'ja')", ["犬ベ", "ベッ", "ッド"]),
        ("words_of('犬', 'ja')", ["犬"]),
        ("overlap(['banera', 'azul'], 'BAÑERAS de bebé', 'es')", 0.5),
        ("overlap(['men', 'dog', 'bed'], 'Women (Dogs): bed', 'en')", 2 / 3),
        ("overlap(['ベッ', 'ッド', '犬用'], '犬ベ ッド', 'ja')", 2 / 3),
        ("overlap([], 'any', 'en')", None),
        ("found_in(['rug', 'mug'], 'Red MUGS')", ["mug"]),
        ("known_brand(' Halden ')", "Halden"),
        ("known_brand('N/A')", None),
        ("known_brand('Generic')", None),
        ("stands_alone('red mug', 1, 3)", True),
        ("stands_alone('redwood mug', 1, 3)", False),
        ("stands_alone('black-red mug', 7, 3)", False),
        ("stands_alone('赤いマグ', 3, 2)", True),
        ("colors('Dark green mug, rojo, ホワイト')", ["green", "rojo", "ホワイト"]),
        ("shaded('dark green mug', 6, 5)", True),
        ("shaded('verde oscuro', 1, 5)", True),
        ("shaded('green mug', 1, 5)", False),
        ("cited('The ACME mug', 'acme')", "ACME"),
        ("cited('Acmetal mug', 'acme')", None),
        ("cited_color('Dark green mug', 'Dark Green', 'en')", "Dark green"),
        ("cited_color('Dark green mug', 'Green', 'en')", None),
        ("cited_color('Mug, green, red lid', 'Green', 'en')", None),
        ("type_words('red dog bed for kids', 'en')", ["dog", "bed"]),
        ("review_text('Soft &amp; warm.<br />It&#39;s [[VIDEOID:a1]] mine')", "Soft & warm. It's mine"),
        (
            "clauses('Fits well, but the color is off. Cost $1.50; fine!')",
            ["Fits well", "the color is off", "Cost $1.50", "fine"],
        ),
        ("aspects_hinted('Small, with a zipper')", "zipper, size or storage space, pockets"),
        ("near_aspects(['color'])", ["color", "appearance", "color"]),
    ],
)
def test_what_a_macro_gives(cage: duckdb.DuckDBPyConnection, call: str, value: Any) -> None:
    assert cage.execute(f"select {call}").fetchone() == (value,)


def test_every_macro_is_on_the_page() -> None:
    named = set(re.findall(r"create macro (\w+)", MACROS.read_text(encoding="utf-8")))
    page = RECIPE_PAGE.read_text(encoding="utf-8")
    assert named == set(re.findall(r"^- `(\w+)\(.*?\)`:", page, re.MULTILINE))


def test_items_are_picked_without_regard_to_each_other(cage: duckdb.DuckDBPyConnection) -> None:
    """Three of twenty make 1,140 sets. Where few of them come up, company tells wrong options."""
    found = cage.execute(
        "select count(distinct list_sort(pick(range(20), 3, 'row ' || row))) from range(5000) as rows(row)"
    ).fetchone()
    assert found is not None
    assert found[0] > 1000
