"""MMLU, multiple-choice questions of 57 subjects, as one seed table.

Layout and licence as in the publisher's files (Hendrycks et al., 2021, https://arxiv.org/abs/2009.03300):
a CSV file without a header for each subject and split.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from datagen.errors import UserError
from datagen.sources.source import Table

NAME = "mmlu"
LICENSE = "MIT"
HOMEPAGE = "https://github.com/hendrycks/test"

TABLES = {
    "questions": Table(
        "data/*/*_*.csv",
        {
            "question": "VARCHAR",
            "a": "VARCHAR",
            "b": "VARCHAR",
            "c": "VARCHAR",
            "d": "VARCHAR",
            "answer": "VARCHAR",
            "filename": "VARCHAR",
        },
        values={"answer": {"A": (), "B": (), "C": (), "D": ()}},
        others=("*/*_*.csv", "*_*.csv"),
        headed=False,
    ),
}

HUB_ID = "cais/mmlu"


class Options(BaseModel):
    """What a recipe may set under `sources: {mmlu: ...}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: list[Literal["dev", "val", "test"]] = Field(
        default=["dev", "val"],
        min_length=1,
        description="Files whose questions are used; models are compared on those of `test`.",
    )


def views(options: Options) -> dict[str, str]:
    """The SELECT behind the seed table, over a relation named like it with a `_file` suffix."""
    splits = ", ".join(f"'{split}'" for split in options.split)
    named = r"regexp_extract(filename, '(\w+)_(dev|val|test)\.csv$', {})"
    return {
        "questions": f"select {named.format(1)} as subject, {named.format(2)} as split, question,"
        " [a, b, c, d] as options, instr('ABCD', answer) - 1 as answer"
        f" from questions_file where {named.format(2)} in ({splits})",
    }


def from_hub(folder: Path, revision: str) -> None:
    """Download the questions."""
    raise UserError(f"seeds hub: {NAME} is not fetched. Get its files from {HOMEPAGE} and give their folder")
