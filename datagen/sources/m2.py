"""Amazon-M2, shopping sessions in six marketplaces with the products they saw, as two seed tables.

Layout as in the publisher's files of KDD Cup 2023 (Jin et al., 2023, https://arxiv.org/abs/2307.09688):
3.6 million sessions, 1.4 million products. A product's id repeats across locales: join on id and locale.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from datagen.console.progress import Say
from datagen.sources.source import Table

NAME = "m2"
LICENSE = "Apache-2.0"
HOMEPAGE = "https://kddcup23.github.io"
DOWNLOAD = (
    "https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge/dataset_files"
)

LOCALES: dict[str, tuple[str, ...]] = {
    "UK": (),
    "DE": (),
    "JP": (),
    "FR": (),
    "IT": (),
    "ES": (),
}

TABLES = {
    "sessions": Table(
        "sessions_train.csv",
        {"prev_items": "VARCHAR", "next_item": "VARCHAR", "locale": "VARCHAR"},
        values={"locale": LOCALES},
        others=("sessions_train.parquet",),
    ),
    "products": Table(
        "products_train.csv",
        {
            "id": "VARCHAR",
            "locale": "VARCHAR",
            "title": "VARCHAR",
            "price": "VARCHAR",
            "brand": "VARCHAR",
            "color": "VARCHAR",
            "size": "VARCHAR",
            "model": "VARCHAR",
            "material": "VARCHAR",
            "author": "VARCHAR",
            "desc": "VARCHAR",
        },
        key=("id", "locale"),
        values={"locale": LOCALES},
        others=("products_train.parquet",),
    ),
}

HUB_ID = ""
FILES_BY: dict[str, str] = {}

FILLER = 40_000_000
"""Prices from here on stand for none: the publisher writes 40000000.07."""


class Options(BaseModel):
    """What a recipe may set under `sources: {m2: ...}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    locale: list[Literal["UK", "DE", "JP", "FR", "IT", "ES"]] = Field(
        default=["UK", "DE", "JP", "FR", "IT", "ES"],
        min_length=1,
        description="Marketplaces whose sessions and products are used.",
    )


def views(options: Options) -> dict[str, str]:
    """The SELECT behind each seed table, over relations named like the tables with a `_file` suffix.

    `prev_items` are a list, in the order of the session: a CSV file holds the print of a numpy array
    (`printed`, by which sessions are drawn before they are read).
    What the file calls `desc`, a word of SQL, is `description`.
    """
    locales = ", ".join(f"'{locale}'" for locale in options.locale)
    price = f"if(try_cast(price as double) < {FILLER}, try_cast(price as double), null)"
    return {
        "sessions": r"select regexp_extract_all(prev_items, '\w+') as prev_items, next_item, locale,"
        f" prev_items as printed from sessions_file where locale in ({locales})",
        "products": f'select * exclude ("desc") replace ({price} as price), "desc" as description'
        f" from products_file where locale in ({locales})",
    }


def from_hub(folder: Path, revision: str, options: Options, say: Say) -> None:
    """Nothing: the publisher has no data set on the hub."""
