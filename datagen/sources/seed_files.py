"""The files of a seed source, read with exactly the columns, types and values that it documents.

What is odd about a file, and yet read, is told in a line: other spellings, unknown values, repeated keys.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np

from datagen.console.progress import Say
from datagen.console.text import shortened
from datagen.errors import UserError
from datagen.sources import SOURCES
from datagen.sources.query import first_line, quoted
from datagen.sources.source import Table


def check_folders(sources: Iterable[str], location: Path) -> None:
    """Raise UserError where several sources are read, and some of them have no folder below `location`."""
    sources = list(sources)
    there = [name for name in sources if (location / name).is_dir()]
    missing = [name for name in sources if name not in there]
    if there and missing:
        raise UserError(
            f"{location}: no folder for {', '.join(missing)}. `datagen sources` says where to get files; "
            f"SOURCES={' '.join(there)!r} (or --sources {' '.join(there)!r}) builds from what is there alone"
        )


def seed_files(source: str, location: Path) -> dict[str, Path]:
    """The files of one source below `location`, checked to be there, or not needed, and to be data."""
    folder = location / source
    module = SOURCES[source]
    found = {}
    for name, table in module.TABLES.items():
        path = folder / table.file
        if table.without and not path.exists():
            continue
        if not path.is_file():
            raise UserError(
                f"{path}: no such file. Seeds of {source} are laid out as their publisher does "
                f"({module.HOMEPAGE}): {', '.join(table.file for table in module.TABLES.values())}; "
                "SEEDS=sample needs no files"
            )
        with path.open("rb") as file:
            head = file.read(64)
        if head.startswith(b"version https://git-lfs"):
            raise UserError(f"{path}: a git LFS pointer, not data. Run `git lfs pull` in its repository")
        found[name] = path
    return found


_AS_IT_IS = "hive_partitioning = false, union_by_name = false"
"""A file is read alone, and no folder's name (`split=test`) becomes a column."""


_HEADER_BYTES = 65_536


_NAMED = 10
"""Values that a message names."""


def scan(connection: duckdb.DuckDBPyConnection, table_name: str, path: Path, table: Table, say: Say) -> str:
    """SQL that reads one file with exactly the columns and types that the source documents."""
    if path.suffix == ".csv":
        has = _header(path)
        kinds = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in _unlike(has, table.columns))
        dialect = "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"'"
        reader = f"read_csv({quoted(one_file(path))}, {dialect}, {_AS_IT_IS}, columns = {{{kinds}}})"
    else:
        reader = f"read_parquet({quoted(one_file(path))}, {_AS_IT_IS})"
    try:
        if path.suffix != ".csv":
            has = [row[0] for row in connection.execute(f"describe select * from {reader}").fetchall()]
        missing = [name for name in table.columns if name not in has]
        if missing:
            raise UserError(
                f"{path}: lacks the column {', '.join(missing)}; it has {_some(has)}; "
                f"expected are {', '.join(table.columns)}. Is it the publisher's file of this name?"
            )
        if path.suffix != ".csv" and not connection.execute(f"select 1 from {reader} limit 1").fetchone():
            raise UserError(f"{path}: the table has no rows. Take the publisher's file, or SEEDS=sample")
        _check_types(connection, path, reader, table)
        columns = {name: name for name in table.columns}
        for name in table.values:
            columns[name] = _spelled(connection, path, reader, table, name, say)
        relation = f"select {casts(table, columns)} from {reader}"
        return _keyed(connection, table_name, path, table, relation, say) if table.key else relation
    except duckdb.Error as error:
        raise UserError(
            f"{path}: cannot be read: {first_line(error)}. Is it cut off? Fetch it again"
        ) from None


def _header(path: Path) -> list[str]:
    """The names in the first line of a CSV file. Raises UserError where the file is empty."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES).decode("utf-8-sig", errors="replace")
    names = next(csv.reader(io.StringIO(head)), [])
    if not names:
        raise UserError(f"{path}: cannot be read: it is empty. Fetch it again")
    return [name.strip() for name in names]


def _unlike(header: list[str], columns: Mapping[str, str]) -> list[str]:
    """A name of its own for each column of a CSV file: what nobody reads may have none, or one twice."""
    first = {name: header.index(name) for name in columns if name in header}
    return [name if first.get(name) == place else f"column {place}" for place, name in enumerate(header)]


def _check_types(connection: duckdb.DuckDBPyConnection, path: Path, reader: str, table: Table) -> None:
    """Raise UserError where a text does not hold what its column is, before a recipe is blamed for it."""
    described = connection.execute(f"describe select * from {reader}").fetchall()
    texts = {name for name, kind, *_ in described if kind == "VARCHAR"}
    for name, kind in table.columns.items():
        if name in texts and kind != "VARCHAR":
            other = connection.execute(
                f"select {name} from {reader}"
                f" where {name} is not null and try_cast({name} as {kind}) is null limit 1"
            ).fetchone()
            if other:
                raise UserError(
                    f"{path}: {name} holds {shortened(repr(other[0]), 40)}, which is no {kind}. "
                    "Is it the publisher's file of this name?"
                )


def _spelled(
    connection: duckdb.DuckDBPyConnection, path: Path, reader: str, table: Table, name: str, say: Say
) -> str:
    """SQL for a column whose values the source documents: other spellings are read as those, others told."""
    values = table.values[name]
    known = ", ".join(map(quoted, values))
    others = connection.execute(
        f"select {name}::varchar, count(*) as n from {reader}"
        f" where {name} is null or {name}::varchar not in ({known}) group by 1 order by n desc, 1"
    ).fetchmany(1000)
    if not others:
        return name
    spellings = {other: value for value, them in values.items() for other in (value.lower(), *them)}
    strange = {value: n for value, n in others if value is None or value.strip(" ").lower() not in spellings}
    if strange:
        counted = [f"{'null' if value is None else repr(value)} {n:,}" for value, n in strange.items()]
        say(
            f"{path}: unknown values of {name}, with their rows: {_some(counted)}; "
            f"known are {', '.join(values)}"
        )
    cases = " ".join(f"when {quoted(other)} then {quoted(value)}" for other, value in spellings.items())
    return f"case lower(trim({name}::varchar)) {cases} else {name}::varchar end"


def _keyed(
    connection: duckdb.DuckDBPyConnection, name: str, path: Path, table: Table, relation: str, say: Say
) -> str:
    """SQL for a table in which each row has a key of its own: of those with one the first, by its columns."""
    keys, listed = ", ".join(table.key), ", ".join(table.columns)
    whole = " and ".join(f"{column} is not null" for column in table.key)
    hashes = connection.execute(f"select hash({keys}) as h from ({relation}) where {whole}").fetchnumpy()["h"]
    [(rows,)] = connection.execute(f"select count(*) from ({relation})").fetchall()
    if rows > len(hashes):
        without = rows - len(hashes)
        say(f"{path}: {without:,} of its rows left out, in which the {' or '.join(table.key)} is null")
        relation = f"select * from ({relation}) where {whole}"
    hashes.sort()  # DuckDB's own `group by` takes five times as long
    again = hashes[1:][hashes[1:] == hashes[:-1]]
    if not len(again):
        return relation
    several = np.unique(again)
    connection.execute(
        f"create table {name}_repeated as select * from ({relation})"
        f" where hash({keys}) in (select unnest(?::ubigint[]))"
        f" qualify row_number() over (partition by {keys} order by {listed}) = 1",
        [several.tolist()],
    )
    [(kept,)] = connection.execute(f"select count(*) from {name}_repeated").fetchall()
    dropped = len(several) + len(again) - kept
    if not dropped:  # two keys share a hash
        return relation
    [(one,)] = connection.execute(f"select min(({keys},)::varchar) from {name}_repeated").fetchall()
    say(
        f"{path}: {dropped:,} of its rows left out, which repeat the {' and '.join(table.key)} of another"
        f" {one}; the first stays, in the order of the columns"
    )
    return (
        f"select * from ({relation}) where hash({keys}) not in (select hash({keys}) from {name}_repeated)"
        f" union all select * from {name}_repeated"
    )


def casts(table: Table, columns: Mapping[str, str]) -> str:
    """The columns that a table documents, from SQL for each, in their types."""
    return ", ".join(f"cast({columns[name]} as {kind}) as {name}" for name, kind in table.columns.items())


def one_file(path: Path) -> str:
    """The path as DuckDB takes it for one file, whatever signs of a pattern its folders' names hold."""
    return re.sub(r"([*?[])", r"[\1]", str(path.resolve()))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
