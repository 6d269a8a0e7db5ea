"""A seed source: what a module says of one public data set, and of each of its files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from datagen.console.progress import Say

MADE_UP = "made-up.txt"
"""A file in the folder of a source whose files no publisher wrote; it says so."""


@dataclass(frozen=True, slots=True)
class Table:
    """One file of a source in its publisher's layout; `columns` maps names to DuckDB types.

    `file` may be a pattern that several files match, below the source's folder; `others` are names or
    patterns of other copies, tried in turn where there is no `file`. A column named `filename` is the
    file's own name. A CSV file without a header (`headed`) has the columns in their order. `optional`
    columns may be missing, and are null then. `key` are the columns that no two rows have in common: rows
    that do are one, listed twice. `number` is a column by which the publisher counts rows, where a copy may
    have begun anew. `values` says of a column what it may hold, each with other spellings, in lower case.
    `private` columns tell people apart: queries may join by them, and return none of them.
    `without` tells what is given up where there is no such file; a table that does not say so needs its
    file.
    """

    file: str
    columns: dict[str, str]
    key: tuple[str, ...] = ()
    number: str = ""
    values: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    without: str = ""
    others: tuple[str, ...] = ()
    headed: bool = True
    optional: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()


class Source(Protocol):
    """A module that describes a source; its staging tables stand in `<name>.sql` beside it.

    A staging table `evaluation` with a column `text` has the questions of the publisher's own test, which
    others score models by: every recipe over the source is decontaminated of them. A source whose tasks
    hold its test out as theirs (ESCI, by the column `split`) has none: it is wanted, in the test split.
    """

    NAME: str
    """As a recipe's `sources:` and SQL write it."""

    LICENSE: str
    """SPDX id, or a plain word where the publisher grants none; it travels with every row."""

    HOMEPAGE: str
    """Where the publisher describes the files."""

    DOWNLOAD: str
    """Where the files themselves are."""

    HUB_ID: str
    """The data set on the Hugging Face hub; empty where there is none."""

    FILES_BY: dict[str, str]
    """Options that choose among its files, each with the pattern of its value in a file's name."""

    TABLES: dict[str, Table]
    """Seed table -> the publisher's file."""

    @property
    def Options(self) -> type[BaseModel]:
        """What a recipe may set for the source."""

    def views(self, options: Any, /) -> dict[str, str]:
        """SQL that turns the files into seed tables, with the options applied."""

    def from_hub(self, folder: Path, revision: str, options: Any, say: Say, /) -> None:
        """Download what options ask for at a revision, in the publisher's layout; `say` is told how much."""
