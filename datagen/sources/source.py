"""The description of one file of a seed source: its name and its columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MADE_UP = "shoptalk.made_up"
"""Key in the metadata of a Parquet file that no publisher wrote."""


@dataclass(frozen=True, slots=True)
class Table:
    """One file of a source in its publisher's layout; `columns` maps names to DuckDB types.

    `key` are the columns that no two rows have in common: rows that do are one, listed twice. `number` is a
    column by which the publisher counts rows, where a copy may have begun anew. `values` says of a column
    what it may hold, each with other spellings, in lower case. `without` tells what is given up where there
    is no such file; a table that does not say so needs its file.
    """

    file: str
    columns: dict[str, str]
    key: tuple[str, ...] = ()
    number: str = ""
    values: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    without: str = ""
