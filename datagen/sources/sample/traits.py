"""The traits of a product in the sample shop, and the part of them that its listing tells.

The traits are the truth; a listing may tell fewer of them. `told` is what the title says. A judge knows only
what the listing shows, so that every label can be read off the text.
"""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from datagen.sources.sample.catalogue import Brand, Color, Feature, ProductType, catalogue

T = TypeVar("T")

Facts = dict[str, Any]
"""Attribute -> value, as far as the text shows it; `uses` and `pack` always count as shown."""

LETTERS = "ABCDEFGHKLMNPRSTVWXZ"

MODEL_SHARE = {"electronics": 0.5, "tools": 0.45, "sports": 0.2, "kitchen": 0.3, "beauty": 0.15, "home": 0.12}


class Traits(NamedTuple):
    """A product, or the part of it that a text tells: None and empty where it is silent.

    `branded` says whether the text names the brand.
    """

    kind: ProductType
    brand: Brand
    branded: bool = True
    series: str = ""
    model: str = ""
    size: int | None = None
    material: str | None = None
    color: Color | None = None
    audience: str | None = None
    variant: int | None = None
    pack: int = 1
    uses: tuple[int, ...] = ()
    has: tuple[Feature, ...] = ()
    lacks: tuple[Feature, ...] = ()


def draw(kind: ProductType, brands: Sequence[Brand], rng: random.Random) -> Traits:
    """A new product of `kind` from one of `brands` (the first ones sell most)."""
    chance = rng.random
    brand = brands[int(len(brands) * chance() * chance())]
    has, lacks = _features(kind, rng)
    return Traits(
        kind=kind,
        brand=brand,
        series=one(brand.series, rng) if chance() < 0.45 else "",
        model=_model(rng) if chance() < MODEL_SHARE.get(kind.department, 0.06) else "",
        size=int(len(kind.sizes) * chance()) if kind.sizes else None,
        material=one(kind.materials, rng) if kind.materials else None,
        color=_shade(kind, rng) if kind.palette else None,
        audience=one(kind.audiences, rng) if kind.audiences and chance() < 0.6 else None,
        variant=int(len(kind.variants) * chance()) if kind.variants else None,
        pack=one(kind.packs, rng) if kind.packs and chance() < 0.3 else 1,
        uses=_uses(kind, rng),
        has=has,
        lacks=lacks,
    )


def one(things: Sequence[T], rng: random.Random) -> T:
    """One of `things`; several times as fast as `rng.choice`."""
    return things[int(len(things) * rng.random())]


def turned(things: list[T], rng: random.Random) -> list[T]:
    """`things` from a random place on and round: order enough, at a tenth of a shuffle's price."""
    place = int(len(things) * rng.random())
    return things[place:] + things[:place]


def _features(kind: ProductType, rng: random.Random) -> tuple[tuple[Feature, ...], tuple[Feature, ...]]:
    """The features it has (about two in five), and the parts it says it lacks."""
    has, lacks = [], []
    for feature in kind.features:
        chance = rng.random()
        if chance < 0.4:
            has.append(feature)
        elif feature.lacks and chance < 0.62:
            lacks.append(feature)
    return tuple(has), tuple(lacks)


def _model(rng: random.Random) -> str:
    chance = rng.random
    head = LETTERS[int(20 * chance())] + (LETTERS[int(20 * chance())] if chance() < 0.6 else "")
    number = str(int(10 ** (2 + 2 * chance())))
    tail = LETTERS[int(20 * chance())] if chance() < 0.25 else ""
    return f"{head}{'-' if chance() < 0.4 else ''}{number}{tail}"


def _shade(kind: ProductType, rng: random.Random) -> Color:
    """The plain colour half of the time, else one of its family's shades."""
    shades = catalogue().shades[one(kind.palette, rng)]
    return shades[0] if rng.random() < 0.5 else one(shades, rng)


def _uses(kind: ProductType, rng: random.Random) -> tuple[int, ...]:
    if not kind.uses or rng.random() < 0.25:
        return ()
    first, count = int(len(kind.uses) * rng.random()), len(kind.uses)
    return (first,) if rng.random() < 0.65 else (first, (first + 1) % count)


def tell(traits: Traits, rng: random.Random) -> Traits:
    """The part of a product that its title tells: a laconic seller's or a talkative one's."""
    chance = rng.random
    talk = 0.45 + 0.5 * chance()
    has = tuple(feature for feature in traits.has if chance() < talk)
    return Traits(
        kind=traits.kind,
        brand=traits.brand,
        branded=chance() < 0.96,
        series=traits.series if chance() < 0.7 else "",
        model=traits.model,
        size=traits.size if chance() < talk + 0.15 else None,
        material=traits.material if chance() < talk else None,
        color=traits.color if chance() < 0.66 else None,
        audience=traits.audience if chance() < talk + 0.3 else None,
        variant=traits.variant,
        pack=traits.pack,
        uses=traits.uses if chance() < talk - 0.1 else (),
        has=has[:3],
        lacks=tuple(feature for feature in traits.lacks if chance() < talk)[:1],
    )


def features_told(told: Traits, index: int) -> list[str]:
    """How a language says what a product has and what it lacks."""
    return [feature.has[index] for feature in told.has] + [
        feature.lacks[index] for feature in told.lacks if feature.lacks
    ]


def shorter(told: Traits) -> Traits:
    """The same with the longest of its details left out: for a title that would not fit."""
    if told.uses:
        return told._replace(uses=())
    if len(told.has) > 1:
        return told._replace(has=told.has[:-1])
    if told.lacks:
        return told._replace(lacks=())
    return told._replace(series="", model="", has=())


def suited(traits: Traits, rng: random.Random) -> Traits:
    """The same product for a use, for somebody and of a series: for a title that would say too little."""
    kind = traits.kind
    return traits._replace(
        uses=traits.uses or ((int(len(kind.uses) * rng.random()),) if kind.uses else ()),
        audience=traits.audience or (one(kind.audiences, rng) if kind.audiences else None),
        series=traits.series or one(traits.brand.series, rng),
    )


def facts(shown: Traits) -> Facts:
    """What a judge can know of a product that shows these traits."""
    known: Facts = {"uses": shown.uses, "pack": shown.pack}
    if shown.branded:
        known["brand"] = shown.brand
    if shown.model:
        known["model"] = shown.model
    if shown.size is not None:
        known["size"] = shown.size
    if shown.material:
        known["material"] = shown.material
    if shown.color:
        known["color"] = shown.color.family
    if shown.audience:
        known["audience"] = shown.audience
    if shown.variant is not None:
        known["variant"] = shown.variant
    for feature in shown.has:
        known[feature.key] = True
    for feature in shown.lacks:
        known[feature.key] = False
    return known
