"""The sample shop written as files in Amazon-M2's layout: products of six marketplaces, and sessions.

The products are of some departments, a third of them under the ids and with the traits that ESCI's part of
the sample sells everywhere. A session stays with things of one type and what goes with them, and mostly with
brands that the same people like, so that the next product can be guessed.
"""

import csv
import itertools
import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from datagen.sources.sample import english, japanese, spanish
from datagen.sources.sample.catalogue import catalogue
from datagen.sources.sample.market import ABROAD, Block, product_code, sold_abroad
from datagen.sources.sample.traits import Traits, draw, one, shorter, suited, tell
from datagen.sources.sample.wording import clauses, joined

LOCALES = {"UK": 0.22, "DE": 0.2, "JP": 0.2, "ES": 0.16, "FR": 0.11, "IT": 0.11}
"""The marketplaces, and their shares of the sessions: small ones have more than in the real data."""

CURRENCIES = {"UK": 0.86, "JP": 160.0}
"""What a euro is worth where prices are in something else."""

FILLER = 40000000.07
"""The publisher's price of what has none."""

INVISIBLE = "\u200e"

HOME = 10
"""Products of each type and block that Amazon-M2's part alone sells."""

KIN = 4
"""Brands that the same people like."""

BRANDS = 12
"""Brands of a department and block beside those sold abroad."""

FIRST = 2**33
"""The number of the first product that ESCI's part does not sell."""

SOLD = 0.95
"""The share of products that a marketplace lists."""

COLUMNS = ("id", "locale", "title", "price", "brand", "color", "size", "model", "material", "author", "desc")


class Item(NamedTuple):
    """A product with what its titles and its descriptions tell, and its price in euros."""

    id: str
    traits: Traits
    told: Traits
    points: list[tuple[str, int]]
    price: float
    circle: frozenset[str]
    """The brands that its buyers like."""
    demand: float
    """How often it is looked at: more often what ESCI's part sells, too, so that there are queries for it."""


class Words(NamedTuple):
    """`m2.yaml`: German, French and Italian, by what they name."""

    departments: list[str]
    types: dict[str, dict[str, list[tuple[str, ...]]]]
    colors: dict[str, tuple[str, ...]]
    materials: dict[str, tuple[str, ...]]
    audiences: dict[str, tuple[str, ...]]
    features: dict[str, tuple[str, ...]]
    size_words: dict[str, tuple[str, ...]]
    phrases: dict[str, list[tuple[str, ...]]]
    pack: tuple[str, ...]


@cache
def words() -> Words:
    """Everything that is said in the three languages; read once a process."""
    raw = yaml.safe_load(Path(__file__).with_name("m2.yaml").read_text(encoding="utf-8"))
    types = {
        key: {
            name: [_columns(text) for text in ([of] if isinstance(of, str) else of)]
            for name, of in row.items()
        }
        for key, row in raw["types"].items()
    }
    return Words(
        departments=raw["departments"].split(", "),
        types=types,
        phrases={name: [_columns(text) for text in of] for name, of in raw["phrases"].items()},
        pack=_columns(raw["pack"]),
        **{
            name: {key: _columns(text) for key, text in raw[name].items()}
            for name in ("colors", "materials", "audiences", "features", "size_words")
        },
    )


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split(" | "))


def write_m2(folder: Path, *, products: int, sessions: int, seed: int = 7) -> None:
    """Write products and sessions into `folder`, as CSV: about so many rows of each."""
    kinds = [kind for kind in catalogue().types.values() if kind.department in words().departments]
    blocks = max(1, round(products / (len(kinds) * (HOME + ABROAD) * len(LOCALES) * SOLD)))
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "products_train.csv").open("w", encoding="utf-8", newline="") as sold,
        (folder / "sessions_train.csv").open("w", encoding="utf-8", newline="") as visited,
    ):
        rows, visits = csv.writer(sold, lineterminator="\n"), csv.writer(visited, lineterminator="\n")
        rows.writerow(COLUMNS)
        visits.writerow(("prev_items", "next_item", "locale"))
        for number in range(blocks):
            items = _items(Block(kinds, 0, number, seed))
            for locale, share in LOCALES.items():
                rng = random.Random(f"{seed}/m2/{locale}/{number}")
                shelf = [item for item in items if rng.random() < SOLD]
                rows.writerows(_row(item, locale, rng) for item in shelf)
                wanted = round(sessions * share / blocks)
                visits.writerows((*visit, locale) for visit in _sessions(shelf, wanted, rng))


def _items(block: Block) -> list[Item]:
    """The products of a block: those that are sold abroad in ESCI's part, too, and some more of each type."""
    rng = random.Random(f"{block.seed}/m2/items/{block.number}")
    circles = {
        department: [brands[first : first + KIN] for first in range(0, BRANDS, KIN)]
        for department in words().departments
        for brands in [rng.sample(catalogue().brands[department], BRANDS)]
    }
    items: list[Item] = []
    for kind in block.kinds:
        known = list(itertools.chain(*circles[kind.department]))
        shelf = sold_abroad(kind, block)
        first = FIRST + (block.number * len(block.kinds) + block.kinds.index(kind)) * HOME
        shelf += [(product_code(first + place), draw(kind, [one(known, rng)], rng)) for place in range(HOME)]
        worth = 6 + 60 * rng.random() ** 2
        for place, (product, traits) in enumerate(shelf):
            circle = next(
                (of for of in circles[kind.department] if traits.brand in of),
                one(circles[kind.department], rng),
            )
            price = worth * (0.6 + 0.8 * rng.random()) * (1 + 0.3 * (traits.size or 0)) * traits.pack**0.6
            items.append(
                Item(
                    id=product,
                    traits=traits,
                    told=tell(traits, rng)._replace(branded=True),
                    points=_points(traits, rng),
                    price=price,
                    circle=frozenset(brand.name[0] for brand in circle),
                    demand=3.0 if place < ABROAD else 1.0,
                )
            )
    return items


def _points(traits: Traits, rng: random.Random) -> list[tuple[str, int]]:
    """What a description tells in all languages, as names and places."""
    first = [("kind", 0)] if rng.random() < 0.8 else []
    points = [("line", int(2 * rng.random()))]
    points += [("feature", place) for place in range(len(traits.has))][:1]
    points += [("material", rng.randrange(2))] if traits.material else []
    points += [("use", rng.randrange(2))] if traits.uses else []
    rng.shuffle(points)
    return first + points[: 2 + int(2 * rng.random())]


def _row(item: Item, locale: str, rng: random.Random) -> tuple[object, ...]:
    """A product as a marketplace lists it: what is not known is left empty."""
    chance, traits = rng.random, item.traits
    price: float | str = round(item.price * CURRENCIES.get(locale, 1.0)) + (0.0 if locale == "JP" else 0.99)
    if chance() < 0.05:
        price = FILLER
    return (
        item.id,
        locale,
        _title(item.told, locale, rng),
        price,
        "" if chance() < 0.04 else traits.brand.name[2 if locale == "JP" else 0],
        "" if traits.color is None or chance() < 0.15 else _color(traits, locale),
        "" if traits.size is None or chance() < 0.3 else _size(traits, locale),
        traits.model or (INVISIBLE if chance() < 0.3 else ""),
        "" if traits.material is None or chance() < 0.3 else _material(traits, locale),
        "",
        "" if chance() < 0.1 else _description(item, locale),
    )


PLACES = {"UK": english.INDEX, "ES": spanish.INDEX, "JP": japanese.INDEX, "DE": 0, "FR": 1, "IT": 2}
"""Where a marketplace's words stand, in the columns of ESCI's languages or of `m2.yaml`."""

ELDER = {"UK": english, "ES": spanish, "JP": japanese}
"""The marketplaces whose language ESCI's part has as well."""


def _color(traits: Traits, locale: str) -> str:
    assert traits.color
    if locale in ELDER:
        return str(ELDER[locale].color(traits.color.name[PLACES[locale]]))
    return words().colors[traits.color.name[0]][PLACES[locale]]


def _material(traits: Traits, locale: str) -> str:
    assert traits.material
    known = catalogue().materials if locale in ELDER else words().materials
    name = known[traits.material][PLACES[locale]]
    return name if locale == "JP" else english.first(name)


def _size(traits: Traits, locale: str) -> str:
    assert traits.size is not None
    size = traits.kind.sizes[traits.size]
    return size[PLACES[locale]] if locale in ELDER else _translated(size[1], PLACES[locale])


def _translated(size: str, place: int) -> str:
    """A Spanish size in another language: most are numbers with a unit."""
    for word, others in words().size_words.items():
        size = re.sub(rf"\b{word}\b", others[place], size)
    return size


def _title(told: Traits, locale: str, rng: random.Random) -> str:
    language = ELDER.get(locale)
    shortest, longest = (language.SHORTEST, language.LONGEST) if language else (30, 180)

    def written(told: Traits) -> str:
        return str(language.title(told, rng)) if language else _abroad(told, PLACES[locale], rng)

    title = written(told)
    if len(title) < shortest:
        title = written(suited(told, rng))
    while len(title) > longest:
        told = shorter(told)
        title = written(told)
    return title


def _abroad(told: Traits, place: int, rng: random.Random) -> str:
    """A German, French or Italian title."""
    known, kind, chance = words(), told.kind, rng.random()
    noun = english.first(one(known.types[kind.key]["names"][0][place].split(", "), rng))
    brand = told.brand.name[0] if told.branded else ""
    made = f"{('aus', 'en', 'in')[place]} {known.materials[told.material][place]}" if told.material else ""
    size = _translated(kind.sizes[told.size][1], place) if told.size is not None else ""
    color = english.first(known.colors[told.color.name[0]][place]) if told.color else ""
    pack = english.first(known.pack[place].format(told.pack)) if told.pack > 1 else ""
    variant = known.types[kind.key]["variant"][told.variant][place] if told.variant is not None else ""
    features = [known.features[feature.key][place] for feature in told.has]
    whom = known.audiences[told.audience][place] if told.audience else ""
    uses = [known.types[kind.key]["use"][use][place] for use in told.uses[:1]]
    if chance < 0.5:
        return clauses(
            [brand, told.series, noun, told.model, made, whom],
            [variant, *features, *uses, size, pack, color],
            ", ",
        )
    if chance < 0.75:
        tail = [*map(english.first, [variant, *features, *uses]), size, pack]
        title = clauses([brand, noun, told.series, told.model, made, whom], tail, one((" - ", " | "), rng))
        return f"{title} ({color})" if color else title
    return clauses(
        [noun, variant, made, whom, "-", brand, told.series, told.model],
        [*features, *uses, color, size, pack],
        ", ",
    )


def _description(item: Item, locale: str) -> str:
    """The sentences of a product's points, in the same order everywhere."""
    language = ELDER.get(locale)
    said = [_sentence(item.traits, name, place, locale) for name, place in item.points]
    if language:
        return str(language.GAP.join(f"{sentence}{language.STOP}" for sentence in said))
    return joined(said)


def _sentence(traits: Traits, name: str, number: int, locale: str) -> str:
    index, kind = PLACES[locale], traits.kind
    brand = traits.brand.name[2 if locale == "JP" else 0]
    if locale in ELDER:
        phrases = catalogue().phrases
        if name == "kind":
            noun = english.first(kind.names[index][0].text)
            return ("{} by {}", "{} de la marca {}", "{1}の{0}です")[index].format(noun, brand)
        if name == "line":
            return kind.lines[number][index]
        if name == "feature":
            return traits.has[number].lines[index][0].text
        if name == "material":
            value = catalogue().materials[traits.material or ""][index]
            return phrases[name][index][number].format(material=value)
        return phrases[name][index][number].format(use=kind.uses[traits.uses[0]][index])
    known = words()
    row = known.types[kind.key]
    if name == "kind":
        noun = english.first(row["names"][0][index].split(", ")[0])
        return f"{noun} {('von', 'de la marque', 'del marchio')[index]} {brand}."
    value = {
        "line": lambda: row["lines"][number][index],
        "feature": lambda: known.features[traits.has[number].key][index],
        "material": lambda: known.materials[traits.material or ""][index],
        "use": lambda: row["use"][traits.uses[0]][index],
    }[name]()
    return known.phrases[name][number if name in ("material", "use") else 0][index].format(value)


def _sessions(shelf: Sequence[Item], count: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Sessions in a marketplace: what was looked at, printed as numpy does, and what came next."""
    near: dict[int, tuple[list[str], list[float]]] = {}
    made = 0
    demand = list(itertools.accumulate(item.demand for item in shelf))
    while made < count:
        [start] = rng.choices(range(len(shelf)), cum_weights=demand)
        if start not in near:
            weights = [_nearness(shelf[start], item) for item in shelf]
            kept = [(item.id, weight) for item, weight in zip(shelf, weights, strict=True) if weight]
            near[start] = [item for item, _ in kept], list(itertools.accumulate(weight for _, weight in kept))
        items, sums = near[start]
        length = 2 + min(int(rng.expovariate(0.45)), 10)
        *before, last = [shelf[start].id, *rng.choices(items, cum_weights=sums, k=length)]
        if last not in before:
            yield _printed(before), last
            made += 1


def _nearness(start: Item, other: Item) -> float:
    """How much likelier a session that starts with one thing is to go on with another."""
    kind, of = start.traits.kind, other.traits.kind
    if kind is not of and of.key not in kind.complements and kind.key not in of.complements:
        return 0.0
    weight = other.demand * (2.0 if kind is of else 1.0)
    if other.traits.brand.name[0] in start.circle:
        weight *= 8.0
    if start.traits.color and other.traits.color and start.traits.color.family == other.traits.color.family:
        weight *= 2.0
    return weight


def _printed(items: Sequence[str]) -> str:
    """A numpy array of texts as it prints itself: no commas, five to a line."""
    lines = [" ".join(f"'{item}'" for item in items[first : first + 5]) for first in range(0, len(items), 5)]
    return "[" + "\n ".join(lines) + "]"
