"""The titles and queries of the sample shop in English."""

import random
import re
from collections.abc import Callable
from functools import cache

from datagen.sources.sample.asks import Ask
from datagen.sources.sample.catalogue import ProductType, catalogue
from datagen.sources.sample.traits import Traits, features_told, one
from datagen.sources.sample.wording import Pieces, clauses, joined

INDEX = 0
LONGEST, SHORTEST = 180, 40
STOP, GAP, AND, PIECES = ".", " ", " and ", "{} pieces"

SMALL_WORDS = {"with", "without", "for", "and", "the", "of", "a", "at", "by", "in", "on", "to", "x"}

KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


@cache
def cap(text: str) -> str:
    """A phrase in Title Case; small words and what already has capitals stay."""
    return " ".join(word if word in SMALL_WORDS else first(word) for word in text.split(" "))


def first(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


@cache
def plural(noun: str) -> str:
    """The plural of a type's name; names that end in s (socks, scissors) already are."""
    if noun.endswith(("ss", "sh", "ch", "x")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    if noun.endswith("knife"):
        return f"{noun[:-2]}ves"
    if noun.endswith("mouse"):
        return f"{noun[:-5]}mice"
    return noun if noun.endswith("s") else f"{noun}s"


def both(phrases: list[str], joint: str) -> str:
    """`with A, B and C, without D` from `with A`, `with B`, `with C`, `without D`."""
    groups: dict[str, list[str]] = {}
    for phrase in phrases:
        opening, _, rest = phrase.partition(" ")
        groups.setdefault(opening, []).append(rest)
    return ", ".join(f"{opening} {_list(rests, joint)}" for opening, rests in groups.items())


def _list(words: list[str], joint: str) -> str:
    return joint.join(filter(None, [", ".join(words[:-1]), words[-1]]))


def title(told: Traits, rng: random.Random) -> str:
    """The title of a listing that tells these traits."""
    text = one(LAYOUTS, rng)(_pieces(told, rng), rng)
    chance = rng.random()
    if chance < 0.03:
        return text.replace(" & ", " &amp; ")
    return text.replace(" ", "  ", 1) if chance < 0.045 else text


def _pieces(told: Traits, rng: random.Random) -> Pieces:
    chance = rng.random
    words, kind = catalogue(), told.kind
    brand = told.brand.name[0] if told.branded else ""
    if chance() < 0.03:
        brand = brand.upper() if chance() < 0.5 else brand.replace("&", "&amp;")
    phrases = [cap(phrase) for phrase in features_told(told, INDEX)]
    pack = one(("{} Pack", "Pack of {}", "Set of {}"), rng).format(told.pack) if told.pack > 1 else ""
    whose, whom = words.audiences[told.audience][0] if told.audience else ("", "")
    before = whose != "-" and chance() < 0.7
    return Pieces(
        brand=brand,
        noun=cap(one(kind.names[0], rng).text),
        other=cap(one(kind.names[0], rng).text),
        series=told.series,
        model=told.model,
        adjectives=[phrase for phrase in phrases if not phrase.startswith("with")],
        parts=both([phrase for phrase in phrases if phrase.startswith("with")], " and "),
        material=cap(words.materials[told.material][0]) if told.material else "",
        variant=cap(kind.variants[told.variant][0]) if told.variant is not None else "",
        size=kind.sizes[told.size][0] if told.size is not None else "",
        color=told.color.name[0] if told.color else "",
        pack=pack,
        whose=whose if before else "",
        whom="" if before else whom,
        uses=both([f"for {cap(kind.uses[use][0])}" for use in told.uses], one((" & ", " and "), rng)),
    )


def _in_a_row(p: Pieces, rng: random.Random) -> str:
    head = [p.brand, p.series, p.whose, *p.adjectives[:2], p.material, p.variant, p.noun, p.model, p.parts]
    return clauses(head, [*p.adjectives[2:], p.uses, p.whom, p.size, p.pack, p.color], ", ")


def _size_first(p: Pieces, rng: random.Random) -> str:
    head = [p.brand, p.model, p.size, p.whose, p.color, p.material, p.variant, p.noun]
    also = joined([*p.adjectives[1:], p.other if p.other != p.noun else "", p.parts])
    return clauses(head, [*p.adjectives[:1], also, p.whom, p.uses, p.pack], ", ")


def _noun_then_list(p: Pieces, rng: random.Random) -> str:
    head = [p.brand, p.whose, p.material, p.variant, p.noun, p.series, p.model]
    tail = [*p.adjectives, first(p.parts), first(p.uses), first(p.whom), p.size, p.pack]
    text = clauses(head, tail, one((" - ", " | ", ", "), rng))
    return f"{text} - {p.color}" if p.color else text


def _brand_late(p: Pieces, rng: random.Random) -> str:
    by = f"by {p.brand}" if p.brand else ""
    head = [*p.adjectives[:2], p.whose, p.material, p.variant, p.noun, by, p.series, p.model]
    return clauses(head, [*p.adjectives[2:], p.parts, p.uses, p.whom, p.size, p.color, p.pack], ", ")


def _pack_first(p: Pieces, rng: random.Random) -> str:
    lead = f"[{p.pack}]" if p.pack else ""
    head = [lead, p.brand, p.series, p.whose, p.variant, p.noun, p.model, p.uses]
    made = f"{p.material} Material" if p.material else ""
    return clauses(head, [made, *p.adjectives, p.parts, p.whom, joined([p.size, p.color])], ", ")


Layout = Callable[[Pieces, random.Random], str]
LAYOUTS: tuple[Layout, ...] = (
    (_in_a_row,) * 8 + (_size_first,) * 5 + (_noun_then_list,) * 4 + (_brand_late,) * 2 + (_pack_first,)
)


def whom(audience: str) -> str:
    """For whom a product is, as a bullet point says it."""
    return catalogue().audiences[audience][0][1].lower()


def names(kind: ProductType) -> dict[str, str]:
    """What a description may call a product: no name of its own, which its title may lack."""
    noun = kind.names[0][0].text
    many = noun.endswith("s") and not noun.endswith("ss")
    vowel = re.match("[AEFHILMNORSX][A-Z]|[aeiu]|o(?!ne)", noun)  # an LED lamp, but a USB cable, a one-piece
    article = "" if many else "an " if vowel else "a "
    return {"a_type": article + noun, "plural": plural(noun), "name": cap(noun), "heading": cap(noun)}


def heading(phrase: str) -> str:
    """The heading of a bullet point about a feature."""
    return cap(first(phrase))


def shout(text: str) -> str:
    """A heading as a loud seller writes it."""
    return text.upper()


def color(name: str) -> str:
    """A shade as the colour field holds it."""
    return name


FRONT, MIDDLE, BACK, LAST = range(4)
"""Where a word stands in a query: far before the name of the thing, close before, close after, far after."""


def query(kind: ProductType, asks: tuple[Ask, ...], rng: random.Random) -> str:
    """What a shopper types who wants a `kind` with these attributes."""
    chance = rng.random
    noun = one(kind.names[0], rng).text if chance() < 0.35 else kind.names[0][0].text
    if chance() < 0.25 and all(ask.name != "pack" for ask in asks):
        noun = plural(noun)
    places: tuple[list[str], ...] = ([], [], [], [])
    for ask in asks:
        place, text = _asked(kind, ask, rng)
        places[place].insert(0 if chance() < 0.5 else len(places[place]), text)
    text = joined([*places[FRONT], *places[MIDDLE], noun, *places[BACK], *places[LAST]])
    style = chance()
    return text if style < 0.06 else cap(text) if style < 0.09 else text.lower()


def _asked(kind: ProductType, ask: Ask, rng: random.Random) -> tuple[int, str]:
    """Where and how one attribute is typed."""
    chance, words, value = rng.random(), catalogue(), ask.value
    if ask.feature:
        phrase = _feature(ask, rng)
        return BACK if phrase.startswith(("with", "no ")) else MIDDLE, phrase
    if ask.name == "brand":
        return FRONT if chance < 0.85 else LAST, value.name[0]
    if ask.name == "audience":
        whose, whom = words.audiences[value][0]
        if whose == "-" or chance < 0.4:
            return LAST, whom
        return FRONT, whose if chance < 0.7 else whose.replace("'", "")
    if ask.name == "color":
        return MIDDLE if chance < 0.75 else LAST, words.colors_asked[value][0][0]
    if ask.name == "material":
        return MIDDLE, words.materials[value][0]
    if ask.name == "variant":
        return MIDDLE, kind.variants[value][0]
    if ask.name == "size":
        return FRONT if chance < 0.4 else LAST, kind.sizes[value][0]
    if ask.name == "pack":
        return FRONT if chance < 0.3 else LAST, one(("{} pack", "set of {}", "pack of {}"), rng).format(value)
    if ask.name == "uses":
        use = kind.uses[value][0]
        return LAST, f"for {use}" if chance < 0.85 else use.removeprefix("the ")
    return FRONT, str(value)


def _feature(ask: Ask, rng: random.Random) -> str:
    feature = ask.feature
    assert feature is not None
    if ask.value or not (feature.lacks and feature.part):
        return feature.has[0]
    chance = rng.random()
    without = f"without {feature.part[0]}" if chance < 0.5 else f"no {feature.part[0]}"
    return feature.lacks[0] if chance > 0.7 else without


def slip(text: str, rng: random.Random) -> str:
    """The query with one word mistyped: a letter lost, doubled, swapped or hit beside."""
    words = text.split(" ")
    long = [
        place for place, word in enumerate(words) if len(word) > 4 and word.isalpha() and word != "without"
    ]
    if not long:
        return text
    place = one(long, rng)
    word = words[place]
    at = 1 + int((len(word) - 2) * rng.random())
    way = rng.random()
    if way < 0.35:
        word = word[:at] + word[at + 1 :]
    elif way < 0.55:
        word = word[:at] + word[at] + word[at:]
    elif way < 0.85:
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    else:
        word = word[:at] + _beside(word[at]) + word[at + 1 :]
    words[place] = word
    return " ".join(words)


def _beside(letter: str) -> str:
    """The key to the right of a letter's, or to the left where there is none."""
    for row in KEYBOARD:
        place = row.find(letter.lower())
        if place >= 0:
            return row[place + 1] if place + 1 < len(row) else row[place - 1]
    return letter
