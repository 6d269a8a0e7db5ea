"""ECInstruct, instructions for ten shopping tasks, as one seed table.

Layout and licence as in the publisher's data set (Peng et al., 2024, https://arxiv.org/abs/2402.08831):
one JSON array of 264,000 rows. Rows repeat across settings, which word the same input in other ways.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from datagen.console.progress import Say
from datagen.hf.hub import dataset_files
from datagen.sources.source import Table

NAME = "ecinstruct"
LICENSE = "CC-BY-4.0"
HOMEPAGE = "https://huggingface.co/datasets/NingLab/ECInstruct"
DOWNLOAD = "https://huggingface.co/datasets/NingLab/ECInstruct/tree/main"

SPLITS: dict[str, tuple[str, ...]] = {"train": (), "val": ("validation",), "test": ()}

TABLES = {
    "rows": Table(
        "dataset.json",
        {
            "task": "VARCHAR",
            "setting": "VARCHAR",
            "split": "VARCHAR",
            "instruction": "VARCHAR",
            "input": "VARCHAR",
            "options": "VARCHAR",
            "output": "VARCHAR",
        },
        values={"split": SPLITS},
    ),
}

HUB_ID = "NingLab/ECInstruct"
FILES_BY: dict[str, str] = {}


class Options(BaseModel):
    """What a recipe may set under `sources: {ecinstruct: ...}`: nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def views(options: Options) -> dict[str, str]:
    """The SELECT behind the seed table, over a relation named like it with a `_file` suffix."""
    return {"rows": "select * from rows_file"}


def from_hub(folder: Path, revision: str, options: Options, say: Say) -> None:
    """Download the publisher's file, which the hub has as it is."""
    dataset_files(HUB_ID, revision, [TABLES["rows"].file], folder, say)
