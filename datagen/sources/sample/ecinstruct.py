"""The sample shop's catalogue as instructions in ECInstruct's layout: rows of all its ten tasks.

Answers come from what listings are known to tell, as in ESCI's files of the shop; opinions and questions are
written out in `ecinstruct.yaml`.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from datagen.sources.sample import english
from datagen.sources.sample.catalogue import ProductType, catalogue
from datagen.sources.sample.market import Block, Judged, Listing, Shelves, ask, stock
from datagen.sources.sample.traits import one

ROWS, REVIEWS = 150, 2000
"""Rows of each task that the publisher would train on, and reviews, which are asked about in lists, too. A
tenth as many stand in each other split."""

SOLD, QUERIES = 4_000, 400

RELEVANCE = {
    "E": "A: The product is relevant to the query, and satisfies all the query specifications.",
    "S": "B: The product is somewhat relevant. It fails to fulfill some aspects of the query but the product "
    "can be used as a functional substitute.",
    "C": "C: The product does not fulfill the query, but could be used in combination with a product exactly "
    "matching the query.",
    "I": "D: The product is irrelevant to the query.",
}
RELATIONS = (
    "A: Users who buy product 1 may also buy product 2.",
    "B: Users who view product 1 may also view product 2.",
    "C: The product 1 is similar with the product 2.",
)
"""The publisher's own words for its options."""

NOTHING = "None"


class Shop(NamedTuple):
    """What rows are made from."""

    shelves: Shelves
    judged: list[Judged]
    texts: dict[str, Any]

    def listing(self, rng: random.Random) -> tuple[ProductType, Listing]:
        """A product by chance, and its type."""
        key = one(list(self.shelves), rng)
        return catalogue().types[key], one(self.shelves[key], rng)


class Made(NamedTuple):
    """Input, options and output of a row, as the publisher writes them."""

    input: str
    output: str
    options: str | None = None


Maker = Callable[[Shop, int, random.Random], Made | None]


def write_ecinstruct(folder: Path, seed: int = 7) -> None:
    """Write `dataset.json` into `folder`: an array in which inputs come again under other instructions."""
    kinds = list(catalogue().types.values())
    block = Block(kinds, 0, 0, seed)
    shelves = stock(block, SOLD, 10**6)
    texts = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    shop = Shop(shelves, list(ask(block, shelves, QUERIES, set())), texts)
    rows = [row for task in TASKS for row in _rows(shop, task, random.Random(f"{seed}/{task}"))]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


def _rows(shop: Shop, task: str, rng: random.Random) -> Iterator[dict[str, str | None]]:
    """The rows of one task: each input once for every setting that its split has."""
    make, instructions = TASKS[task]
    made: dict[str, Made] = {}
    numbers: list[int] = []
    wanted = (REVIEWS if make is _opinion else ROWS) * 12 // 10
    for number in range(20 * wanted):
        new = make(shop, number, rng)
        if new and new.input not in made and len(made) < wanted:
            made[new.input] = new
            numbers.append(number)
    for place, new in enumerate(made.values()):
        split = _split(numbers[place])
        settings = ["IND_Single_Instruction", "IND_Diverse_Instruction"]
        for setting in settings + (["IND_Unseen_Instruction"] if split == "test" else []):
            single = setting == "IND_Single_Instruction"
            yield {
                "output": new.output,
                "input": new.input,
                "options": new.options,
                "task": task,
                "setting": setting,
                "split": split,
                "few_shot_example": None,
                "instruction": instructions[0] if single else one(instructions, rng),
            }


def _split(number: int) -> str:
    """The split of what is made as number so many: a twelfth is for validation, one for the test."""
    return {10: "val", 11: "test"}.get(number // 12 % 12, "train")


def _text(texts: Sequence[Any], number: int, rng: random.Random) -> Any:
    """One of some texts by chance; the last tenth is the test's alone, and asked nowhere else."""
    kept_apart = -(-len(texts) // 10)
    return one(texts[-kept_apart:] if _split(number) == "test" else texts[:-kept_apart], rng)


def _value(shop: Shop, number: int, rng: random.Random) -> Made | None:
    """An attribute of a product and where its page tells it; every third one it does not tell."""
    kind, listing = shop.listing(rng)
    page = {"product title": listing.title}
    if listing.description and "<" not in listing.description:
        page["product description"] = listing.description
    if listing.bullets:
        page["product feature"] = ", ".join(listing.bullets.splitlines())
    page |= {"product price": f"${rng.randrange(4, 90)}.{one(('00', '49', '95', '99'), rng)}"}
    if listing.brand:
        page["product brand"] = listing.brand
    values = _values(kind, listing)
    name = one(list(values), rng) if number % 3 else one(("Material", "Color", "Size"), rng)
    value = values.get(name, "").lower()
    found = [place for place in list(page)[:-1] if value and value in page[place].lower()]
    text = " ".join(page.values()).lower()
    if (number % 3 == 0) == bool(found) or any(word in text for word in _likes(name, found)):
        return None
    page["target attributes"] = name
    told = [{"attribute": name.lower(), "value": value, "source": place} for place in found]
    nothing = [{"attribute": name.lower(), "value": NOTHING, "source": NOTHING}]
    return Made(json.dumps(page), json.dumps(told or nothing))


def _values(kind: ProductType, listing: Listing) -> dict[str, str]:
    """The attributes that a listing is known to have, in the words of the catalogue; `Type` always."""
    words, known = catalogue(), listing.known
    values = {"Type": kind.names[english.INDEX][0].text}
    if known.get("material"):
        values["Material"] = words.materials[known["material"]][english.INDEX]
    if known.get("size") is not None:
        values["Size"] = kind.sizes[known["size"]][english.INDEX]
    if known.get("color") and listing.color:
        values["Color"] = listing.color
    if known.get("variant") is not None:
        values["Style"] = kind.variants[known["variant"]][english.INDEX]
    return values


def _likes(name: str, found: list[str]) -> list[str]:
    """Words that would tell an attribute all the same, where its value was not found."""
    words = catalogue()
    if found or name == "Size":
        return []
    if name == "Material":
        return [word[english.INDEX].lower() for word in words.materials.values()]
    return [color.name[english.INDEX].lower() for shades in words.shades.values() for color in shades]


def _same(shop: Shop, number: int, rng: random.Random) -> Made | None:
    """Two pages: of one product, as two shops write it, or of two products of a type."""
    kind, listing = shop.listing(rng)
    other = one(shop.shelves[kind.key], rng)
    if number % 2:
        bare = listing.title.lower().translate(str.maketrans("|,()-", "     ")).split()
        other = listing._replace(title=" ".join([*bare[1:], bare[0]]), bullets=None)
    elif other.known.get("brand") == listing.known.get("brand") or other.title == listing.title:
        return None
    price = rng.randrange(5, 200)
    pages = {
        f"product {place}": {
            "title": sold.title,
            "description": (sold.bullets or "").splitlines()[0] if sold.bullets else float("nan"),
            "manufacturer": sold.brand or "nan",
            "price": f"{price + rng.randrange(5)}.{rng.randrange(10)}",
        }
        for place, sold in ((1, listing), (2, other))
    }
    return Made(json.dumps(pages), "yes" if number % 2 else "no")


def _related(shop: Shop, number: int, rng: random.Random) -> Made | None:
    """Two products: ones that go together, two of a kind, or one in two colours."""
    kind, listing = shop.listing(rng)
    partners = [key for key in kind.complements if key in shop.shelves]
    relation = number % 3
    if relation == 0 and partners:
        second = one(shop.shelves[one(partners, rng)], rng).title
    elif relation == 1:
        second = one(shop.shelves[kind.key], rng).title
    elif relation == 2 and listing.color and listing.color in listing.title:
        second = listing.title.replace(listing.color, one(("Black", "White", "Green", "Orange"), rng))
    else:
        return None
    titles = {"Product 1:": listing.title, "Product 2:": second}
    same = second == listing.title
    return None if same else Made(json.dumps(titles), "ABC"[relation], json.dumps(RELATIONS))


def _opinion(shop: Shop, number: int, rng: random.Random) -> Made | None:
    """A review of a product, and which of five opinions its writer has."""
    reviews = shop.texts["reviews"]
    options = [f"{'ABCDE'[place]}: {opinion}" for place, opinion in enumerate(reviews)]
    place = number % len(options)
    noun = shop.listing(rng)[0].names[english.INDEX][0].text
    if noun.endswith("s"):  # "a good scissors"
        return None
    if _split(number) == "test" and number > 300:  # of many, nouns alone would tell them apart
        return None
    review = _text(list(reviews.values())[place], number, rng).format(noun)
    return Made(review, options[place], json.dumps(options))


def _next(shop: Shop, number: int, rng: random.Random) -> Made | None:
    """What somebody bought, and what next: a thing that goes with the last one, among nineteen others."""
    kind, last = shop.listing(rng)
    partners = [key for key in kind.complements if key in shop.shelves]
    if not partners:
        return None
    key = one(partners, rng)
    near = [other for other in catalogue().departments[kind.department] if other in shop.shelves]
    bought = [_sold(other, one(shop.shelves[other], rng)) for other in rng.sample(near, min(3, len(near)))]
    bought.append(_sold(kind.key, last))
    right = _sold(key, one(shop.shelves[key], rng))
    far = [other for other in shop.shelves if other not in near and other not in partners]
    options = [_sold(other, one(shop.shelves[other], rng)) for other in rng.sample(far, 19)]
    place = rng.randrange(20)
    options.insert(place, right)
    history = [f"{nth}: {item}" for nth, item in zip(("1st", "2nd", "3rd", "4th"), bought, strict=False)]
    lettered = [f"{chr(65 + number)}: {item}" for number, item in enumerate(options)]
    return Made(str(history), chr(65 + place), str(lettered))


def _sold(key: str, listing: Listing) -> str:
    """A product as histories name it: title, department, type, brand."""
    kind = catalogue().types[key]
    brand = f" {listing.brand}." if listing.brand else ""
    return f"{listing.title}. {kind.department.capitalize()}. {key.replace('_', ' ').capitalize()}.{brand}"


def _relevance(shop: Shop, number: int, rng: random.Random) -> Made | None:
    """A query, one of its judged products, and how the one answers the other."""
    query, listing = _pair(shop, "ESCI"[number % 4], rng)
    if not listing:
        return None
    pair = {"query": query, "product title": listing.title}
    options = json.dumps(list(RELEVANCE.values()))
    return Made(json.dumps(pair), RELEVANCE["ESCI"[number % 4]], options)


def _stand_in(shop: Shop, number: int, rng: random.Random) -> Made | None:
    """A query, one of its judged products, and whether that is a substitute."""
    label = "SE"[number // 2 % 2] if number % 2 else "SI"[number // 2 % 2]
    query, listing = _pair(shop, label, rng)
    if not listing:
        return None
    return Made(json.dumps({"query": query, "product": listing.title}), "yes" if label == "S" else "no")


def _pair(shop: Shop, label: str, rng: random.Random) -> tuple[str, Listing | None]:
    """A query and one of its products with this label, if the query has one."""
    query = one(shop.judged, rng)
    fitting = [listing for listing, given in query.judgements if given == label]
    return query.text, one(fitting, rng) if fitting and query.source != "negations" else None


def _order(shop: Shop, number: int, rng: random.Random) -> Made | None:
    """A query and two to four of its products, each with a label of its own, best first."""
    query = one(shop.judged, rng)
    by_label = {label: listing for listing, label in query.judgements}
    if query.source == "negations" or len(by_label) < 2:
        return None
    labels = list(by_label)
    rng.shuffle(labels)
    products = [f"{chr(65 + place)}: {by_label[label].title}" for place, label in enumerate(labels)]
    best_first = [chr(65 + labels.index(label)) for label in "ESCI" if label in by_label]
    return Made(json.dumps({"query": query.text, "product list": products}), ",".join(best_first))


def _answerable(shop: Shop, number: int, rng: random.Random) -> Made | None:
    """A question about a product, with reviews that answer it or don't."""
    question, document, _ = _asked(shop, number, bool(number % 2), rng)
    return Made(json.dumps({"question": question, "document": document}), "yes" if number % 2 else "no")


def _answer(shop: Shop, number: int, rng: random.Random) -> Made | None:
    """The same with reviews that answer it, and the answer."""
    question, document, answer = _asked(shop, number, True, rng)
    return Made(json.dumps({"question": question, "document": document}), answer)


def _asked(shop: Shop, number: int, told: bool, rng: random.Random) -> tuple[str, list[str], str]:
    product, question, review, answer = _text(shop.texts["questions"], number, rng)
    document = [text.format(product) for text in rng.sample(shop.texts["chatter"], 3)]
    if told:
        document.insert(rng.randrange(4), review)
    return question, document, answer


TASKS: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "Attribute_Value_Extraction": (
        _value,
        (
            "Find the target attribute in the product's page.",
            "What does the page say of the target attribute?",
        ),
    ),
    "Product_Matching": (_same, ("Are these the same product?", "Say yes if both pages sell one product.")),
    "Product_Relation_Prediction": (_related, ("How are the two products related?", "Choose the relation.")),
    "Sentiment_Analysis": (_opinion, ("Which opinion does the review express?", "Choose the sentiment.")),
    "Sequential_Recommendation": (_next, ("What will be bought next?", "Choose the next purchase.")),
    "Multiclass_Product_Classification": (_relevance, ("How relevant is the product?", "Judge the product.")),
    "Product_Substitute_Identification": (_stand_in, ("Is it a substitute?", "Could it stand in?")),
    "Query_Product_Rank": (_order, ("Rank the products.", "Put the products in order.")),
    "Answerability_Prediction": (_answerable, ("Can this be answered?", "Is the answer in the document?")),
    "Answer_Generation": (_answer, ("Answer the question.", "Answer from the document.")),
}
"""The publisher's tasks: what makes a row, and instructions in words of our own."""
