"""The words of the sample shop, from its YAML files to typed records.

A value in three languages is a tuple in the order of `LOCALES`. Brands are made up here from syllables.
All words are this project's own, and no brand is meant to be a real one.
"""

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

LOCALES = ("us", "es", "jp")

BRANDS_PER_DEPARTMENT = 320

Words = tuple[str, str, str]
"""One thing in English, Spanish and Japanese."""

Columns = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Several things in each of the three languages."""


class Line(NamedTuple):
    """A bullet point about a feature; `head` is None where the feature's name is heading enough."""

    head: str | None
    text: str


Lines = tuple[tuple[Line, ...], tuple[Line, ...], tuple[Line, ...]]
"""Bullet points in each of the three languages."""


@dataclass(frozen=True, slots=True)
class Name:
    """What a type is called in one language; `form` is m, f, mp or fp in Spanish, else empty."""

    text: str
    form: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """A quality (waterproof), or a part that a product has, or says it lacks (wheels).

    `lacks` and `lack_lines` are None for a quality: nobody sells a bag as not waterproof.
    """

    key: str
    has: Words
    lacks: Words | None
    part: Words | None
    lines: Lines
    lack_lines: Lines | None


@dataclass(frozen=True, slots=True, eq=False)
class Color:
    """A shade, in a family whose plain word every shade holds in every language."""

    family: str
    name: Words


@dataclass(frozen=True, slots=True, eq=False)
class ProductType:
    """One kind of thing the shop sells; `complements` and `unlike` are keys of other types.

    `counter` is the word by which Japanese counts it.
    """

    key: str
    department: str
    names: tuple[tuple[Name, ...], tuple[Name, ...], tuple[Name, ...]]
    sizes: tuple[Words, ...]
    materials: tuple[str, ...]
    palette: tuple[str, ...]
    audiences: tuple[str, ...]
    uses: tuple[Words, ...]
    variants: tuple[Words, ...]
    features: tuple[Feature, ...]
    packs: tuple[int, ...]
    counter: str
    complements: tuple[str, ...]
    unlike: tuple[str, ...]
    lines: tuple[Words, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Brand:
    """An invented brand as each marketplace writes it, and the lines it sells under."""

    name: Words
    series: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All words, by key. `shades` and `colors_asked` go by family, `phrases` by what they tell."""

    types: dict[str, ProductType]
    brands: dict[str, tuple[Brand, ...]]
    shades: dict[str, tuple[Color, ...]]
    colors_asked: dict[str, Columns]
    materials: dict[str, Words]
    audiences: dict[str, Columns]
    phrases: dict[str, Columns]
    heads: dict[str, Columns]
    questions: Columns
    departments: dict[str, tuple[str, ...]]


@cache
def catalogue() -> Catalogue:
    """Everything the generator can say; read once a process."""
    folder = Path(__file__).parent
    words = load_yaml(folder / "words.yaml")
    features = {key: _feature(key, row) for key, row in load_yaml(folder / "features.yaml").items()}
    types: dict[str, ProductType] = {}
    for path in sorted((folder / "types").glob("*.yaml")):
        for key, row in load_yaml(path).items():
            types[key] = _type(key, path.stem, row, words, features)
    departments: dict[str, tuple[str, ...]] = {}
    for kind in types.values():
        departments[kind.department] = (*departments.get(kind.department, ()), kind.key)
    colors = {family: _lists(row) for family, row in words["colors"].items()}
    return Catalogue(
        types=types,
        brands=_brands(words, list(departments)),
        shades={
            family: tuple(Color(family, shade) for shade in zip(*row[:3], strict=True))
            for family, row in colors.items()
        },
        colors_asked={family: ((row[0][0].lower(),), (row[1][0],), row[3]) for family, row in colors.items()},
        materials={key: _words(row) for key, row in words["materials"].items()},
        audiences={key: _three(_lists(row)) for key, row in words["audiences"].items()},
        phrases={key: _by_locale(row) for key, row in words["phrases"].items()},
        heads={key: _three(_lists(row)) for key, row in words["heads"].items()},
        questions=_by_locale(words["questions"]),
        departments=departments,
    )


def load_yaml(path: Path) -> dict[str, Any]:
    """A file of words."""
    # libyaml's loader is ten times faster, but not there with every build of PyYAML
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    return loaded


def _words(text: str) -> Words:
    english, spanish, japanese = text.split(" | ")
    return english, spanish, japanese


def _lists(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(column.strip().split(", ")) for column in text.split("|"))


def _three(columns: tuple[tuple[str, ...], ...]) -> Columns:
    english, spanish, japanese = columns
    return english, spanish, japanese


def _by_locale(row: dict[str, list[str]]) -> Columns:
    return tuple(row["us"]), tuple(row["es"]), tuple(row["jp"])


def _keys(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(", ")) if text else ()


def _feature(key: str, row: dict[str, Any]) -> Feature:
    lines = _headed(row["lines"])
    if "is" in row:
        return Feature(key, _words(row["is"]), None, None, lines, None)
    english, spanish, japanese = part = _words(row["part"])
    has = _words(row.get("has", f"with {english} | con {spanish} | {japanese}付き"))
    lacks = _words(row.get("lacks", f"without {english} | sin {spanish} | {japanese}なし"))
    return Feature(key, has, lacks, part, lines, _headed(row["lack_lines"]))


def _headed(row: dict[str, list[str]]) -> Lines:
    """Bullet points, `Heading = text` or the text alone."""
    english, spanish, japanese = (
        tuple(Line(head or None, text) for head, _, text in (line.rpartition(" = ") for line in lines))
        for lines in _by_locale(row)
    )
    return english, spanish, japanese


def _type(
    key: str, department: str, row: dict[str, Any], words: dict[str, Any], features: dict[str, Feature]
) -> ProductType:
    names = row["names"]
    spanish = (name.split(" ", 1) for name in names["es"].split(", "))
    return ProductType(
        key=key,
        department=department,
        names=(
            tuple(Name(name) for name in names["us"].split(", ")),
            tuple(Name(text, form) for form, text in spanish),
            tuple(Name(name) for name in names["jp"].split(", ")),
        ),
        sizes=_sizes(str(row.get("size", "")), words["scales"]),
        materials=_keys(row.get("material")),
        palette=_keys(words["palettes"][row["color"]]) if "color" in row else (),
        audiences=_keys(row.get("audience")),
        uses=tuple(_words(use) for use in row.get("use", ())),
        variants=tuple(_words(variant) for variant in row.get("variant", ())),
        features=tuple(features[name] for name in _keys(row["features"])),
        packs=tuple(int(pack) for pack in _keys(str(row.get("pack", "")))),
        counter=row.get("counter", "個"),
        complements=_keys(row.get("with")),
        unlike=_keys(row["unlike"]),
        lines=tuple(_words(line) for line in row["lines"]),
    )


def _sizes(text: str, scales: dict[str, str]) -> tuple[Words, ...]:
    """The sizes of a type: the name of a scale, three columns, or one column that all languages share."""
    if not text:
        return ()
    columns = _lists(scales.get(text, text))
    english, spanish, japanese = columns * 3 if len(columns) == 1 else columns
    return tuple(zip(english, spanish, japanese, strict=True))


def _brands(words: dict[str, Any], departments: list[str]) -> dict[str, tuple[Brand, ...]]:
    """As many brands for each department, no name twice; the same ones whatever the seed of a data set."""
    rng = random.Random("brands")
    series, avoid = words["series"].split(", "), words["avoid"].split(", ")
    known: set[str] = set()
    brands: dict[str, tuple[Brand, ...]] = {}
    for department in departments:
        mine: list[Brand] = []
        while len(mine) < BRANDS_PER_DEPARTMENT:
            latin, japanese = _brand_name(words, rng)
            core = latin.split(" ")[0].lower()
            if core in known or japanese in known or any(word in latin.lower() for word in avoid):
                continue
            known |= {core, japanese}
            mine.append(Brand((latin, latin, japanese), tuple(rng.sample(series, 3))))
        brands[department] = tuple(mine)
    return brands


def _brand_name(words: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """A name in Latin letters, and as Japanese shops write it: with its kana, in kana alone, or in kanji."""
    syllables = [rng.choice(words["syllables"][place].split(", ")) for place in ("first", "middle", "last")]
    latin = "".join(syllable.split(" ")[0] for syllable in syllables).capitalize()
    kana = "".join(syllable.split(" ")[1] for syllable in syllables)
    style = rng.random()
    if style < 0.12:
        latin = latin.upper()
    elif style < 0.24:
        latin = f"{latin} {rng.choice(words['brand_words'].split(', '))}"
    elif style < 0.28:
        partner = [rng.choice(words["syllables"][place].split(", ")) for place in ("first", "last")]
        latin = f"{latin} & {''.join(syllable.split(' ')[0] for syllable in partner).capitalize()}"
    kanji = "".join(rng.choice(words["kanji"][place].split(", ")) for place in ("first", "last"))
    return latin, rng.choices((latin, f"{latin}({kana})", kana, kanji), (45, 35, 18, 2))[0]
