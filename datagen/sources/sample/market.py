"""The market of the sample shop: shelves of listed products, and judged queries about them.

The market is made block by block: some products of every type, and queries judged among those products
alone. A block depends only on the seed and its own position, not on the blocks before it, with one
exception: no query text comes twice in a locale.
"""

import random
import string
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

from datagen.errors import UserError
from datagen.sources.sample import english, japanese, spanish
from datagen.sources.sample.asks import Ask, judge, pick
from datagen.sources.sample.catalogue import LOCALES, ProductType, catalogue
from datagen.sources.sample.traits import Facts, Traits, draw, facts, one, shorter, suited, tell, turned
from datagen.sources.sample.wording import bullets, description

LANGUAGES: tuple[ModuleType, ...] = (english, spanish, japanese)

ABROAD = 4
"""Products of each type and block that all three marketplaces sell, under one id."""

BRANDS_A_SHELF = 14

FEWEST, MOST = 8, 40
"""Judged products of a query."""

QUESTIONS = 0.02
SLIPS = 0.05
UNTITLED = 0.1
RETOLD = 0.15
"""Shares of queries: asked as a question, mistyped, asking for what no title need tell, and followed by the
same wish in other words."""

TRIES = 40
"""Draws of a query, until one is new in its locale."""


class Listing(NamedTuple):
    """A product as its page shows it (ESCI's columns, in its order), and what a judge can know of it.

    `known`: from the whole page; `titled`: from the title alone.
    """

    id: str
    title: str
    description: str | None
    bullets: str | None
    brand: str | None
    color: str | None
    known: Facts
    titled: Facts


class Judged(NamedTuple):
    """A query, where its text came from (ESCI's `source`), and its judgements: listing and label."""

    text: str
    source: str
    judgements: list[tuple[Listing, str]]


Shelves = dict[str, list[Listing]]
"""Listings by the key of their type."""


class Block(NamedTuple):
    """A part of a locale's market: the types it sells, and all that its random choices hang on."""

    kinds: Sequence[ProductType]
    locale: int
    number: int
    seed: int

    def rng(self, what: str) -> random.Random:
        """The random choices of one step, the same whatever happened elsewhere."""
        return random.Random(f"{self.seed}/{LOCALES[self.locale]}/{self.number}/{what}")


def stock(block: Block, count: int, first: int) -> Shelves:
    """`count` listings shared out over a block's types; `first` numbers those the locale sells alone."""
    language, rng = LANGUAGES[block.locale], block.rng("stock")
    kinds = block.kinds
    shelves: Shelves = {}
    for place, kind in enumerate(kinds):
        room = count * (place + 1) // len(kinds) - count * place // len(kinds)
        brands = rng.sample(catalogue().brands[kind.department], BRANDS_A_SHELF)
        shelf = [
            _listed(code, traits, language, rng) for code, traits in sold_abroad(kind, block)[: room // 8]
        ]
        while len(shelf) < room:
            code = product_code(_HOME + first * len(LOCALES) + block.locale)
            shelf.append(_listed(code, draw(kind, brands, rng), language, rng))
            first += 1
        shelves[kind.key] = shelf
    return shelves


def sold_abroad(kind: ProductType, block: Block) -> list[tuple[str, Traits]]:
    """The products of a type and block that every locale sells: the same ids and traits in each."""
    rng = random.Random(f"{block.seed}/abroad/{block.number}/{kind.key}")
    brands = catalogue().brands[kind.department]
    types = list(catalogue().types)
    first = (block.number * len(types) + types.index(kind.key)) * ABROAD
    return [(product_code(first + place), draw(kind, brands, rng)) for place in range(ABROAD)]


_SPACE = 36**8
_HOME = 2**32  # numbers below are those of products sold abroad
_DIGITS = string.digits + string.ascii_uppercase
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_STEP = 1_726_583_920_171  # no common factor with _SPACE, so that no two numbers share a code


def product_code(number: int) -> str:
    """A product id like the publisher's: B0 and eight letters or digits, another for every number."""
    high, low = divmod(number * _STEP % _SPACE, 36**4)
    return f"B0{_PAIRS[high // 1296]}{_PAIRS[high % 1296]}{_PAIRS[low // 1296]}{_PAIRS[low % 1296]}"


def _listed(code: str, traits: Traits, language: ModuleType, rng: random.Random) -> Listing:
    """A seller's listing of a product: some fields are often left empty, as on a real shop's pages."""
    chance = rng.random
    told = tell(traits, rng)
    branded = chance() < 0.93
    if not branded and not told.branded:
        told = told._replace(branded=True)
    title = language.title(told, rng)
    if len(title) < language.SHORTEST:
        told = traits._replace(color=told.color, lacks=traits.lacks[:1], has=traits.has[:3])
        title = language.title(told, rng)
    if len(title) < language.SHORTEST:
        told = suited(told, rng)
        traits = traits._replace(uses=told.uses, audience=told.audience)
        title = language.title(told, rng)
    while len(title) > language.LONGEST:
        told = shorter(told)
        title = language.title(told, rng)
    color = traits.color if chance() < 0.74 else None
    titled = facts(told)
    text = bullets(traits, told, language, rng) if chance() < 0.84 else None
    known = facts(traits) if text else titled.copy()
    known["brand"] = traits.brand
    for fact in ("model", "color"):  # told in the title, if at all, or in a field of its own
        if fact in known and fact not in titled:
            del known[fact]
    if color:
        known["color"] = color.family
    return Listing(
        id=code,
        title=title,
        description=description(told, traits.brand, language, rng) if chance() < 0.5 else None,
        bullets=text,
        brand=traits.brand.name[language.INDEX] if branded else None,
        color=language.color(color.name[language.INDEX]) if color else None,
        known=known,
        titled=titled,
    )


def ask(block: Block, shelves: Shelves, count: int, taken: set[str]) -> Iterator[Judged]:
    """`count` judged queries about what is on the shelves; their texts are new to `taken`, and join it.

    Raises UserError where the shelves are too bare for so many different queries.
    """
    language, rng = LANGUAGES[block.locale], block.rng("ask")
    order: list[ProductType] = []
    made = dry = 0
    while made < count:
        order = order or rng.sample(block.kinds, len(block.kinds))
        kind = order.pop()
        new = _new_query(kind, shelves[kind.key], language, taken, rng)
        if new:
            text, source, asks = new
            taken.add(text)
            judgements = _judgements(kind, asks, shelves, rng)
            yield Judged(text, source, judgements)
            made, dry = made + 1, 0
            again, source = _phrase(kind, asks, language, rng) if rng.random() < RETOLD else (text, source)
            if again not in taken and made < count:
                taken.add(again)
                yield Judged(again, source, judgements)
                made += 1
            continue
        dry += 1
        if dry > 3 * len(block.kinds):
            listings = sum(map(len, shelves.values()))
            raise UserError(
                f"{LOCALES[block.locale]}: {count} different queries are too many for {listings} products; "
                "ask for more products, or fewer queries"
            )


def _new_query(
    kind: ProductType, shelf: list[Listing], language: ModuleType, taken: set[str], rng: random.Random
) -> tuple[str, str, tuple[Ask, ...]] | None:
    """Text, source and asks of a query that was not typed before; None where none comes to mind."""
    for _ in range(TRIES):
        wished = one(shelf, rng)
        asks = pick(kind, wished.known, wished.known if rng.random() < UNTITLED else wished.titled, rng)
        text, source = _phrase(kind, asks, language, rng)
        if text not in taken:
            return text, source, asks
    return None


def _phrase(
    kind: ProductType, asks: tuple[Ask, ...], language: ModuleType, rng: random.Random
) -> tuple[str, str]:
    """A query as it is typed, and ESCI's word for where such queries come from."""
    text = language.query(kind, asks, rng)
    source = "other"
    if any(ask.feature and not ask.value for ask in asks):
        source = "negations"
    elif rng.random() < QUESTIONS:
        text, source = one(catalogue().questions[language.INDEX], rng).format(phrase=text), "nlqec"
    elif len(asks) > 1 and rng.random() < 0.3:
        source = "parse_pattern"
    elif asks and asks[0].name == "brand" and rng.random() < 0.5:
        source = "behavioral"
    return language.slip(text, rng) if rng.random() < SLIPS else text, source


def _judgements(
    kind: ProductType, asks: tuple[Ask, ...], shelves: Shelves, rng: random.Random
) -> list[tuple[Listing, str]]:
    """Judged listings in random order: right ones, near misses, companions and wrong ones."""
    chance = rng.random
    size = int(rng.triangular(FEWEST, 34, 20)) if chance() < 0.6 else int(18 + (MOST - 17) * chance())
    wrong = round(size * (0.04 + 0.18 * chance()))
    companions = 1 + int(4 * chance()) if chance() < 0.4 else 0
    room = size - wrong - companions
    exact, near = _same_type(asks, shelves[kind.key], rng)
    wanted = max(1, round(room * (0.6 + 0.4 * chance())))
    missed = near[: min(room - min(wanted, len(exact)), 3 + min(wanted, len(exact)))]
    right = exact[: max(1, room - len(missed))]
    judged = [(listing, "E") for listing in right] + [(listing, "S") for listing in missed]
    judged += [(listing, "C") for listing in _others(kind.complements, asks, shelves, companions, rng)]
    wrong = max(wrong, FEWEST - len(judged))
    judged += [(listing, "I") for listing in _others(_unlike(kind, shelves), asks, shelves, wrong, rng)]
    rng.shuffle(judged)
    return judged


def _same_type(
    asks: tuple[Ask, ...], shelf: list[Listing], rng: random.Random
) -> tuple[list[Listing], list[Listing]]:
    """The exact answers on a shelf and the near misses, from a random place on.

    Questions show titles, so a near miss is one whose title tells what is off, and exact answers are
    those whose titles tell all that is asked for, where there are any.
    """
    shelf = turned(shelf, rng)
    exact: list[Listing] = []
    clear: list[Listing] = []
    near: list[Listing] = []
    known = zip(shelf, judge([listing.known for listing in shelf], asks), strict=True)
    labelled = [(listing, label) for listing, label in known if label]
    titled = judge([listing.titled for listing, _ in labelled], asks)
    for (listing, label), plain in zip(labelled, titled, strict=True):
        if label == "E":
            (clear if plain == "E" else exact).append(listing)
        elif plain == "S":
            near.append(listing)
    return clear or exact, near


def _unlike(kind: ProductType, shelves: Shelves) -> Sequence[str]:
    """The types that `kind` is most easily taken for, or in a small shop any that does not go with it."""
    near = [key for key in kind.unlike if key in shelves]
    return near or [key for key in shelves if key != kind.key and key not in kind.complements]


def _others(
    keys: Sequence[str], asks: tuple[Ask, ...], shelves: Shelves, count: int, rng: random.Random
) -> list[Listing]:
    """Up to `count` listings of other types, none that is for other people than the query asks for."""
    keys = [key for key in keys if key in shelves]
    whom = next((ask.value for ask in asks if ask.name == "audience"), None)
    found: dict[str, Listing] = {}
    for _ in range(12 * count if keys else 0):
        listing = one(shelves[one(keys, rng)], rng)
        if len(found) < count and (whom is None or listing.known.get("audience", whom) == whom):
            found[listing.id] = listing
    return list(found.values())
