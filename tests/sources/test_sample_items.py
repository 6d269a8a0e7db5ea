"""The sample shop's items: products of its ESCI under their own ids, and purchases that go together."""

import json
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from datagen.sources.sample.esci import write_esci
from datagen.sources.sample.items import DAY, Item, items, purchases, write_items

PRODUCTS = 8_400


@pytest.fixture(scope="module")
def made() -> list[Item]:
    return items(PRODUCTS, 7)


def test_items_are_products_of_the_samples_esci(made: list[Item], tmp_path: Path) -> None:
    write_esci(tmp_path, queries=600, products=PRODUCTS)
    file = tmp_path / "shopping_queries_dataset_products.parquet"
    sold = dict(
        duckdb.execute(
            f"select product_id, product_title from '{file}' where product_locale = 'us'"
        ).fetchall()
    )
    titles = {item.id: item.row["title"] for item in made}
    shared = titles.keys() & sold.keys()
    assert len(shared) > 0.7 * len(titles)
    assert all(titles[code] == sold[code] for code in shared)
    assert len(titles) == len(made), "an id stands twice"


def test_a_small_shop_has_as_many_items() -> None:
    assert len(items(700, 3)) > 1_000


def test_users_buy_what_goes_together_within_days(made: list[Item]) -> None:
    bought = purchases(made, 7)
    baskets: dict[tuple[str, int], set[str]] = {}
    for purchase in bought:
        baskets.setdefault((purchase.user, purchase.time // (30 * DAY)), set()).add(purchase.item.kind)
    cases = [kinds for kinds in baskets.values() if "phone_case" in kinds]
    beside = Counter(kind for kinds in cases for kind in kinds)
    assert beside["screen_protector"] > 5 * beside["frying_pan"]
    assert purchases(made, 7) == bought


def test_files_are_in_the_publishers_layout(made: list[Item], tmp_path: Path) -> None:
    write_items(tmp_path, made)
    rows = [
        json.loads(line) for file in tmp_path.glob("meta_*.jsonl") for line in file.read_text().splitlines()
    ]
    assert {row["parent_asin"] for row in rows} == {item.id for item in made}
    assert (tmp_path / "meta_Home_and_Kitchen.jsonl").is_file()
    assert all(row["categories"] and isinstance(row["details"], dict) for row in rows)
