"""Rows about the items of Amazon Reviews: their answers checked against the seeds that they come from."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datagen.pipeline.sampling import draw
from datagen.recipe.load import load
from datagen.sources.database import open_seeds
from datagen.sources.query import columns_of
from datagen.sources.sample.catalogue import catalogue, load_yaml
from datagen.sources.sample.items import items, purchases, write_items
from datagen.sources.sample.reviews import write_reviews

WEEK = 604_800_000

Rows = list[dict[str, Any]]


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def read_lines(seeds: Path, pattern: str) -> Rows:
    files = sorted((seeds / "reviews").glob(pattern))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def rows_of(seeds: Path, name: str, path: Path) -> Rows:
    """All rows that the task `recipe/task` makes of seeds."""
    recipe_name, _, task_name = name.partition("/")
    recipe = load(recipe_name)
    query = recipe.tasks[task_name].query
    with open_seeds(recipe.sources, seeds, recipe.seed, tables=recipe.tables) as opened:
        columns = list(columns_of(opened.of(task_name), query))
        draw(opened, task_name, query, columns, 100_000, 0.0, path / "drawn.arrow")
    with pa.OSFile(str(path / "drawn.arrow")) as file:
        found: Rows = pa.ipc.open_file(file).read_all().to_pylist()
    return found


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's items and their reviews."""
    folder = tmp_path_factory.mktemp("market")
    made = items(8_400, 7)
    (folder / "reviews").mkdir()
    write_items(folder / "reviews", made)
    write_reviews(folder / "reviews", purchases(made, 7))
    return folder


@pytest.fixture(scope="module")
def shelves(market: Path) -> dict[str, Rows]:
    """The items by the last name of their category."""
    found: dict[str, Rows] = defaultdict(list)
    for row in read_lines(market, "meta_*.jsonl"):
        found[row["categories"][-1]].append(row)
    return found


def test_an_attribute_that_does_not_apply_is_told_of_no_item(
    market: Path, shelves: dict[str, Rows], tmp_path: Path
) -> None:
    for name in ("applicable_attribute", "inapplicable_attribute"):
        rows = rows_of(market, f"reviews_attributes/{name}", tmp_path)
        assert len(rows) > 100
        for row in rows:
            told = {
                attribute
                for item in shelves[row["category"].split(" > ")[-1]]
                for attribute in item["details"]
            }
            right, wrong = {row["correct"]}, set(row["distractors"])
            fits, misfits = (right, wrong) if name.startswith("app") else (wrong, right)
            assert fits <= told, row
            assert not misfits & told, row


def test_a_wrong_value_is_no_value_of_the_attribute_in_the_category(
    market: Path, shelves: dict[str, Rows], tmp_path: Path
) -> None:
    rows = rows_of(market, "reviews_attributes/valid_value", tmp_path)
    assert len(rows) > 100
    for row in rows:
        values = {item["details"].get(row["name"]) for item in shelves[row["category"].split(" > ")[-1]]}
        assert row["correct"] in values, row
        assert not values & set(row["distractors"]), row


def test_a_value_that_is_not_in_the_title_is_that_of_most_such_items(
    market: Path, shelves: dict[str, Rows], tmp_path: Path
) -> None:
    own = {row["parent_asin"]: row for row in read_lines(market, "meta_*.jsonl")}
    rows = rows_of(market, "reviews_attributes/implicit_value", tmp_path)
    assert len(rows) > 250
    for row in rows:
        details = own[row["key"].split("/")[0]]["details"]
        assert details[row["name"]] == row["correct"]
        assert row["correct"].lower() not in row["title"].lower()
        beside = [
            item["details"].get(row["name"])
            for item in shelves[own[row["key"].split("/")[0]]["categories"][-1]]
        ]
        assert 2 * beside.count(row["correct"]) >= len(beside) - beside.count(None), row


def test_a_title_that_tells_nothing_has_none_of_the_options(market: Path, tmp_path: Path) -> None:
    rows = rows_of(market, "reviews_attributes/value_in_title", tmp_path)
    silent = [row for row in rows if row["correct"] == "It cannot be inferred."]
    assert 0.15 < len(silent) / len(rows) < 0.35
    for row in rows:
        others = [value for value in row["distractors"] if value != "It cannot be inferred."]
        told = [value for value in others if re.search(rf"\b{re.escape(value)}\b", row["title"].lower())]
        assert not told, row
    assert all(row["correct"] in row["title"].lower() for row in rows if row not in silent)


def test_parcels_and_dates_are_no_attributes(market: Path, tmp_path: Path) -> None:
    rows = rows_of(market, "reviews_attributes/attributes_of_category", tmp_path)
    named = {name for row in rows for name in row["positives"] + row["negatives"]}
    assert len(named) > 20
    assert not named & {
        "Package Dimensions",
        "Date First Available",
        "Item model number",
        "Manufacturer",
        "Brand",
    }


def test_a_title_does_not_name_the_category_that_is_asked_for(market: Path, tmp_path: Path) -> None:
    rows = rows_of(market, "reviews_products/category_of_product", tmp_path)
    assert len(rows) > 500
    assert not [row for row in rows if row["correct"].lower() in row["title"].lower()]


def test_wrong_categories_do_not_lie_on_the_products_path(market: Path, tmp_path: Path) -> None:
    own = {row["parent_asin"]: row["categories"] for row in read_lines(market, "meta_*.jsonl")}
    rows = rows_of(market, "reviews_products/path_of_product", tmp_path)
    assert len(rows) > 200
    for row in rows:
        assert row["positives"] == own[row["key"]][-3:]
        assert not set(row["negatives"]) & set(own[row["key"]]), row


def test_products_for_other_models_do_not_name_this_one(market: Path, tmp_path: Path) -> None:
    rows = rows_of(market, "reviews_products/product_for_model", tmp_path)
    assert len(rows) > 20
    for row in rows:
        assert row["model"] in row["correct"]
        assert not [title for title in row["distractors"] if row["model"] in title], row


def test_what_is_bought_together_was_and_the_rest_was_not(market: Path, tmp_path: Path) -> None:
    titles = {
        row["parent_asin"]: " ".join(row["title"].replace("&amp;", "&").split())
        for row in read_lines(market, "meta_*.jsonl")
    }
    above = {
        titles[row["parent_asin"]]: tuple(row["categories"][:-1])
        for row in read_lines(market, "meta_*.jsonl")
    }
    baskets: dict[tuple[str, int], set[str]] = defaultdict(set)
    users = set()
    for review in read_lines(market, "[A-Z]*.jsonl"):
        baskets[review["user_id"], review["timestamp"] // WEEK].add(titles[review["parent_asin"]])
        users.add(review["user_id"])
    together: dict[str, set[str]] = defaultdict(set)
    twice: dict[str, set[str]] = defaultdict(set)
    for basket in baskets.values():
        for title in basket:
            twice[title] |= together[title] & basket
            together[title] |= basket
    for name, right, wrong in (
        ("bought_with", "correct", "distractors"),
        ("bought_with_three", "positives", "negatives"),
    ):
        rows = rows_of(market, f"reviews_purchases/{name}", tmp_path)
        assert len(rows) > 100
        strays = 0
        for row in rows:
            fits = [row[right]] if isinstance(row[right], str) else row[right]
            assert not {above[title] for title in row[wrong]} & {above[row["title"]]}, row
            assert set(fits) <= twice[row["title"]], row
            strays += len(set(row[wrong]) & together[row["title"]])
        assert strays <= 0.01 * sum(len(row[wrong]) for row in rows), "chance alone puts few of them together"
        assert not [user for user in list(users)[:50] if user in json.dumps(rows)], "a user's id is shown"


def test_sisters_in_the_tree_are_no_complements(market: Path, tmp_path: Path) -> None:
    above = {
        " > ".join(row["categories"][-2:]): row["categories"][:-1]
        for row in read_lines(market, "meta_*.jsonl")
    }
    rows = rows_of(market, "reviews_purchases/complementary_category", tmp_path)
    assert len(rows) > 20
    assert not [row for row in rows if above[row["category"]] == above[row["correct"]]]


ITEM: dict[str, Any] = {
    "main_category": "Toys", "title": "A thing of wood to play with", "average_rating": 4.0,
    "rating_number": 3, "features": [], "description": [], "price": None, "store": "Acme",
    "categories": ["Toys", "Play", "Blocks"], "details": {}, "parent_asin": "B000000000",
}  # fmt: skip


def details_of(seeds: Path, changes: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Names and values in `reviews.details` of items that differ from ITEM."""
    rows = [{**ITEM, "parent_asin": f"B{place:09}", **change} for place, change in enumerate(changes)]
    write_lines(seeds / "reviews" / "meta_Toys.jsonl", rows)
    write_lines(seeds / "reviews" / "Toys.jsonl", [REVIEW])
    recipe = load("reviews_attributes")
    with open_seeds(recipe.sources, seeds, 7) as opened:
        return opened.connection.execute(
            "select name, value from reviews.details order by product_id, name, value"
        ).fetchall()


REVIEW = {
    "rating": 5.0, "title": "Good", "text": "Good.", "images": [], "asin": "B000000000",
    "parent_asin": "B000000000", "user_id": "U", "timestamp": 1_600_000_000_000,
    "helpful_vote": 0, "verified_purchase": True,
}  # fmt: skip


def test_details_are_read_in_whatever_form_they_come(tmp_path: Path) -> None:
    details = {
        "Material": "Wood",
        "Best Sellers Rank": {"Toys": 5},
        "Package Weight": "1 pound",
        "Shape": None,
    }
    forms: list[Any] = [details, json.dumps(details), None, "no JSON", [], {"Theme ": " The\u200e sea"}]
    assert details_of(tmp_path, [{"details": form} for form in forms]) == [
        ("Material", "Wood"),
        ("Material", "Wood"),
        ("Theme", "The sea"),
    ]


def test_items_without_a_title_that_can_be_shown_are_left_out(tmp_path: Path) -> None:
    details = {"Material": "Wood"}
    titles = [
        None,
        "",
        "x" * 1_000_000,
        "<b>A thing of wood</b>",
        "A thing &eacute; of wood",
        "Un juguete para niños",
    ]
    assert details_of(tmp_path, [{"title": title, "details": details} for title in titles]) == []


def test_a_category_of_several_places_in_the_tree_is_none(tmp_path: Path) -> None:
    paths = [
        ["Toys", "Play", "Sets"],
        ["Toys", "Play", "Balls"],
        ["Sports", "Balls"],
        ["Toys", "Play", "Kites"],
        [],
        None,
    ]
    details_of(tmp_path, [{"categories": path} for path in paths])
    recipe = load("reviews_attributes")
    with open_seeds(recipe.sources, tmp_path, 7) as opened:
        found = opened.connection.execute("select category from reviews.categories").fetchall()
    assert found == [("Kites",)]


def test_what_goes_with_a_third_thing_alone_is_no_complement(market: Path, tmp_path: Path) -> None:
    """Cups of blenders and chopping boards go with blenders, not with each other."""
    words = load_yaml(Path(items.__code__.co_filename).with_name("items.yaml"))
    of_shelf = {
        " > ".join(row["category"].split(" > ")[-2:]): key
        for group in ("types", "parts")
        for key, row in words[group].items()
    }
    goes = {(key, other) for key, kind in catalogue().types.items() for other in kind.complements}
    goes |= {(key, part["of"]) for key, part in words["parts"].items()}
    rows = rows_of(market, "reviews_purchases/complementary_category", tmp_path)
    pairs = [(of_shelf[row["category"]], of_shelf[row["correct"]]) for row in rows]
    astray = [pair for pair in pairs if not {pair, pair[::-1]} & goes]
    assert len(astray) <= 0.15 * len(pairs), astray


def write_titles(seeds: Path, told: dict[str, dict[str, str]]) -> Path:
    """Items with these titles and details."""
    rows = [
        {**ITEM, "parent_asin": f"B{place:09}", "title": title, "details": details}
        for place, (title, details) in enumerate(told.items())
    ]
    write_lines(seeds / "reviews" / "meta_Toys.jsonl", rows)
    write_lines(seeds / "reviews" / "Toys.jsonl", [REVIEW])
    return seeds


def test_a_value_to_copy_is_the_only_one_in_the_title(tmp_path: Path) -> None:
    told = {
        "A set of oak blocks for the floor": {"Material": "Oak"},
        "A cotton bag of oak blocks": {"Material": "Cotton"},
        "Red blocks for boys and toddlers": {"Department": "Boys"},
        "Breathable bag for blocks with a filter pocket": {"Special Feature": "Breathable"},
        "A reusable bag for many blocks": {"Reusability": "Reusable"},
    }
    rows = rows_of(write_titles(tmp_path, told), "reviews_attributes/value_of_attribute", tmp_path)
    assert [(row["name"], row["entities"]) for row in rows] == [("material", ["oak"])]


def test_nobody_names_the_attribute_of_whom_a_thing_is_for(tmp_path: Path) -> None:
    details = {"Department": "womens", "Material": "cotton"}
    features = ["This womens hat goes with whatever you wear", "Knitted from cotton for the whole summer"]
    seeds = write_titles(tmp_path, {"A hat for the beach": details})
    path = seeds / "reviews" / "meta_Toys.jsonl"
    write_lines(path, [{**row, "features": features} for row in read_lines(seeds, "meta_*.jsonl")])
    rows = rows_of(seeds, "reviews_attributes/attribute_name", tmp_path)
    assert [row["reference"] for row in rows] == ["material"]
