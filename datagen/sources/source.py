"""The description of one file of a seed source: its name and its columns."""

from dataclasses import dataclass

MADE_UP = "shoptalk.made_up"
"""Key in the metadata of a Parquet file that no publisher wrote."""


@dataclass(frozen=True, slots=True)
class Table:
    """One file of a source in its publisher's layout; `columns` maps names to DuckDB types."""

    file: str
    columns: dict[str, str]
