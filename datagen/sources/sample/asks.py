"""The wishes behind a query of the sample shop, and the judgement whether a product meets them.

An ask is one attribute that a query wants. A product has it, has another, or does not say. Only a
product that has all of them is an exact answer (E); one that misses a single one is a substitute (S).
"""

import random
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from datagen.sources.sample.catalogue import Feature, ProductType
from datagen.sources.sample.traits import Facts, one

WEIGHTS = {
    "color": 3.0,
    "brand": 2.0,
    "audience": 2.5,
    "size": 2.2,
    "material": 2.0,
    "uses": 2.4,
    "variant": 3.0,
    "pack": 0.6,
}
"""How often an attribute is asked for; a feature weighs 1."""

NEGATIONS = 0.11
MODEL_NUMBERS = 0.1
"""Shares of queries that want something absent; and that name the model, where the product has one."""


class Ask(NamedTuple):
    """An attribute that a query wants.

    `name` is a fact's name and `value` the fact's value; for `uses` the number of one use, for a feature
    whether it must be there (True) or must not (False).
    """

    name: str
    value: Any
    feature: Feature | None = None


def pick(kind: ProductType, known: Facts, seen: Facts, rng: random.Random) -> tuple[Ask, ...]:
    """What somebody asks for who would be happy with a product of which `known` is known.

    What is wanted comes from `seen`, all of that or the part that catches the eye.
    """
    chance = rng.random
    if "model" in seen and "brand" in seen and chance() < MODEL_NUMBERS:
        return Ask("brand", seen["brand"]), Ask("model", seen["model"])
    absent = [feature for feature in kind.features if feature.lacks and known.get(feature.key) is not True]
    if absent and chance() < NEGATIONS:
        said = [feature for feature in absent if known.get(feature.key) is False]
        feature = one(said or absent, rng)
        return *_some(kind, seen, 1 if chance() < 0.4 else 0, rng), Ask(feature.key, False, feature)
    number = chance()
    return _some(kind, seen, 0 if number < 0.1 else 1 if number < 0.5 else 2 if number < 0.86 else 3, rng)


def _some(kind: ProductType, known: Facts, count: int, rng: random.Random) -> tuple[Ask, ...]:
    """`count` attributes of the product, drawn by weight (Efraimidis and Spirakis, 2006)."""
    if not count:
        return ()
    asks = [(rng.random() ** (1 / WEIGHTS[name]), ask) for name in WEIGHTS if (ask := _ask(name, known, rng))]
    asks += [
        (rng.random(), Ask(feature.key, True, feature)) for feature in kind.features if known.get(feature.key)
    ]
    asks.sort(key=lambda pair: pair[0], reverse=True)
    return tuple(ask for _, ask in asks[:count])


def _ask(name: str, known: Facts, rng: random.Random) -> Ask | None:
    value = known.get(name)
    if name == "uses":
        return Ask(name, one(value, rng)) if value else None
    return None if value is None or (name == "pack" and value == 1) else Ask(name, value)


def judge(shelf: Sequence[Facts], asks: tuple[Ask, ...]) -> list[Literal["E", "S"] | None]:
    """For each product of the right type: E if it has all that is asked for, S if one thing is off.

    None where more is off, or where the listing does not say enough to tell.
    """
    if not asks:
        return ["E"] * len(shelf)
    answers = zip(*(_has(shelf, ask) for ask in asks), strict=True)
    return [_label(row) for row in answers]


@cache
def _label(row: tuple[bool | None, ...]) -> Literal["E", "S"] | None:
    if all(row):
        return "E"
    return "S" if None not in row and row.count(False) == 1 else None


def _has(shelf: Sequence[Facts], ask: Ask) -> list[bool | None]:
    """Whether each product has what is asked for; None where its listing does not say."""
    name, value, feature = ask
    if feature:  # a listing that is silent about a feature does not offer it
        return [(known.get(name) is True) == value for known in shelf]
    if name == "uses":
        return [value in known["uses"] if known["uses"] else None for known in shelf]
    return [None if (mine := known.get(name)) is None else mine == value for known in shelf]
