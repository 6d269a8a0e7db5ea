"""The sample shop: a generator of made-up seed files, in each source's own layout.

    catalogue.py, *.yaml, types/*.yaml   the words: product types, attributes, phrases, brands
    traits.py                            what is true of a product, and what its listing tells of it
    english.py, spanish.py, japanese.py  titles and queries, with the same names in all three
    wording.py                           bullet points and descriptions
    asks.py                              what a query asks for, and whether a product has it
    market.py                            shelves of listings, and queries judged among them
    esci.py                              the market as ESCI's files
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

JUDGEMENTS_A_QUERY = 20
PRODUCTS_A_QUERY = 14


def write_sample(folder: Path, size: Literal["sample", "full"] | int = "sample", seed: int = 7) -> None:
    """Write the sample shop into `folder`, one subfolder a source (`esci/`, `m2/` ...).

    `size` is `sample`, `full` (the publishers' sizes), or an approximate number of ESCI's judgements. Raises
    UserError for an unknown size, and where no folder can be made.
    """
    from datagen.sources.sample.esci import write_esci
    from datagen.sources.sample.full import multiply

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
    for source in folder.iterdir():
        (source / MADE_UP).write_text(
            "No publisher wrote these files: shoptalk made them up.\n", encoding="utf-8"
        )
