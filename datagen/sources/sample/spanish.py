"""The titles and queries of the sample shop in Spanish, with gender and number in agreement."""

import random
from functools import cache

from datagen.sources.sample import english
from datagen.sources.sample.asks import Ask
from datagen.sources.sample.catalogue import Name, ProductType, catalogue
from datagen.sources.sample.english import Layout, both, first
from datagen.sources.sample.traits import Traits, features_told, one
from datagen.sources.sample.wording import Pieces, clauses, joined

INDEX = 1
LONGEST, SHORTEST = 180, 40
STOP, GAP, AND, PIECES = ".", " ", " y ", "{} unidades"

SMALL_WORDS = {"de", "del", "la", "el", "las", "los", "con", "sin", "para", "y", "a", "en", "por", "al", "x"}
LOWER_CASE = SMALL_WORDS | {"cm", "ml", "mm", "m", "kg", "g"}
PREPOSITIONS = {"con", "sin", "de", "a", "para", "en"}
INVARIABLE = {
    *("beige", "multicolor", "antivaho", "antirreflejos", "antigolpes"),
    *("antitorceduras", "anticaspa", "antiolores", "anticólicos"),
}

ARTICLES = {"m": ("el", "un"), "f": ("la", "una"), "mp": ("los", "unos"), "fp": ("las", "unas")}

NO_ACCENTS = str.maketrans("áéíóúü", "aeiouu")


@cache
def agree(phrase: str, form: str) -> str:
    """An adjective, alone or at the head of a phrase, in the gender and number of `form` (m, f, mp, fp)."""
    word, _, rest = phrase.partition(" ")
    if word in PREPOSITIONS or word in INVARIABLE:
        return phrase
    if form.startswith("f") and word.endswith("o"):
        word = f"{word[:-1]}a"
    elif form.startswith("f") and word.endswith("dor"):
        word = f"{word}a"
    if form.endswith("p"):
        word = _plural_word(word)
    return f"{word} {rest}" if rest else word


def agree_color(name: str, form: str) -> str:
    """A colour in agreement; one of two words (azul marino) never changes."""
    return name if " " in name else agree(name, form)


@cache
def plural(phrase: str) -> str:
    """The plural of a type's name: the noun and its adjectives, up to the first preposition."""
    words = phrase.split(" ")
    end = next((place for place, word in enumerate(words) if word in PREPOSITIONS), len(words))
    return " ".join([_plural_word(word) for word in words[:end]] + words[end:])


def _plural_word(word: str) -> str:
    if word[-1] in "aeiouáéú":
        return f"{word}s"
    if word[-1] == "z":
        return f"{word[:-1]}ces"
    if word.endswith(("ón", "én", "ín", "án", "ún")):
        return f"{word[:-2]}{word[-2].translate(NO_ACCENTS)}{word[-1]}es"
    if (word[-1] == "s" and word != "gris") or not word.islower():  # paraguas; USB, microSD
        return word
    return f"{word}es"


def _cap(text: str) -> str:
    """A title in Title Case; small words, units and what already has capitals stay."""
    return " ".join(word if word.strip(",.()") in LOWER_CASE else first(word) for word in text.split(" "))


def title(told: Traits, rng: random.Random) -> str:
    """The title of a listing that tells these traits."""
    text = one(LAYOUTS, rng)(_pieces(told, rng), rng)
    chance = rng.random()
    if chance < 0.35:
        text = _cap(text)
    return text.replace(" ", "  ", 1) if chance > 0.985 else text


def _pieces(told: Traits, rng: random.Random) -> Pieces:
    chance = rng.random
    words, kind = catalogue(), told.kind
    name = one(kind.names[1], rng)
    brand = told.brand.name[1] if told.branded else ""
    if chance() < 0.03:
        brand = brand.upper() if chance() < 0.5 else brand.replace("&", "&amp;")
    phrases = [agree(phrase, name.form) for phrase in features_told(told, INDEX)]
    color = told.color.name[1] if told.color else ""
    pack = one(("Pack de {}", "Lote de {}", "{} unidades"), rng).format(told.pack) if told.pack > 1 else ""
    return Pieces(
        brand=brand,
        noun=first(name.text),
        other=agree_color(color, name.form) if color else "",
        series=told.series,
        model=told.model,
        adjectives=[phrase for phrase in phrases if not phrase.startswith(("con ", "sin "))],
        parts=_parts([phrase for phrase in phrases if phrase.startswith(("con ", "sin "))]),
        material=f"de {words.materials[told.material][1]}" if told.material else "",
        variant=kind.variants[told.variant][1] if told.variant is not None else "",
        size=first(kind.sizes[told.size][1]) if told.size is not None else "",
        color=first(color),
        pack=pack,
        whose="",
        whom=words.audiences[told.audience][1][0] if told.audience else "",
        uses=" y ".join(f"para {kind.uses[use][1]}" for use in told.uses),
    )


def _parts(phrases: list[str]) -> str:
    """`con A y B, sin C, sin D`: after one `sin`, a second thing with `y` would sound as if it were there."""
    present = [phrase for phrase in phrases if phrase.startswith("con ")]
    absent = [phrase for phrase in phrases if phrase.startswith("sin ")]
    return ", ".join(filter(None, [both(present, " y "), *absent]))


def _in_a_row(p: Pieces, rng: random.Random) -> str:
    head = [p.brand, p.noun, p.series, p.model, *p.adjectives[:1], p.material, p.variant, p.parts, p.whom]
    return clauses(head, [*p.adjectives[1:], p.uses, p.size, p.pack, p.color], ", ")


def _color_close(p: Pieces, rng: random.Random) -> str:
    head = [p.brand, p.series, p.noun, p.variant, p.other, p.material, p.model]
    text = clauses(head, [p.whom, p.uses, *p.adjectives, p.parts, p.size], ", ")
    return f"{text} ({p.pack})" if p.pack else text


def _noun_then_list(p: Pieces, rng: random.Random) -> str:
    head = [p.brand, "-" if p.brand else "", p.noun, *p.adjectives[:2], p.variant, p.whom, p.series, p.model]
    tail = [p.material, *p.adjectives[2:], p.parts, p.uses, p.size, p.pack, p.color]
    return clauses(head, map(first, tail), one((" | ", " - ", ", "), rng))


def _brand_late(p: Pieces, rng: random.Random) -> str:
    head = [p.noun, *p.adjectives[:1], p.material, p.other, p.variant, p.parts, p.whom, p.uses]
    named = joined([p.brand, p.series, p.model])
    return clauses(head, [named, *p.adjectives[1:], p.size, p.pack], ", ")


def _sentences(p: Pieces, rng: random.Random) -> str:
    head = [p.brand, p.model, p.noun, p.series, p.variant, p.whom]
    tail = [p.material, *p.adjectives, p.parts, p.uses, p.size, p.pack]
    text = clauses(head, map(first, tail), one((". ", ", "), rng))
    return f"{text} ({p.color})" if p.color else text


LAYOUTS: tuple[Layout, ...] = (
    (_in_a_row,) * 8 + (_color_close,) * 5 + (_noun_then_list,) * 3 + (_brand_late,) * 2 + (_sentences,) * 2
)


def whom(audience: str) -> str:
    """For whom a product is, as a bullet point says it."""
    listed, typed = catalogue().audiences[audience][1]
    return listed if listed.startswith("para ") else f"para {typed}"


def names(kind: ProductType) -> dict[str, str]:
    """What a description may call a product."""
    name = kind.names[1][0]
    the, a = ARTICLES[name.form]
    return {
        "a_type": f"{a} {name.text}",
        "name": joined([the, name.text]),
        "heading": first(name.text),
    }


def heading(phrase: str) -> str:
    """The heading of a bullet point about a feature."""
    return first(phrase)


def shout(text: str) -> str:
    """A heading as a loud seller writes it."""
    return text.upper()


def color(name: str) -> str:
    """A shade as the colour field holds it."""
    return first(name)


FRONT, MIDDLE, LAST = range(3)
"""Where a word stands in a query: before the name of the thing, close after it, at the end."""


def query(kind: ProductType, asks: tuple[Ask, ...], rng: random.Random) -> str:
    """What a shopper types who wants a `kind` with these attributes."""
    chance = rng.random
    name = one(kind.names[1], rng) if chance() < 0.35 else kind.names[1][0]
    if not name.form.endswith("p") and chance() < 0.25:
        name = Name(plural(name.text), f"{name.form}p")
    places: tuple[list[str], ...] = ([], [], [])
    for ask in asks:
        place, text = _asked(kind, name.form, ask, rng)
        places[place].insert(0 if chance() < 0.5 else len(places[place]), text)
    text = joined([*places[FRONT], name.text, *places[MIDDLE], *places[LAST]])
    text = text if chance() < 0.05 else text.lower()
    return text.translate(NO_ACCENTS) if chance() < 0.6 else text


def _asked(kind: ProductType, form: str, ask: Ask, rng: random.Random) -> tuple[int, str]:
    """Where and how one attribute is typed."""
    chance, words, value = rng.random(), catalogue(), ask.value
    if ask.feature:
        phrase = agree(_feature(ask, rng), form)
        return LAST if phrase.startswith(("con ", "sin ")) else MIDDLE, phrase
    if ask.name == "brand":
        return FRONT if chance < 0.25 else LAST, value.name[1]
    if ask.name == "audience":
        return LAST, one(words.audiences[value][1], rng)
    if ask.name == "color":
        return MIDDLE if chance < 0.7 else LAST, agree(words.colors_asked[value][1][0], form)
    if ask.name == "material":
        material = words.materials[value][1]
        return MIDDLE if chance < 0.7 else LAST, material if chance < 0.25 else f"de {material}"
    if ask.name == "variant":
        return MIDDLE, kind.variants[value][1]
    if ask.name == "size":
        return LAST, kind.sizes[value][1]
    if ask.name == "pack":
        return LAST, one(("pack de {}", "{} unidades", "pack {}"), rng).format(value)
    if ask.name == "uses":
        use = kind.uses[value][1]
        return LAST, f"para {use}" if chance < 0.8 else _bare(use)
    return LAST, str(value)


def _feature(ask: Ask, rng: random.Random) -> str:
    feature = ask.feature
    assert feature is not None
    if ask.value or not (feature.lacks and feature.part):
        return feature.has[1]
    return feature.lacks[1] if rng.random() < 0.6 else f"sin {feature.part[1]}"


def _bare(use: str) -> str:
    """`colegio` from `el colegio`."""
    word, _, rest = use.partition(" ")
    return rest if word in ("el", "la", "los", "las") else use


def slip(text: str, rng: random.Random) -> str:
    """The query with one word mistyped; ñ, h, b and v, ll and y are where Spanish hands slip."""
    chance = rng.random()
    for right, wrong, share in (("ñ", "n", 0.5), ("h", "", 0.12), ("v", "b", 0.24), ("ll", "y", 0.36)):
        if right in text and chance < share:
            return text.replace(right, wrong, 1)
    return english.slip(text, rng)
