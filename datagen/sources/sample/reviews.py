"""The reviews of the sample shop's items in the layout of Amazon Reviews: JSON Lines, a file a category.

An item has a temper: most of its reviews agree. A rating says how many of a review's sentences praise, and
how many complain; what is helpful tells details, what is not fills as many lines with nothing.
"""

import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from datagen.sources.sample.catalogue import catalogue, load_yaml
from datagen.sources.sample.items import Item, Purchase

TEMPERS = (
    (0.80, 0.14, 0.04, 0.01, 0.01),
    (0.30, 0.50, 0.10, 0.06, 0.04),
    (0.14, 0.22, 0.28, 0.22, 0.14),
    (0.02, 0.04, 0.08, 0.28, 0.58),
    (0.01, 0.02, 0.02, 0.12, 0.83),
)
"""Shares of one to five stars, from an item that nobody likes to one that all do."""

MOODS = {
    1: ((0, 2), (0, 3)),
    2: ((1, 2), (1, 3)),
    3: ((1, 1), (2, 2)),
    4: ((2, 1), (3, 1)),
    5: ((2, 0), (3, 0)),
}
"""Sentences that praise and that complain, by stars."""

HELPFUL, BARE, ASIDE = 0.16, 0.12, 0.3
"""Shares: of reviews that help; of titles that name stars alone; of sentences with an aside."""

_CHOICE = re.compile(r"\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class Aspect:
    """What customers say of one aspect, by whether they praise; `of` are product types, none for all."""

    of: frozenset[str]
    said: Mapping[bool, tuple[str, ...]]
    titles: Mapping[bool, tuple[str, ...]]


def write_reviews(folder: Path, bought: Iterable[Purchase], *, seed: int = 7) -> None:
    """Write a review of every purchase into `<Category>.jsonl` files below `folder`."""
    rng = random.Random(f"{seed}/reviews")
    tempers: dict[str, Sequence[float]] = {}
    files: dict[str, list[str]] = {}
    for purchase in bought:
        temper = tempers.setdefault(purchase.item.id, TEMPERS[len(tempers) % len(TEMPERS)])
        row = _review(purchase, temper, rng)
        files.setdefault(purchase.item.file, []).append(json.dumps(row, ensure_ascii=False))
    for name, lines in files.items():
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _review(purchase: Purchase, temper: Sequence[float], rng: random.Random) -> dict[str, Any]:
    """One line of a file, with the publisher's keys in their order."""
    stars = rng.choices((1, 2, 3, 4, 5), temper)[0]
    title, text, votes = _written(purchase.item, stars, rng)
    return {
        "rating": float(stars),
        "title": title,
        "text": text,
        "images": [],
        "asin": purchase.item.id,
        "parent_asin": purchase.item.id,
        "user_id": purchase.user,
        "timestamp": purchase.time,
        "helpful_vote": votes,
        "verified_purchase": rng.random() < 0.9,
    }


def _written(item: Item, stars: int, rng: random.Random) -> tuple[str, str, int]:
    """A review's title, its text, and how many found it helpful."""
    words, helpful = _words(), rng.random() < HELPFUL
    aspects = [aspect for aspect in words.aspects if not aspect.of or item.kind in aspect.of]
    praise, complaint = rng.choice(MOODS[stars])
    moods = [True] * praise + [False] * complaint
    said = list(zip(rng.sample(aspects, min(len(moods), len(aspects))), moods, strict=False))
    sentences = [_aside(_phrase(rng.choice(aspect.said[mood]), rng), rng) for aspect, mood in said]
    if stars == 3:
        sentences.append(_phrase(rng.choice(words.middling), rng))
    more = rng.choice((1, 2, 2))
    spare = words.details[item.file] if helpful else words.fillers
    sentences += [_phrase(line, rng) for line in rng.sample(spare, more)]
    rng.shuffle(sentences)
    if rng.random() < 0.6:
        kind = catalogue().types.get(item.kind)
        thing = kind.names[0][0].text if kind else item.kind.replace("_", " ")
        sentences.insert(0, _phrase(rng.choice(words.openers), rng).replace("{thing}", thing))
    if rng.random() < BARE:
        title = _phrase(words.bare[5 - stars], rng)
    elif stars == 3:
        title = _phrase(rng.choice(words.title_middling), rng)
    else:
        aspect = rng.choice([aspect for aspect, mood in said if mood == (stars > 3)])
        title = _phrase(rng.choice(aspect.titles[stars > 3]), rng)
    votes = 0 if rng.random() < 0.8 else rng.randrange(1, 3)
    if helpful:  # the more details, the better
        votes = rng.randrange(5, 9) if more == 1 else 16 + int(rng.expovariate(0.1))
    return title, " ".join(f"{sentence}." for sentence in sentences), votes


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
    read = load_yaml(Path(__file__).with_name("reviews.yaml"))
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
        details={name: lines for names, lines in read["details"].items() for name in names.split(", ")},
        openers=read["openers"],
        asides=read["asides"],
        fillers=read["fillers"],
        middling=read["middling"],
        title_middling=read["title_middling"],
        bare=read["title_bare"],
    )
