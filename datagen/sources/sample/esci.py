"""The sample shop written as files in ESCI's layout.

Same arguments, same bytes. Blocks are written as they are made, so memory stays the same at any size, and
a file gets its name only when all three are whole.
"""

import gc
import os
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.errors import UserError
from datagen.sources import esci
from datagen.sources.sample.catalogue import LOCALES, ProductType, catalogue
from datagen.sources.sample.market import Block, Judged, Shelves, ask, stock

SHARES = (0.70, 0.13, 0.17)
"""Of queries and products, by locale, about as in ESCI."""

SHELF = 240
"""Products of a type in a block: enough for several to match a query, few enough to judge them all."""

BARE_SHELF = 50
"""With fewer products of a type than this, fewer departments open."""

TEST_SHARE = 0.25

TYPES = {"BIGINT": pa.int64(), "VARCHAR": pa.string()}
SCHEMAS = {
    table: pa.schema([(column, TYPES[sql]) for column, sql in esci.TABLES[table].columns.items()])
    for table in ("examples", "products")
}

Progress = Callable[[int, int], None]
"""Called with the number of products written so far, and of all."""


def write_esci(
    folder: Path, *, queries: int, products: int, seed: int = 7, progress: Progress | None = None
) -> None:
    """Write examples, products and sources into `folder`: about 20 judgements a query, in three locales.

    Raises UserError where there are too few products for so many queries.
    """
    if queries < 10 or products < 500:
        raise UserError(f"queries={queries}, products={products}: a marketplace needs at least 10 and 500")
    folder.mkdir(parents=True, exist_ok=True)
    done = 0
    with _no_collector(), _Files(folder, seed) as files:
        for locale, asked in enumerate(_split(queries)):
            taken: set[str] = set()
            parts = list(blocks(products, locale, seed))
            for block, first, count in parts:
                wanted = asked * (block.number + 1) // len(parts) - asked * block.number // len(parts)
                shelves = stock(block, count, first)
                files.add_products(shelves, LOCALES[locale])
                files.add_queries(ask(block, shelves, wanted, taken), LOCALES[locale])
                done += count
                if progress:
                    progress(done, products)


def blocks(products: int, locale: int, seed: int) -> Iterator[tuple[Block, int, int]]:
    """A locale's blocks where all sell so many products; each with its first's number and its size."""
    sold = _split(products)[locale]
    kinds = _types_sold(sold, seed)
    count = max(1, round(sold / (SHELF * len(kinds))))
    for number in range(count):
        first = sold * number // count
        yield Block(kinds, locale, number, seed), first, sold * (number + 1) // count - first


@contextmanager
def _no_collector() -> Iterator[None]:
    """Spare the garbage collector's walks over the listings of a block: none is part of a circle."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _split(total: int) -> tuple[int, int, int]:
    """A total shared out over the locales."""
    _, spanish, japanese = (round(total * share) for share in SHARES)
    return total - spanish - japanese, spanish, japanese


def _types_sold(products: int, seed: int) -> list[ProductType]:
    """The types sold where there are so many products: all, or those of some whole departments."""
    departments = list(catalogue().departments.values())
    random.Random(f"{seed}/departments").shuffle(departments)
    keys: list[str] = []
    for department in departments:
        if not keys or (len(keys) + len(department)) * BARE_SHELF <= products:
            keys += department
    return [catalogue().types[key] for key in keys]


class _Files:
    """The three files of a data set while they are written, under names that nobody takes for whole ones."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._rng = random.Random(f"{seed}/files")
        self._final = {table: folder / esci.TABLES[table].file for table in esci.TABLES}
        self._partial = {name: path.with_name(f".{path.name}.partial") for name, path in self._final.items()}
        self._writers = {
            table: pq.ParquetWriter(self._partial[table], schema, compression="zstd")
            for table, schema in SCHEMAS.items()
        }
        self._sources = self._partial["sources"].open("w", encoding="utf-8", newline="\n")
        self._sources.write("query_id,source\n")
        self._queries = self._examples = 0

    def __enter__(self) -> "_Files":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
        self._sources.close()
        for table, partial in self._partial.items():
            if kind is None:
                os.replace(partial, self._final[table])
            else:
                partial.unlink(missing_ok=True)

    def add_products(self, shelves: Shelves, locale: str) -> None:
        """Append the listings of a block, in no order."""
        listings = [listing for shelf in shelves.values() for listing in shelf]
        self._rng.shuffle(listings)
        self._append("products", [(*listing[:6], locale) for listing in listings])

    def add_queries(self, judged: Iterable[Judged], locale: str) -> None:
        """Append queries with their judgements; the split, and whether it is a harder query, go by query."""
        rows: list[tuple[object, ...]] = []
        for query in judged:
            exact = sum(label == "E" for _, label in query.judgements) / len(query.judgements)
            split = "test" if self._rng.random() < TEST_SHARE else "train"
            small = int(self._rng.random() < (0.5 if exact < 0.7 else 0.15))
            for listing, label in query.judgements:
                rows.append(
                    (self._examples, query.text, self._queries, listing.id, locale, label, small, 1, split)
                )
                self._examples += 1
            self._sources.write(f"{self._queries},{query.source}\n")
            self._queries += 1
        self._append("examples", rows)

    def _append(self, table: str, rows: list[tuple[object, ...]]) -> None:
        if rows:
            schema = SCHEMAS[table]
            columns = zip(*rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            self._writers[table].write_table(pa.Table.from_arrays(arrays, schema=schema))
