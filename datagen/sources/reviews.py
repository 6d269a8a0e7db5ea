"""Amazon Reviews 2023, reviews and the items that they are about, as two seed tables.

Layout as in the publisher's files (Hou et al., 2024, https://arxiv.org/abs/2403.03952): a file of reviews
and one of items for each of 34 categories, JSON Lines. Join on parent_asin: items have no other id.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from datagen.console.progress import Say
from datagen.errors import UserError
from datagen.hf.hub import dataset_files
from datagen.sources.query import quoted
from datagen.sources.source import Table

NAME = "reviews"
LICENSE = "none granted: research use"
HOMEPAGE = "https://amazon-reviews-2023.github.io"
DOWNLOAD = "https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023/tree/main/raw"

TABLES = {
    "reviews": Table(
        "[A-Z]*.jsonl",
        {
            "filename": "VARCHAR",
            "rating": "DOUBLE",
            "title": "VARCHAR",
            "text": "VARCHAR",
            "asin": "VARCHAR",
            "parent_asin": "VARCHAR",
            "user_id": "VARCHAR",
            "timestamp": "BIGINT",
            "helpful_vote": "BIGINT",
            "verified_purchase": "BOOLEAN",
        },
        others=("[A-Z]*.jsonl.gz", "raw/review_categories/*.jsonl"),
        private=frozenset({"user_id"}),
    ),
    "items": Table(
        "meta_*.jsonl",
        {
            "filename": "VARCHAR",
            "parent_asin": "VARCHAR",
            "main_category": "VARCHAR",
            "title": "VARCHAR",
            "average_rating": "DOUBLE",
            "rating_number": "BIGINT",
            "features": "VARCHAR[]",
            "description": "VARCHAR[]",
            "price": "VARCHAR",
            "store": "VARCHAR",
            "categories": "VARCHAR[]",
            "details": "JSON",
        },
        key=("parent_asin",),
        others=("meta_*.jsonl.gz", "raw/meta_categories/meta_*.jsonl"),
    ),
}

HUB_ID = "McAuley-Lab/Amazon-Reviews-2023"

FILES_BY = {"category": r"(?:meta_)?(\w+)\.jsonl"}


class Options(BaseModel):
    """What a recipe may set under `sources: {reviews: ...}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Categories, as in files' names (`Office_Products`); null: of all files that are there.",
    )


def views(options: Options) -> dict[str, str]:
    """The SELECT behind each seed table, over relations named like the tables with a `_file` suffix.

    `category` is the file's. `user_id` is a number for the user, as no user's own may reach a row by any way.
    Of `details`, an object or the text of one, `keys` and `values` go together.
    """
    category = f"regexp_extract(filename, {quoted(FILES_BY['category'])}, 1) as category"
    details = "if(json_type(details) = 'VARCHAR', json_extract_string(details, '$'), details::varchar)"
    details = f"case when json_valid({details}) and json_type({details}) = 'OBJECT' then {details}::json end"
    chosen = f" where category in ({', '.join(map(quoted, options.category))})" if options.category else ""
    return {
        "reviews": f"select {category}, * exclude (filename) replace (draw(user_id) as user_id)"
        f" from reviews_file{chosen}",
        "items": f"select {category}, * exclude (filename) replace (try_cast(price as double) as price,"
        f" {details} as details) from items_file{chosen}",
    }


def from_hub(folder: Path, revision: str, options: Options, say: Say) -> None:
    """Download the reviews and items of the chosen categories, which the hub has as the publisher's files.

    Raises UserError where none is chosen: all of them are hundreds of gigabytes.
    """
    if not options.category:
        raise UserError(
            f"seeds hub: {NAME}: say which categories to fetch, as in `sources: {{{NAME}: {{category: "
            "[Office_Products, Toys_and_Games]}}}}`; all of them are hundreds of gigabytes"
        )
    wanted = [
        f"raw/{part}_categories/{prefix}{category}.jsonl"
        for category in options.category
        for part, prefix in (("review", ""), ("meta", "meta_"))
    ]
    dataset_files(HUB_ID, revision, wanted, folder, say)
