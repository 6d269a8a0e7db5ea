"""The sample shop: a generator of made-up seed files, in each source's own layout.

    catalogue.py, *.yaml, types/*.yaml   the words: product types, attributes, phrases, brands
    traits.py                            what is true of a product, and what its listing tells of it
    english.py, spanish.py, japanese.py  titles and queries, with the same names in all three
    wording.py                           bullet points and descriptions
    asks.py                              what a query asks for, and whether a product has it
    market.py                            shelves of listings, and queries judged among them
    esci.py                              the market as ESCI's files
    items.py, items.yaml                 items with categories and details, and who bought them when
    reviews.py, reviews.yaml             what the buyers write about them
    ecinstruct.py                        its listings and queries as ECInstruct's tasks
    texts.py, mmlu.yaml, alpaca.yaml     general questions and instructions, in MMLU's and Alpaca's files
    m2.py, m2.yaml                       products and sessions of six marketplaces as Amazon-M2's files
    full.py                              the publishers' sizes, for benchmarks

Attributes are the truth: a label says how a product's attributes, as its listing shows them, meet what
the query asks for. No product, brand or sentence is taken from a real shop.
"""

import tempfile
from pathlib import Path
from typing import Literal

from datagen.errors import UserError
from datagen.sources.source import MADE_UP
from datagen.storage.files import writable

QUERIES, PRODUCTS = 3_200, 40_000
"""Of the sample, with about 62,000 judgements."""

M2_PRODUCTS, M2_SESSIONS = 2_400, 4_000
"""In Amazon-M2's layout, of six marketplaces."""

JUDGEMENTS_A_QUERY = 20
PRODUCTS_A_QUERY = 14


def write_sample(folder: Path, size: Literal["sample", "full"] | int = "sample", seed: int = 7) -> None:
    """Write the sample shop into `folder`, one subfolder a source (`esci/`, `m2/` ...).

    `size` is `sample`, `full` (the publishers' sizes), or an approximate number of ESCI's judgements. Raises
    UserError for an unknown size, and where no folder can be made.
    """
    from datagen.sources.sample.ecinstruct import write_ecinstruct
    from datagen.sources.sample.esci import write_esci
    from datagen.sources.sample.full import multiply
    from datagen.sources.sample.items import items, purchases, write_items
    from datagen.sources.sample.m2 import write_m2
    from datagen.sources.sample.reviews import write_reviews
    from datagen.sources.sample.texts import write_alpaca, write_mmlu

    if size < 1000 if isinstance(size, int) else size not in ("sample", "full"):
        raise UserError(f"sample size {size!r}: give sample, full, or a number of judgements from 1000 up")
    if size == "full":
        with tempfile.TemporaryDirectory(dir=writable(folder)) as sample:
            write_sample(Path(sample), "sample", seed)
            multiply(Path(sample), folder)
        return
    asked = size // JUDGEMENTS_A_QUERY if isinstance(size, int) else 0
    queries, products = (QUERIES, PRODUCTS) if size == "sample" else (asked, asked * PRODUCTS_A_QUERY)
    write_esci(writable(folder) / "esci", queries=queries, products=products, seed=seed)
    of_reviews = folder / "reviews"
    of_reviews.mkdir(exist_ok=True)
    made = items(products, seed)
    write_items(of_reviews, made)
    write_reviews(of_reviews, purchases(made, seed), seed=seed)
    write_ecinstruct(folder / "ecinstruct", seed)
    write_mmlu(folder / "mmlu", seed)
    write_alpaca(folder / "alpaca")
    write_m2(folder / "m2", products=M2_PRODUCTS, sessions=M2_SESSIONS, seed=seed)
    for source in folder.iterdir():
        (source / MADE_UP).write_text(
            "No publisher wrote these files: shoptalk made them up.\n", encoding="utf-8"
        )
