"""The seed database: a caged DuckDB that holds the sources of a recipe as SQL tables.

In the cage a query can only read the seed tables: no other file, no network, no setting, nothing
written. One query may use `MEMORY_LIMIT` and run for `QUERY_SECONDS`.
"""

import csv
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
from pydantic import BaseModel

from datagen.console.progress import Say
from datagen.console.text import shortened
from datagen.errors import UserError
from datagen.sources import SOURCES
from datagen.sources.query import first_line, own_name, reads
from datagen.sources.source import MADE_UP, Table
from datagen.sources.staging import staged
from datagen.sources.word_lists import LISTS, create_lists, lists
from datagen.storage.files import sha256

MEMORY_LIMIT = "1500MB"
SPILL_LIMIT = "20GB"
SPILL_PREFIX = "spill-"

MACROS = Path(__file__).with_name("macros.sql")


@dataclass(frozen=True, slots=True)
class Seeds:
    """An open cage: `connection` sees the seed tables, `files` are what they read.

    `tables` are the recipe's own, by name. `scopes` see them as well, by what stands before its tasks' names:
    nothing, or in a mixture the recipe that they come from.
    """

    connection: duckdb.DuckDBPyConnection
    files: dict[str, dict[str, Path]]
    tables: dict[str, str] = field(default_factory=dict)
    scopes: dict[str, duckdb.DuckDBPyConnection] = field(default_factory=dict)

    def of(self, task: str) -> duckdb.DuckDBPyConnection:
        """The connection on which a task's query runs."""
        return self.scopes.get(task.rpartition(".")[0], self.connection)

    def made_up(self) -> list[str]:
        """The sources whose files are the sample shop's."""
        return sorted(
            source for source, tables in self.files.items() if any(map(_is_made_up, tables.values()))
        )

    def hashes(self) -> dict[str, dict[str, str]]:
        """sha256 of every seed file, by source and table."""
        return {
            source: {table: sha256(path) for table, path in sorted(tables.items())}
            for source, tables in sorted(self.files.items())
        }


def _is_made_up(path: Path) -> bool:
    metadata = pq.read_schema(path).metadata if path.suffix == ".parquet" else None
    return MADE_UP.encode() in (metadata or {})


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
                f"({module.HOMEPAGE}); SEEDS=sample needs no files"
            )
        with path.open("rb") as file:
            head = file.read(64)
        if head.startswith(b"version https://git-lfs"):
            raise UserError(f"{path}: a git LFS pointer, not data. Run `git lfs pull` in its repository")
        found[name] = path
    return found


@contextmanager
def open_seeds(
    sources: Mapping[str, BaseModel],
    location: Path,
    seed: int,
    *,
    tables: Mapping[str, str] | None = None,
    threads: int | None = None,
    spill: Path | None = None,
    say: Say = lambda text: None,
) -> Iterator[Seeds]:
    """Open the named sources below `location` (one folder a source) as tables `<source>.<table>`.

    `tables` are the recipe's own, by name: SELECTs, each after those that it reads.
    What does not fit into MEMORY_LIMIT goes to a folder of its own below `spill`, by default the system's
    place for temporary files. `say` is told in a line each what is not as the publisher has it, and yet read.
    Raises UserError where a file is missing, unreadable, empty or lacks a column.
    """
    folder = tempfile.mkdtemp(prefix=SPILL_PREFIX, dir=spill)
    connection = duckdb.connect(
        config={
            "threads": threads or os.cpu_count() or 1,
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": folder,
            "max_temp_directory_size": SPILL_LIMIT,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # else a query could read our Python variables
            "errors_as_json": True,  # with the byte that they are about
        }
    )
    try:
        files = {source: seed_files(source, location) for source in sources}
        _create_macros(connection, seed)
        for source, options in sources.items():
            _create_tables(connection, source, options, location / source, files[source], say)
        _close_cage(connection, [str(path) for of_source in files.values() for path in of_source.values()])
        opened = Seeds(connection, files, dict(tables or {}))
        for name, select in opened.tables.items():
            _create_own(opened, name, select)
        yield opened
    finally:
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def open_layout(sources: Mapping[str, BaseModel]) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same tables and macros without a row: what a query is checked against before seeds are there.

    Views that are created in it are taken for a recipe's own tables.
    """
    connection = duckdb.connect(config={"python_enable_replacements": False, "errors_as_json": True})
    try:
        _create_macros(connection, 0)
        for source, options in sources.items():
            connection.execute(f"create schema {source}")
            for name, table in SOURCES[source].TABLES.items():
                columns = ", ".join(f"{column} {kind}" for column, kind in table.columns.items())
                connection.execute(f"create table {source}.{name}_file ({columns})")
            _create_views(connection, source, options)
        _enter(connection, "")
        _close_cage(connection, [])
        yield connection
    finally:
        connection.close()


def _create_macros(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    connection.execute(f"create macro recipe_seed() as {int(seed)}::bigint")
    create_lists(connection)
    connection.execute(MACROS.read_text(encoding="utf-8"))


def _create_tables(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    options: BaseModel,
    folder: Path,
    files: dict[str, Path],
    say: Say,
) -> None:
    connection.execute(f"create schema {source}")
    for name, table in SOURCES[source].TABLES.items():
        if name in files:
            relation = _scan(connection, f"{source}.{name}", files[name], table, say)
        else:
            relation = f"select {_casts(table, dict.fromkeys(table.columns, 'null'))} where false"
            say(f"{folder / table.file}: no such file, so {table.without}")
        connection.execute(f"create view {source}.{name}_file as {relation}")
    _create_views(connection, source, options)


def _create_views(connection: duckdb.DuckDBPyConnection, source: str, options: BaseModel) -> None:
    for name, select in SOURCES[source].views(options).items():
        inner = re.sub(r"\b(\w+_file)\b", rf"{source}.\1", select)
        connection.execute(f"create view {source}.{name} as {inner}")
    for name, table in staged(source).items():
        connection.execute(f"create view {source}.{name} as {table.select}")


def _enter(connection: duckdb.DuckDBPyConnection, scope: str) -> None:
    """Make a place for a recipe's own tables, in which the connection looks first."""
    schema = f'"{own_schema(scope)}"'
    connection.execute(f"create schema {schema}; use {schema}")


def own_schema(scope: str) -> str:
    """The schema of a recipe's own tables, a name that no source has."""
    return f"recipe {scope}".strip()


def _create_own(opened: Seeds, name: str, select: str) -> None:
    scope, _, own = name.rpartition(".")
    if scope not in opened.scopes:
        opened.scopes[scope] = opened.connection.cursor()
        _enter(opened.scopes[scope], scope)
    opened.scopes[scope].execute(f'create view "{own}" as {select}')


def tables_of(sources: Iterable[str]) -> list[str]:
    """The tables that a query over these sources may read, but for the recipe's own."""
    found = [f"{source}.{name}" for source in sources for name in (*SOURCES[source].TABLES, *staged(source))]
    return [*found, *(f"{LISTS}.{subject}" for subject in lists())] if found else []


_AS_IT_IS = "hive_partitioning = false, union_by_name = false"
"""A file is read alone, and no folder's name (`split=test`) becomes a column."""

_HEADER_BYTES = 65_536

_NAMED = 10
"""Values that a message names."""


def _scan(connection: duckdb.DuckDBPyConnection, table_name: str, path: Path, table: Table, say: Say) -> str:
    """SQL that reads one file with exactly the columns and types that the source documents."""
    if path.suffix == ".csv":
        has = _header(path)
        kinds = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in _unlike(has, table.columns))
        dialect = "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"'"
        reader = f"read_csv({_text(_one_file(path))}, {dialect}, {_AS_IT_IS}, columns = {{{kinds}}})"
    else:
        reader = f"read_parquet({_text(_one_file(path))}, {_AS_IT_IS})"
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
        relation = f"select {_casts(table, columns)} from {reader}"
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
    known = ", ".join(map(_text, values))
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
    cases = " ".join(f"when {_text(other)} then {_text(value)}" for other, value in spellings.items())
    return f"case lower(trim({name})) {cases} else {name} end"


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


def _casts(table: Table, columns: Mapping[str, str]) -> str:
    return ", ".join(f"cast({columns[name]} as {kind}) as {name}" for name, kind in table.columns.items())


def _text(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def _one_file(path: Path) -> str:
    """The path as DuckDB takes it for one file, whatever signs of a pattern its folders' names hold."""
    return re.sub(r"([*?[])", r"[\1]", str(path.resolve()))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _close_cage(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> None:
    # DuckDB asks for the pattern first, then for the file that it finds
    names = [name for path in paths for name in (str(Path(path).resolve()), _one_file(Path(path)))]
    allowed = ", ".join(map(_text, names))
    connection.execute(f"set allowed_paths = [{allowed}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def sources_of(seeds: Seeds, task: str, sql: str) -> tuple[str, ...]:
    """The seed sources that a task's query reads, be it through the recipe's own tables, sorted."""
    found: set[str] = set()
    for name in reads(seeds.of(task), sql):
        own = own_name(task, name)
        if own in seeds.tables:
            found.update(sources_of(seeds, own, seeds.tables[own]))
        else:
            found |= {name.partition(".")[0]} & SOURCES.keys()
    return tuple(sorted(found))
