"""Alpaca-Cleaned, instructions with answers that a language model wrote, as one seed table.

Layout as in the publisher's repository: one JSON array of 51,800 rows. Its licence forbids commercial use
(the hub's copy says otherwise; the stricter one counts).
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from datagen.console.progress import Say
from datagen.hf.hub import dataset_files
from datagen.sources.source import Table

NAME = "alpaca"
LICENSE = "CC-BY-NC-4.0"
HOMEPAGE = "https://github.com/gururise/AlpacaDataCleaned"
DOWNLOAD = "https://github.com/gururise/AlpacaDataCleaned/blob/main/alpaca_data_cleaned.json"

TABLES = {
    "rows": Table(
        "alpaca_data_cleaned.json",
        {"instruction": "VARCHAR", "input": "VARCHAR", "output": "VARCHAR"},
    ),
}

HUB_ID = "yahma/alpaca-cleaned"
FILES_BY: dict[str, str] = {}


class Options(BaseModel):
    """What a recipe may set under `sources: {alpaca: ...}`: nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def views(options: Options) -> dict[str, str]:
    """The SELECT behind the seed table, over a relation named like it with a `_file` suffix."""
    return {"rows": "select * from rows_file"}


def from_hub(folder: Path, revision: str, options: Options, say: Say) -> None:
    """Download the publisher's file, which the hub has as it is."""
    dataset_files(HUB_ID, revision, [TABLES["rows"].file], folder, say)
