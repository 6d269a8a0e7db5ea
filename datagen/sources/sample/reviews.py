"""The reviews of the sample shop's items, in the layout of Amazon Reviews 2023: JSON Lines, a file a category.

Customers buy an item and often, within a week, one that goes with it. An item has a temper: most of its
reviews agree. A rating says how many of a review's sentences praise, and how many complain; what is
helpful tells details, what is not fills as many lines with nothing.
"""

import json
import random
import re
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from datagen.sources.sample.catalogue import catalogue

POPULAR, CROWD = 0.15, 12
"""The share of items that many buy, and how many more those are."""

TEMPERS = (
    (0.80, 0.14, 0.04, 0.01, 0.01),
    (0.30, 0.50, 0.10, 0.06, 0.04),
    (0.14, 0.22, 0.28, 0.22, 0.14),
    (0.02, 0.04, 0.08, 0.28, 0.58),
    (0.01, 0.02, 0.02, 0.12, 0.83),
)
"""Shares of one to five stars, from an item that nobody likes to one that all do."""

MOODS = {1: ((0, 2), (0, 3)), 2: ((1, 2), (1, 3)), 3: ((1, 1), (2, 2)), 4: ((2, 1), (3, 1)), 5: ((2, 0), (3, 0))}
"""Sentences that praise and that complain, by stars."""

SECOND, HELPFUL, BARE, ASIDE = 0.45, 0.16, 0.12, 0.3
"""Shares: of customers who buy what goes with it; of reviews that help; of titles that name stars alone; of
sentences with an aside."""

DAY = 86_400_000
FIRST_DAY = 1_546_300_800_000
"""In milliseconds; the first of January 2019."""

DAYS = 1_600

_CHOICE = re.compile(r"\(([^()]*)\)")


class Item(NamedTuple):
    """What a review is about: the category's file, the item's id, its product type and title."""

    category: str
    parent_asin: str
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Aspect:
    """What customers say of one aspect, by whether they praise; `of` are product types, none for all."""

    of: frozenset[str]
    said: Mapping[bool, tuple[str, ...]]
    titles: Mapping[bool, tuple[str, ...]]


def write_reviews(folder: Path, items: Sequence[Item], *, reviews: int, seed: int = 7) -> None:
    """Write `reviews` reviews of the items into `<category>.jsonl` files below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{seed}/reviews")
    shelf = _Shelf(items, rng)
    partial = {item.category: folder / f".{item.category}.jsonl.partial" for item in items}
    files = {category: path.open("w", encoding="utf-8") for category, path in partial.items()}
    try:
        written = customer = 0
        while written < reviews:
            for item, when in shelf.basket(rng):
                row = _review(item, shelf.temper[item.parent_asin], f"AE{customer:026d}", when, rng)
                files[item.category].write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
            customer += 1
    finally:
        for file in files.values():
            file.close()
    for category, path in partial.items():
        path.replace(folder / f"{category}.jsonl")


class _Shelf:
    """The items, with what draws customers to them and how they are liked."""

    def __init__(self, items: Sequence[Item], rng: random.Random) -> None:
        self._items = items
        weights = [CROWD if rng.random() < POPULAR else 1 for _ in items]
        self._sums = list(accumulate(weights))
        self.temper = {item.parent_asin: TEMPERS[place % len(TEMPERS)] for place, item in enumerate(items)}
        self._of_kind: dict[str, list[Item]] = {}
        for item in items:
            self._of_kind.setdefault(item.kind, []).append(item)

    def basket(self, rng: random.Random) -> list[tuple[Item, int]]:
        """What one customer buys and reviews, with the times of the reviews."""
        first = self._items[bisect(self._sums, rng.random() * self._sums[-1])]
        when = FIRST_DAY + rng.randrange(DAYS * DAY)
        bought = [(first, when)]
        others = [key for key in catalogue().types[first.kind].complements if key in self._of_kind]
        if others and rng.random() < SECOND:
            bought.append((rng.choice(self._of_kind[rng.choice(others)]), when + rng.randrange(6 * DAY)))
        return bought


def _review(
    item: Item, temper: Sequence[float], user: str, when: int, rng: random.Random
) -> dict[str, Any]:
    """One line of a file, with the publisher's keys in their order."""
    stars = rng.choices((1, 2, 3, 4, 5), temper)[0]
    helpful = rng.random() < HELPFUL
    title, text = _written(item, stars, helpful, rng)
    votes = 5 + int(rng.expovariate(0.1)) if helpful else 0 if rng.random() < 0.8 else rng.randrange(1, 4)
    return {
        "rating": float(stars),
        "title": title,
        "text": text,
        "images": [],
        "asin": item.parent_asin,
        "parent_asin": item.parent_asin,
        "user_id": user,
        "timestamp": when,
        "helpful_vote": votes,
        "verified_purchase": rng.random() < 0.9,
    }


def _written(item: Item, stars: int, helpful: bool, rng: random.Random) -> tuple[str, str]:
    """A review's title and text."""
    words = _words()
    aspects = [aspect for aspect in words.aspects if not aspect.of or item.kind in aspect.of]
    praise, complaint = rng.choice(MOODS[stars])
    moods = [True] * praise + [False] * complaint
    said = list(zip(rng.sample(aspects, min(len(moods), len(aspects))), moods, strict=False))
    sentences = [_aside(_phrase(rng.choice(aspect.said[mood]), rng), rng) for aspect, mood in said]
    if stars == 3:
        sentences.append(_phrase(rng.choice(words.middling), rng))
    spare = words.details.get(item.category) if helpful else words.fillers
    sentences += [_phrase(line, rng) for line in rng.sample(spare or words.fillers, rng.choice((1, 2, 2)))]
    rng.shuffle(sentences)
    if rng.random() < 0.6:
        thing = catalogue().types[item.kind].names[0][0].text
        sentences.insert(0, _phrase(rng.choice(words.openers), rng).replace("{thing}", thing))
    if rng.random() < BARE:
        title = _phrase(words.bare[5 - stars], rng)
    elif stars == 3:
        title = _phrase(rng.choice(words.title_middling), rng)
    else:
        aspect = rng.choice([aspect for aspect, mood in said if mood == (stars > 3)])
        title = _phrase(rng.choice(aspect.titles[stars > 3]), rng)
    return title, " ".join(f"{sentence}." for sentence in sentences)


def _phrase(text: str, rng: random.Random) -> str:
    """A sentence with one of each choice `(a|b)`, its first letter a capital."""
    chosen = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text).replace(" ,", ",")
    return chosen[0].upper() + chosen[1:]


def _aside(sentence: str, rng: random.Random) -> str:
    return f"{sentence}, {rng.choice(_words().asides)}" if rng.random() < ASIDE else sentence


@dataclass(frozen=True, slots=True)
class _Words:
    aspects: tuple[Aspect, ...]
    details: Mapping[str, list[str]]
    openers: list[str]
    asides: list[str]
    fillers: list[str]
    middling: list[str]
    title_middling: list[str]
    bare: list[str]


@cache
def _words() -> _Words:
    read = yaml.safe_load(Path(__file__).with_name("reviews.yaml").read_text(encoding="utf-8"))
    aspects = tuple(
        Aspect(
            of=frozenset(row["of"].split(", ") if "of" in row else ()),
            said={True: tuple(row["good"]), False: tuple(row["bad"])},
            titles={True: tuple(row["title_good"]), False: tuple(row["title_bad"])},
        )
        for row in read["aspects"].values()
    )
    return _Words(
        aspects=aspects,
        details=read["details"],
        openers=read["openers"],
        asides=read["asides"],
        fillers=read["fillers"],
        middling=read["middling"],
        title_middling=read["title_middling"],
        bare=read["title_bare"],
    )
