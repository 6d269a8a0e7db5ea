"""The items of the sample shop as Amazon Reviews lists them, and who bought which of them when.

An item of a type that the sample's ESCI sells is one of its products, with the same id, title and bullet
points. What else a page shows, such as its category and details, comes from `items.yaml`. There are parts
besides, each for another item, which its title names.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from datagen.sources.sample import english
from datagen.sources.sample.catalogue import ProductType, catalogue, load_yaml
from datagen.sources.sample.esci import blocks
from datagen.sources.sample.market import Block, Listing, stock
from datagen.sources.sample.traits import one

ITEMS_A_TYPE, PARTS_A_TYPE = 22, 24

USERS = 1_500

CIRCLES = (6, 3, 2)
"""How many users favour each third of the brands."""

STRAY = 0.1
"""Share of bought items that have nothing to do with the rest."""

DAY = 86_400_000
FIRST_DAY, DAYS = 16_800, 2_400
"""Days since 1970 on which things are bought: seven years from 2015."""

OWN_BLOCK = -1
"""A block of the market that no locale has: its ids are nobody else's."""

PARCEL = (
    "Date First Available",
    "Package Dimensions",
    "Item model number",
    "Best Sellers Rank",
    "Manufacturer",
)


class Item(NamedTuple):
    """An item: its type's or part's key, and what the publisher's file holds of it.

    `model` is its brand and model as a part's title names it; empty where it has none.
    """

    id: str
    kind: str
    row: dict[str, Any]
    model: str = ""

    @property
    def file(self) -> str:
        """The category as it stands in the names of the publisher's files."""
        return str(self.row["categories"][0]).replace("&", "and").replace(" ", "_")


class Purchase(NamedTuple):
    """Who bought an item, and when, in milliseconds since 1970."""

    user: str
    item: Item
    time: int


@cache
def _words() -> dict[str, Any]:
    return load_yaml(Path(__file__).with_name("items.yaml"))


def items(products: int, seed: int) -> list[Item]:
    """Some 1,300 items; `products` is the number that `write_esci` gets, or else ids would not be shared."""
    rng = random.Random(f"{seed}/items")
    made = [
        _item(listing, catalogue().types[key], rng)
        for key, shelf in _shelves(products, seed).items()
        for listing in shelf
    ]
    return made + [part for key in _words()["parts"] for part in _parts(key, made, rng)]


def _shelves(products: int, seed: int) -> dict[str, list[Listing]]:
    """Listings of the types in `items.yaml`: those of the sample's ESCI, or own ones where it sells none."""
    block, first, sold = next(blocks(products, 0, seed))
    there = stock(block, sold, first)
    others = [
        kind for key, kind in catalogue().types.items() if key in _words()["types"] and key not in there
    ]
    own = Block(others, 0, OWN_BLOCK, seed)
    there |= stock(own, ITEMS_A_TYPE * len(others), 10**9) if others else {}
    return {key: there[key][:ITEMS_A_TYPE] for key in _words()["types"]}


def _item(listing: Listing, kind: ProductType, rng: random.Random) -> Item:
    own = _words()["types"][kind.key]
    brand = listing.known["brand"].name[0]
    details = {"Brand": listing.brand} | _shown(listing, kind, own)
    extra = _extra(own, rng)
    told = [line for line in map(_told, extra.items()) if line and rng.random() < 0.6]
    features = (listing.bullets.split("\n") if listing.bullets else []) + told
    rng.shuffle(features)
    model = f"{brand} {listing.known['model']}" if "model" in listing.known else ""
    row = _row(listing.id, listing.title, own["category"], brand, features, details | extra, rng)
    row["description"] = [listing.description] if listing.description else []
    return Item(listing.id, kind.key, row, model)


def _shown(listing: Listing, kind: ProductType, own: Mapping[str, Any]) -> dict[str, str | None]:
    """The details that the page's text tells as well."""
    known, words = listing.known, catalogue()
    has = [english.cap(feature.has[0]) for feature in kind.features if known.get(feature.key) is True]
    shown = {
        "Color": listing.color,
        "Material": english.cap(words.materials[known["material"]][0]) if "material" in known else None,
        own.get("size", ""): kind.sizes[known["size"]][0] if "size" in known else None,
        own.get("variant", ""): english.cap(kind.variants[known["variant"]][0])
        if "variant" in known
        else None,
        "Special Feature": ", ".join(has) or None,
        "Number of Pieces": str(known["pack"]) if known["pack"] > 1 else None,
    }
    return {name: value for name, value in shown.items() if name}


def _extra(own: Mapping[str, Any], rng: random.Random) -> dict[str, str | None]:
    """The details that no title tells, now and then one missing."""
    return {
        name: english.first(one(values.split(", "), rng)) if rng.random() < 0.85 else None
        for name, values in own.get("details", {}).items()
    }


def _told(detail: tuple[str, str | None]) -> str | None:
    name, value = detail
    phrase = _words()["told"].get(name)
    return (
        phrase.format(value if value[1:2].isupper() else value[0].lower() + value[1:])
        if phrase and value
        else None
    )


def _row(
    code: str,
    title: str,
    category: str,
    brand: str,
    features: list[str],
    details: Mapping[str, str | None],
    rng: random.Random,
) -> dict[str, Any]:
    """A line of the publisher's file, with the data of the parcel that most have."""
    path = category.split(" > ")
    long, wide, day, year = (int(place * rng.random()) for place in (9, 6, 28, 10))
    parcel = {
        "Date First Available": f"March {1 + day}, {2012 + year}",
        "Package Dimensions": f"{4 + long} x {3 + wide} x 2 inches; 9 ounces",
        "Item model number": code[-5:],
        "Best Sellers Rank": f"#{1000 + int(90_000 * rng.random()):,} in {path[0]}",
        "Manufacturer": brand,
    }
    kept = {name: parcel[name] for name in PARCEL if rng.random() < 0.7}
    return {
        "main_category": path[0],
        "title": title,
        "average_rating": round(3.2 + 1.7 * rng.random(), 1),
        "rating_number": int(2000 * rng.random() ** 3) + 1,
        "features": features,
        "description": [],
        "price": round(5 + 90 * rng.random() ** 2, 2) if rng.random() < 0.7 else None,
        "images": [],
        "videos": [],
        "store": brand,
        "categories": path,
        "details": {name: value for name, value in details.items() if value} | kept,
        "parent_asin": code,
        "bought_together": None,
    }


def _parts(key: str, made: Sequence[Item], rng: random.Random) -> list[Item]:
    """Parts for items that have a model, three for each, and for other models of their brands."""
    own = _words()["parts"][key]
    models = [item.model for item in made if item.kind == own["of"] and item.model]
    models = [*models, *models, *models, *(_sister(model, rng) for model in models * PARTS_A_TYPE)]
    brands = catalogue().brands[catalogue().types[own["of"]].department]
    parts = []
    for number, model in enumerate(models[:PARTS_A_TYPE]):
        title = one(own["titles"], rng).format(model)
        extra = _extra(own, rng)
        brand = one(brands, rng).name[0]
        code = f"B1{key[:2].upper()}{number:06}"
        told = [line for line in map(_told, extra.items()) if line]
        row = _row(code, title, own["category"], brand, told, {"Brand": brand} | extra, rng)
        parts.append(Item(code, key, row, model))
    return parts


def _sister(model: str, rng: random.Random) -> str:
    """Another model of its brand: a near miss."""
    return f"{model[:-1]}{int(10 * rng.random())}{one(('', '', 'S', 'X'), rng)}"


def purchases(made: Sequence[Item], seed: int) -> list[Purchase]:
    """Some 7,000 purchases with a structure to be found: within days a user buys what goes together.

    That are types that complement one another, of brands of one circle: each user favours one.
    """
    rng = random.Random(f"{seed}/purchases")
    shelves = _circles(made)
    goes_with = _companions(shelves)
    themes = sorted(goes_with, key=lambda key: rng.random())
    weights = [1 / (2 + place) for place in range(len(themes))]
    bought: list[Purchase] = []
    for number in range(USERS):
        user = f"SHOPPER{number:06}"
        [circle] = rng.choices(range(len(CIRCLES)), CIRCLES)
        for _ in range(1 + int(5 * rng.random())):
            [theme] = rng.choices(themes, weights)
            day = FIRST_DAY + int(DAYS * rng.random())
            basket = {item.id: item for item in _basket(theme, circle, shelves, goes_with, rng)}
            for item in basket.values():
                bought.append(
                    Purchase(user, item, (day + int(5 * rng.random())) * DAY + int(DAY * rng.random()))
                )
    return bought


def _circles(made: Iterable[Item]) -> dict[str, list[list[Item]]]:
    """The items of each kind in circles by brand, the commonest brands dealt out first."""
    kinds: dict[str, dict[str, list[Item]]] = {}
    for item in made:
        kinds.setdefault(item.kind, {}).setdefault(item.row["store"], []).append(item)
    circles: dict[str, list[list[Item]]] = {}
    for kind, brands in kinds.items():
        order = sorted(brands.values(), key=len, reverse=True)
        circles[kind] = [
            [item for brand in order[first :: len(CIRCLES)] for item in brand]
            for first in range(len(CIRCLES))
        ]
    return circles


def _companions(kinds: Iterable[str]) -> dict[str, list[str]]:
    """What goes with each kind, both ways: its type's complements, and the parts of it."""
    pairs = [(kind, other) for kind, row in catalogue().types.items() for other in row.complements]
    pairs += [(part, row["of"]) for part, row in _words()["parts"].items()]
    there = set(kinds)
    found: dict[str, list[str]] = {kind: [] for kind in kinds}
    for one_kind, other in pairs:
        if one_kind in there and other in there:
            found[one_kind].append(other)
            found[other].append(one_kind)
    return {kind: list(dict.fromkeys(others)) for kind, others in found.items() if others}


def _basket(
    theme: str,
    circle: int,
    shelves: Mapping[str, list[list[Item]]],
    goes_with: Mapping[str, list[str]],
    rng: random.Random,
) -> list[Item]:
    """An item of the theme and one that goes with it, mostly of the user's circle; seldom two.

    Two that go with a third need not go with each other.
    """
    near = goes_with[theme]
    kinds = [theme, *(one(near, rng) for _ in range(1 + int(1.2 * rng.random())))]
    bought = []
    for kind in kinds:
        other = rng.random() < STRAY
        shelf = shelves[one(list(shelves), rng) if other else kind]
        own = shelf[circle] or shelf[0]
        # squared, so that some items of a shelf sell much more than others
        bought.append(own[int(len(own) * rng.random() ** 2)])
    return bought


def write_items(folder: Path, made: Iterable[Item]) -> None:
    """Write the publisher's `meta_<Category>.jsonl` files."""
    files: dict[str, list[str]] = {}
    for item in made:
        files.setdefault(item.file, []).append(json.dumps(item.row, ensure_ascii=False))
    for name, lines in files.items():
        (folder / f"meta_{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
