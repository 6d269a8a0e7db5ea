"""The staging tables of a source: named SELECTs over its files that most tasks would begin with.

They stand in an `.sql` file beside the source's module, each after a comment that says what it holds, and
may read those before them. `create table` is written for what costs something: where several tasks of a
build read it, it is computed once. A `create view` is read in place, always.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

_FOLDER = Path(__file__).parent
_STATEMENT = re.compile(
    r"(?P<comment>(?:--[^\n]*\n)*)create (?P<kind>table|view) (?P<schema>\w+)\.(?P<name>\w+) as"
    r"\s+(?P<select>.+)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Staged:
    """One staging table; `kept` where it is worth keeping what it gives."""

    name: str
    comment: str
    select: str
    kept: bool


@cache
def staged(source: str) -> dict[str, Staged]:
    """The staging tables of a source by name, each after those that it reads; none where it has no file."""
    path = _FOLDER / f"{source}.sql"
    if not path.is_file():
        return {}
    found = {}
    with duckdb.connect() as connection:
        for statement in connection.extract_statements(path.read_text(encoding="utf-8")):
            match = _STATEMENT.search(statement.query)
            if match is None or match["schema"] != source or not match["comment"]:
                wanted = f"a comment and `create view {source}.<name> as select ...`"
                raise ValueError(f"{path}: not {wanted}: {statement.query.strip()}")
            comment = " ".join(line[2:].strip() for line in match["comment"].splitlines())
            select = match["select"].strip().removesuffix(";")
            found[match["name"]] = Staged(match["name"], comment, select, match["kind"] == "table")
    return found
