"""MMLU, multiple-choice questions of 57 subjects, as one seed table.

Layout and licence as in the publisher's files (Hendrycks et al., 2021, https://arxiv.org/abs/2009.03300):
a CSV file without a header for each subject and split. The hub's Parquet files are read as well.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from datagen.console.progress import Say
from datagen.hf.hub import dataset_files
from datagen.sources.source import Table

NAME = "mmlu"
LICENSE = "MIT"
HOMEPAGE = "https://github.com/hendrycks/test"
DOWNLOAD = "https://people.eecs.berkeley.edu/~hendrycks/data.tar"

TABLES = {
    "questions": Table(
        "data/*/*.csv",
        {
            "question": "VARCHAR",
            "a": "VARCHAR",
            "b": "VARCHAR",
            "c": "VARCHAR",
            "d": "VARCHAR",
            "answer": "VARCHAR",
            "filename": "VARCHAR",
            "subject": "VARCHAR",
            "choices": "VARCHAR[]",
        },
        values={"answer": {"A": ("0",), "B": ("1",), "C": ("2",), "D": ("3",)}},
        others=("*/*.csv", "*.csv", "all/*.parquet", "*/*.parquet"),
        headed=False,
        optional=frozenset({"a", "b", "c", "d", "subject", "choices"}),
    ),
}

HUB_ID = "cais/mmlu"
FILES_BY: dict[str, str] = {}


class Options(BaseModel):
    """What a recipe may set under `sources: {mmlu: ...}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: list[Literal["dev", "val", "auxiliary_train", "test"]] = Field(
        default=["dev", "val", "auxiliary_train"],
        min_length=1,
        description="Files whose questions are used, if there; models are compared on those of `test`.",
    )


SPLIT = (
    r"regexp_extract(filename, '(dev|val|test|auxiliary_train)(?:idation)?(?:[/\\]\w+)?(?:-[\w-]+)?"
    r"\.(?:csv|parquet)$', 1)"
)
"""A file is of the split that its name ends in, or in `auxiliary_train/` its folder's."""

SUBJECT = r"regexp_extract(filename, '(\w+?)(?:_(?:dev|val|test))?\.csv$', 1)"


def views(options: Options) -> dict[str, str]:
    """The SELECT behind the seed table, over a relation named like it with a `_file` suffix.

    In `auxiliary_train` a file's name tells where its questions are from; on the hub they have no subject.
    `held_out` are the questions of `test`, which nothing but a comparison reads, whatever the options say.
    """
    splits = ", ".join(f"'{split}'" for split in options.split)
    return {
        "questions": f"select coalesce(subject, nullif({SUBJECT}, '')) as subject, {SPLIT} as split,"
        " question, coalesce(choices, [a, b, c, d]) as options, instr('ABCD', answer) - 1 as answer"
        f" from questions_file where {SPLIT} in ({splits})",
        "held_out": f"select question from questions_file where {SPLIT} = 'test'",
    }


def from_hub(folder: Path, revision: str, options: Options, say: Say) -> None:
    """Download the publisher's files, which the hub has as Parquet."""
    dataset_files(HUB_ID, revision, ["all/*.parquet"], folder, say)
