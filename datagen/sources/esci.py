"""ESCI, Amazon's shopping queries with relevance judgements, as three seed tables.

Layout, columns and licence as in the publisher's repository (Reddy et al., 2022,
https://arxiv.org/abs/2206.06588): 2.6 million judgements, 1.8 million products, 130,652 queries in
three locales. Join products on product_id and product_locale: ids repeat across locales.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from datagen.console.progress import Say
from datagen.hf.hub import download_plan
from datagen.sources.source import Table

NAME = "esci"
LICENSE = "Apache-2.0"
HOMEPAGE = "https://github.com/amazon-science/esci-data"
DOWNLOAD = "https://github.com/amazon-science/esci-data/tree/main/shopping_queries_dataset"

LOCALES: dict[str, tuple[str, ...]] = {"us": (), "es": (), "jp": ()}
LABELS = {"E": ("exact",), "S": ("substitute",), "C": ("complement",), "I": ("irrelevant",)}
SPLITS: dict[str, tuple[str, ...]] = {"train": (), "test": ()}

TABLES = {
    "examples": Table(
        "shopping_queries_dataset_examples.parquet",
        {
            "example_id": "BIGINT",
            "query": "VARCHAR",
            "query_id": "BIGINT",
            "product_id": "VARCHAR",
            "product_locale": "VARCHAR",
            "esci_label": "VARCHAR",
            "small_version": "BIGINT",
            "large_version": "BIGINT",
            "split": "VARCHAR",
        },
        key=("query_id", "product_id", "product_locale"),
        number="example_id",
        values={"product_locale": LOCALES, "esci_label": LABELS, "split": SPLITS},
    ),
    "products": Table(
        "shopping_queries_dataset_products.parquet",
        {
            "product_id": "VARCHAR",
            "product_title": "VARCHAR",
            "product_description": "VARCHAR",
            "product_bullet_point": "VARCHAR",
            "product_brand": "VARCHAR",
            "product_color": "VARCHAR",
            "product_locale": "VARCHAR",
        },
        key=("product_id", "product_locale"),
        values={"product_locale": LOCALES},
    ),
    "sources": Table(
        "shopping_queries_dataset_sources.csv",
        {"query_id": "BIGINT", "source": "VARCHAR"},
        key=("query_id", "source"),
        without="what queries ask for is told by their words alone",
    ),
}

NEGATION = r"(?i)\b(?:without|not|sin)\b|[\p{Han}\p{Katakana}ー](?:なし|無し)"
"""Queries that ask for something to be absent. The publisher's file of sources marks few of them: it covers a
part of the queries, none of them Spanish or Japanese, and the hub has no such file."""

PRICE = (
    r"(?i)[$£] ?\d|\d ?(?:€|(?:dollars|bucks|cents|euros)\b)|\b(?:under|below|less than|menos de) \d+$"
    r"|\b(?:cheap(?:er|est)?|inexpensive|affordable|deals|barat[oa]s?|econ[oó]mic[oa]s?)\b"
    r"|[\p{N}千万]円|[激格]安|安い|プチプラ|お買い得"
)
"""Queries that ask for a price, which no column of a product tells."""

ENTITIES = {"&quot;": '"', "&#39;": "''", "&apos;": "''", "&lt;": "<", "&gt;": ">", "&amp;": "&"}
"""Found in titles, and what they stand for, as SQL writes it in a text."""

HUB_ID = "tasksource/esci"
"""One joined table with the labels spelled out; the publisher itself has no data set on the hub."""
FILES_BY: dict[str, str] = {}

HUB_LABELS = {"Exact": "E", "Substitute": "S", "Complement": "C", "Irrelevant": "I"}


class Options(BaseModel):
    """What a recipe may set under `sources: {esci: ...}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    locale: list[Literal["us", "es", "jp"]] = Field(
        default=["us", "es", "jp"],
        min_length=1,
        description="Marketplaces whose queries and products are used.",
    )


def views(options: Options) -> dict[str, str]:
    """The SELECT behind each seed table, over relations named like the tables with a `_file` suffix.

    Queries whose words ask for an absence are among the `negations` of `sources`, whatever their file says,
    and those that ask for a price are its `prices`, which no file has;
    titles come without the commonest HTML entities, which a page would not show.
    """
    title = "product_title"
    for entity, character in ENTITIES.items():
        title = f"replace({title}, '{entity}', '{character}')"
    title = f"case when contains(product_title, '&') then {title} else product_title end"
    locales = ", ".join(f"'{locale}'" for locale in options.locale)
    chosen = f"where product_locale in ({locales})"
    return {
        "examples": f"select * from examples_file {chosen}",
        "products": f"select * replace ({title} as product_title) from products_file {chosen}",
        # Told by a group's maximum, or else a filter on `source` is tried on every row, a second time: 0.5 s.
        "sources": "select * from sources_file union"
        f" select query_id, if(regexp_matches(max(query), '{PRICE}'), 'prices', 'negations')"
        f" from examples_file {chosen} and regexp_matches(query, '{PRICE}|{NEGATION}') group by query_id",
    }


def from_hub(folder: Path, revision: str, options: Options, say: Say) -> None:
    """Write the hub's joined table into `folder` in the publisher's layout.

    Needs the network. The hub's table does not say where a query came from, so `sources` gets no rows.
    """
    import duckdb
    from datasets import Dataset, DatasetDict, load_dataset

    download_plan(HUB_ID, revision, ["*.parquet"], say)
    loaded = load_dataset(HUB_ID, revision=revision)
    if not isinstance(loaded, DatasetDict):
        raise TypeError(f"{HUB_ID} is not split into train and test as it used to be")
    connection = duckdb.connect()
    parts: list[str] = []
    for split, data in loaded.items():
        if not isinstance(data, Dataset):
            raise TypeError(f"{HUB_ID}: split {split} is not a table")
        connection.register(f"part_{len(parts)}", data.data.table)
        parts.append(f"select *, '{'train' if split == 'train' else 'test'}' as split from part_{len(parts)}")
    connection.execute(f"create view joined as {' union all by name '.join(parts)}")
    label = " ".join(f"when '{long}' then '{short}'" for long, short in HUB_LABELS.items())
    columns = ", ".join(TABLES["examples"].columns)
    products = ", ".join(TABLES["products"].columns)
    folder.mkdir(parents=True, exist_ok=True)
    connection.execute(
        f"copy (select {columns} from"
        f" (select * replace (case esci_label {label} else esci_label end as esci_label) from joined)"
        f" order by example_id) to '{folder / TABLES['examples'].file}' (format parquet)"
    )
    connection.execute(
        f"copy (select distinct on (product_id, product_locale) {products} from joined"
        f" order by product_id, product_locale) to '{folder / TABLES['products'].file}' (format parquet)"
    )
    (folder / TABLES["sources"].file).write_text("query_id,source\n", encoding="utf-8")
