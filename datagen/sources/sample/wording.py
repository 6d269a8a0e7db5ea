"""The bullet points and descriptions of the sample shop, in all its languages.

A language is a module that says how things are called; the text around these words is put together here.
"""

import random
from collections.abc import Iterable
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from datagen.sources.sample.catalogue import Brand, Feature, Line, ProductType, catalogue
from datagen.sources.sample.traits import Traits, one, turned

HTML_SHARE = 0.35

STYLES = ("plain",) * 6 + (": ",) * 6 + ("【】",) * 5 + ("✅",) * 1 + (" - ",) * 2
"""How sellers set bullet points, the usual ways more often."""


class Pieces(NamedTuple):
    """What a title is laid out from, in the words of one language; empty where it tells nothing.

    `other`: a second word for the thing (English), or its colour in agreement with it (Spanish).
    `whose` stands before the thing, `whom` after it.
    """

    brand: str
    noun: str
    other: str
    series: str
    model: str
    adjectives: list[str]
    parts: str
    material: str
    variant: str
    size: str
    color: str
    pack: str
    whose: str
    whom: str
    uses: str


def joined(words: Iterable[str]) -> str:
    """Words with a space between them; the empty ones leave no trace."""
    return " ".join(filter(None, words))


def clauses(head: Iterable[str], tail: Iterable[str], joint: str) -> str:
    """A head of words, then clauses set apart by `joint`."""
    return joint.join(filter(None, [joined(head), *tail]))


class Point(NamedTuple):
    """A bullet point. `named`: the text alone does not name what it is about, so the heading must stand."""

    head: str
    text: str
    named: bool = False


def bullets(shown: Traits, told: Traits, language: ModuleType, rng: random.Random) -> str:
    """Bullet points, one a line; between them they tell everything in `shown` that the title left out."""
    needed, others = _points(shown, told, language)
    more = max(2, 5 - len(needed))
    style, shout = one(STYLES, rng), rng.random() < 0.5
    lines = []
    for choice in turned(needed + turned(others, rng)[:more], rng):
        head, text, named = one(choice, rng)
        if shout:
            head = language.shout(head)
        if style == "【】":
            lines.append(f"【{head}】{text}")
        elif style == "✅":
            lines.append(f"✅ {head} - {text}")
        elif style == "plain":
            lines.append(f"{head}: {text}" if named else text)
        else:
            lines.append(f"{head}{style}{text}")
    return "\n".join(lines)


Choice = tuple[Point, ...]
"""Several ways to put one bullet point."""


def _points(shown: Traits, told: Traits, language: ModuleType) -> tuple[list[Choice], list[Choice]]:
    """The bullet points that a listing cannot do without, and the others it may have."""
    kind = shown.kind
    others = list(_lines(kind, language))
    needed: list[Choice] = []
    if shown.material:
        (others if told.material else needed).append(_attribute(kind, language, "material", shown.material))
    if shown.size is not None:
        (needed if told.size is None else others).append(_attribute(kind, language, "size", shown.size))
    if shown.audience:
        (others if told.audience else needed).append(_attribute(kind, language, "audience", shown.audience))
    if shown.variant is not None:
        (needed if told.variant is None else others).append(
            _attribute(kind, language, "variant", shown.variant)
        )
    if shown.uses:
        (others if told.uses else needed).append(_attribute(kind, language, "use", shown.uses))
    if shown.pack > 1:
        others.append(_attribute(kind, language, "pack", shown.pack))
    for feature in shown.has:
        (others if feature in told.has else needed).append(_present(feature, language))
    for feature in shown.lacks:
        (others if feature in told.lacks else needed).append(_absent(feature, language))
    return needed, others


@cache
def _attribute(
    kind: ProductType, language: ModuleType, name: str, value: str | int | tuple[int, ...]
) -> Choice:
    words, index = catalogue(), language.INDEX
    field = {name: _value(kind, language, name, value)}
    head = words.heads[name][index][0]
    return tuple(Point(head, phrase.format_map(field)) for phrase in words.phrases[name][index])


def _value(kind: ProductType, language: ModuleType, name: str, value: Any) -> str:
    """An attribute's value as the phrases of bullet points take it."""
    index: int = language.INDEX
    if name == "material":
        return catalogue().materials[value][index]
    if name == "size":
        return kind.sizes[int(value)][index]
    if name == "variant":
        return kind.variants[int(value)][index]
    if name == "audience":
        return str(language.whom(value))
    if name == "use":
        return str(language.AND.join(kind.uses[use][index] for use in value))
    return str(language.PIECES.format(value, counter=kind.counter))


@cache
def _lines(kind: ProductType, language: ModuleType) -> tuple[Choice, ...]:
    heads = catalogue().heads["line"][language.INDEX]
    return tuple(tuple(Point(head, line[language.INDEX]) for head in heads) for line in kind.lines)


@cache
def _present(feature: Feature, language: ModuleType) -> Choice:
    index = language.INDEX
    return _headed(feature.has[index], feature.lines[index], language)


@cache
def _absent(feature: Feature, language: ModuleType) -> Choice:
    assert feature.lacks, "a quality is never lacking"
    assert feature.lack_lines
    index = language.INDEX
    return _headed(feature.lacks[index], feature.lack_lines[index], language)


def _headed(name: str, lines: tuple[Line, ...], language: ModuleType) -> Choice:
    """A feature's bullet points; those without a heading of their own stand under its name."""
    return tuple(Point(line.head or language.heading(name), line.text, named=True) for line in lines)


def description(told: Traits, brand: Brand, language: ModuleType, rng: random.Random) -> str:
    """A few sentences about what the title tells, one time in three in HTML."""
    index: int = language.INDEX
    chance = rng.random
    words, kind = catalogue(), told.kind
    names = language.names(kind)
    names["brand"] = brand.name[index]
    lines = [line[index] for line in kind.lines]
    lines += [one(feature.lines[index], rng).text for feature in told.has]
    if told.uses:
        lines.append(one(_attribute(kind, language, "use", told.uses), rng).text)
    sentences = [one(words.phrases["intro"][index], rng).format_map(names)]
    sentences += [f"{line}{language.STOP}" for line in turned(lines, rng)[: 2 + int(3 * chance())]]
    if chance() < 0.7:
        sentences.append(one(words.phrases["outro"][index], rng).format_map(names))
    if chance() >= HTML_SHARE:
        return str(language.GAP.join(sentences))
    if chance() < 0.5:
        return "".join(f"<p>{sentence}</p>" for sentence in sentences)
    return f"<b>{names['heading']}</b><br>" + "<br>".join(sentences)
