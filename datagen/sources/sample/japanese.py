"""The titles and queries of the sample shop in Japanese: keywords side by side."""

import random

from datagen.sources.sample.asks import Ask
from datagen.sources.sample.catalogue import ProductType, catalogue
from datagen.sources.sample.english import Layout
from datagen.sources.sample.traits import Traits, features_told, one, turned
from datagen.sources.sample.wording import Pieces, joined

INDEX = 2
LONGEST, SHORTEST = 120, 16
STOP, GAP, AND, PIECES = "。", "", "や", "{}{counter}セット"

WIDE_SPACE = "\u3000"


def title(told: Traits, rng: random.Random) -> str:
    """The title of a listing that tells these traits."""
    pieces = _pieces(told, rng)
    text = one(LAYOUTS, rng)(pieces, rng)
    chance = rng.random()
    if chance < 0.08:  # but never inside the brand
        return text.replace(" ", WIDE_SPACE).replace(pieces.brand.replace(" ", WIDE_SPACE), pieces.brand)
    return text.replace(" ", "  ", 1) if chance < 0.095 else text


def _pieces(told: Traits, rng: random.Random) -> Pieces:
    chance = rng.random
    words, kind = catalogue(), told.kind
    brand = told.brand.name[2] if told.branded else ""
    pack = _pack(told.pack, kind, ("{}{}セット", "{}{}組", "{}{}入り"), rng) if told.pack > 1 else ""
    return Pieces(
        brand=f"[{brand}]" if brand and chance() < 0.25 else brand,
        noun=one(kind.names[2], rng).text,
        other="",
        series=told.series,
        model=told.model,
        adjectives=turned(features_told(told, INDEX), rng),
        parts="",
        material=words.materials[told.material][2] if told.material else "",
        variant=kind.variants[told.variant][2] if told.variant is not None else "",
        size=kind.sizes[told.size][2] if told.size is not None else "",
        color=told.color.name[2] if told.color else "",
        pack=pack,
        whose="",
        whom=words.audiences[told.audience][2][0] if told.audience else "",
        uses=" ".join(kind.uses[use][2] + ("用" if chance() < 0.5 else "") for use in told.uses),
    )


def _pack(count: int, kind: ProductType, forms: tuple[str, ...], rng: random.Random) -> str:
    """How many of a kind, by its counter."""
    return one(forms, rng).format(count, kind.counter)


def _in_a_row(p: Pieces, rng: random.Random) -> str:
    tail = [p.material, p.uses, p.size, p.pack, p.model]
    return joined([p.brand, p.noun, p.color, p.whom, *p.adjectives, p.variant, *tail])


def _lead_first(p: Pieces, rng: random.Random) -> str:
    leads = [lead for lead in (p.pack, *p.adjectives) if lead]
    lead = one(leads[:2], rng) if leads else ""
    rest = [word for word in (*p.adjectives, p.uses, p.pack) if word != lead]
    last = ", ".join(filter(None, [p.size, p.color]))
    head = [f"【{lead}】" if lead else "", p.brand, p.series, p.material, p.variant, p.noun, p.whom]
    return joined([*head, *rest, p.model, f"({last})" if last else ""])


def _model_first(p: Pieces, rng: random.Random) -> str:
    head = [p.brand, p.model, p.variant, p.noun, p.size, p.color]
    return joined([*head, p.whom, p.material, *p.adjectives, p.uses, p.pack])


def _bracketed(p: Pieces, rng: random.Random) -> str:
    about = "・".join(p.adjectives[:3])
    head = [p.brand, p.series, p.noun, p.whom, p.size, f"【{about}】" if about else ""]
    return joined([*head, p.variant, p.material, *p.adjectives[3:], p.uses, p.pack, p.model, p.color])


def _brand_last(p: Pieces, rng: random.Random) -> str:
    head = [p.whom, *p.adjectives[:1], p.material, p.variant, p.noun, *p.adjectives[1:], p.uses]
    return joined([*head, p.size, p.color, p.pack, p.brand, p.model])


LAYOUTS: tuple[Layout, ...] = (
    (_in_a_row,) * 8 + (_lead_first,) * 4 + (_model_first,) * 4 + (_bracketed,) * 3 + (_brand_last,)
)


def whom(audience: str) -> str:
    """For whom a product is, as a bullet point says it."""
    return catalogue().audiences[audience][2][1].removesuffix("用")


def names(kind: ProductType) -> dict[str, str]:
    """What a description may call a product."""
    noun = kind.names[2][0].text
    return {"type": noun, "name": noun, "heading": noun}


def heading(phrase: str) -> str:
    """The heading of a bullet point about a feature."""
    return phrase


def shout(text: str) -> str:
    """A heading as a loud seller writes it: no other, in a script without capitals."""
    return text


def color(name: str) -> str:
    """A shade as the colour field holds it."""
    return name


def query(kind: ProductType, asks: tuple[Ask, ...], rng: random.Random) -> str:
    """What a shopper types who wants a `kind` with these attributes."""
    chance = rng.random
    noun = one(kind.names[2], rng).text if chance() < 0.35 else kind.names[2][0].text
    brand = [_brand(ask, rng) for ask in asks if ask.name == "brand"]
    words = [_asked(kind, ask, rng) for ask in asks if ask.name != "brand"]
    rng.shuffle(words)
    words = [noun, *words] if chance() < 0.65 else [*words, noun]
    words = [*brand, *words] if chance() < 0.7 else [*words, *brand]
    return (WIDE_SPACE if chance() < 0.1 else " ").join(words)


def _brand(ask: Ask, rng: random.Random) -> str:
    """The brand in Latin letters or in katakana, as it comes to mind."""
    latin, _, kana = ask.value.name[2].rstrip(")").partition("(")
    return one((latin, kana), rng) if kana else str(latin)


def _asked(kind: ProductType, ask: Ask, rng: random.Random) -> str:
    """How one attribute is typed."""
    words, value = catalogue(), ask.value
    if ask.feature:
        return ask.feature.has[2] if value or not ask.feature.lacks else ask.feature.lacks[2]
    if ask.name == "audience":
        return one(words.audiences[value][2], rng)
    if ask.name == "color":
        return one(words.colors_asked[value][2], rng)
    if ask.name == "material":
        return words.materials[value][2]
    if ask.name == "variant":
        return kind.variants[int(value)][2]
    if ask.name == "size":
        return kind.sizes[int(value)][2]
    if ask.name == "pack":
        return _pack(int(value), kind, ("{}{}セット", "{}{}", "{}{}入り"), rng)
    if ask.name == "uses":
        return kind.uses[int(value)][2] + ("用" if rng.random() < 0.35 else "")
    return str(value)


def slip(text: str, rng: random.Random) -> str:
    """The query as it comes out of a hasty keyboard: hiragana for katakana, or a long vowel left out."""
    if "ー" in text and rng.random() < 0.6:
        return text.replace("ー", "", 1)
    words = text.split(" ")
    kana = [place for place, word in enumerate(words) if all("ァ" <= letter <= "ー" for letter in word)]
    if kana:
        place = one(kana, rng)
        words[place] = words[place].translate(HIRAGANA)
    return " ".join(words)


HIRAGANA = {code: code - 0x60 for code in range(ord("ァ"), ord("ヶ") + 1)}
