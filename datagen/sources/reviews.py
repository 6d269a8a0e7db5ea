"""Amazon Reviews 2023, reviews and the items that they are about, as two seed tables.

Layout as in the publisher's files (Hou et al., 2024, https://arxiv.org/abs/2403.03952): a file of reviews
and one of items for each of 34 categories, JSON Lines. Join on parent_asin: items have no other id.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from datagen.console.progress import Say
from datagen.errors import UserError
from datagen.sources.source import Table

NAME = "reviews"
LICENSE = "none granted: research use"
HOMEPAGE = "https://amazon-reviews-2023.github.io"

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


class Options(BaseModel):
    """What a recipe may set under `sources: {reviews: ...}`: nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def views(options: Options) -> dict[str, str]:
    """The SELECT behind each seed table, over relations named like the tables with a `_file` suffix.

    `category` is the file's. Of `details`, an object or the text of one, `keys` and `values` go together.
    """
    category = r"regexp_extract(filename, '(?:meta_)?(\w+)\.jsonl', 1) as category"
    details = "if(json_type(details) = 'VARCHAR', json_extract_string(details, '$'), details::varchar)"
    details = f"case when json_valid({details}) and json_type({details}) = 'OBJECT' then {details}::json end"
    return {
        "reviews": f"select {category}, * exclude (filename) from reviews_file",
        "items": f"select {category}, * exclude (filename) replace (try_cast(price as double) as price,"
        f" {details} as details) from items_file",
    }


def from_hub(folder: Path, revision: str, say: Say) -> None:
    """Download the files of a category."""
    raise UserError(f"seeds hub: {NAME} is not fetched. Get its files from {HOMEPAGE} and give their folder")
