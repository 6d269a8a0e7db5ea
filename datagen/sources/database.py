"""The seed database: a caged DuckDB that holds the sources of a recipe as SQL tables.

In the cage a query can only read the seed tables: no other file, no network, no setting, nothing
written. One query may use `MEMORY_LIMIT` and run for `QUERY_SECONDS`.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from datagen.console.progress import Say
from datagen.sources import SOURCES
from datagen.sources.columns import columns_of_files
from datagen.sources.query import own_name, quoted, reads
from datagen.sources.seed_files import casts, check_folders, one_file, scan, seed_files, unpaired
from datagen.sources.source import MADE_UP
from datagen.sources.staging import staged
from datagen.sources.word_lists import LISTS, create_lists, lists
from datagen.storage.files import sha256

MEMORY_LIMIT = "2500MB"
SPILL_LIMIT = "20GB"
SPILL_PREFIX = "spill-"

MACROS = Path(__file__).with_name("macros.sql")


@dataclass(frozen=True, slots=True)
class Seeds:
    """An open cage: `connection` sees the seed tables, `files` of each are what they read, below `location`.

    `tables` are the recipe's own, by name. `scopes` see them as well, by what stands before its tasks' names:
    nothing, or in a mixture the recipe that they come from.
    """

    connection: duckdb.DuckDBPyConnection
    location: Path
    files: dict[str, dict[str, list[Path]]]
    tables: dict[str, str] = field(default_factory=dict)
    scopes: dict[str, duckdb.DuckDBPyConnection] = field(default_factory=dict)

    def of(self, task: str) -> duckdb.DuckDBPyConnection:
        """The connection on which a task's query runs."""
        return self.scopes.get(task.rpartition(".")[0], self.connection)

    def made_up(self) -> list[str]:
        """The sources whose files are the sample shop's."""
        return made_up(self.files, self.location)

    def hashes(self) -> dict[str, dict[str, str]]:
        """sha256 of what every seed table reads, as `hashes_of` gives it."""
        return hashes_of(self.files, {path: sha256(path) for path in paths_of(self.files)})


Files = Mapping[str, Mapping[str, Sequence[Path]]]
"""The files of each table, by source and table."""


def made_up(sources: Iterable[str], location: Path) -> list[str]:
    """The sources whose files are the sample shop's."""
    return sorted(source for source in sources if (location / source / MADE_UP).is_file())


def paths_of(files: Files) -> list[Path]:
    """All of the files."""
    return [path for of_source in files.values() for paths in of_source.values() for path in paths]


def hashes_of(files: Files, hashes: Mapping[Path, str]) -> dict[str, dict[str, str]]:
    """sha256 of what every seed table reads: of its file, or of the hashes of its files by name."""
    return {
        source: {table: _hash_of(paths, hashes) for table, paths in sorted(tables.items())}
        for source, tables in sorted(files.items())
    }


def _hash_of(paths: Sequence[Path], hashes: Mapping[Path, str]) -> str:
    if len(paths) == 1:
        return hashes[paths[0]]
    return hashlib.sha256("".join(f"{path.name} {hashes[path]}\n" for path in paths).encode()).hexdigest()


@contextmanager
def open_seeds(
    sources: Mapping[str, BaseModel],
    location: Path,
    seed: int,
    *,
    tables: Mapping[str, str] | None = None,
    filled: Mapping[str, Path] | None = None,
    threads: int | None = None,
    spill: Path | None = None,
    columns: Path | None = None,
    say: Say = lambda text: None,
) -> Iterator[Seeds]:
    """Open the named sources below `location` (one folder a source) as tables `<source>.<table>`.

    `tables` are the recipe's own, by name: SELECTs, each after those that it reads. `filled` are those that a
    teacher has filled, as Parquet files.
    What does not fit into MEMORY_LIMIT goes to a folder of its own below `spill`, by default the system's
    place for temporary files. The columns of large CSV and JSON files are kept below `columns`. `say` is
    told in a line each what is not as the publisher has it, and yet read.
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
            "disabled_optimizers": "cte_filter_pusher",  # it asks filters on a `materialized` part twice
        }
    )
    try:
        files = files_of(sources, location)
        kept: list[Path] = []
        _create_macros(connection, seed)
        for source, options in sources.items():
            kept += _create_tables(
                connection, source, options, location / source, files[source], columns, say
            )
        _close_cage(connection, paths_of(files) + kept)
        opened = Seeds(connection, location, files, dict(tables or {}))
        for name, path in (filled or {}).items():
            add_filled(opened, name, pq.read_table(path))
        for name, select in opened.tables.items():
            _create_own(opened, name, select)
        yield opened
    finally:
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)


def add_filled(opened: Seeds, name: str, table: pa.Table) -> None:
    """Make a table that a teacher has filled, such as `extracted.aspects`, one that queries may read."""
    opened.connection.execute(f"create schema if not exists {name.partition('.')[0]}")
    opened.connection.register("filled by a teacher", table)
    opened.connection.execute(f'create table {name} as from "filled by a teacher"')
    opened.connection.unregister("filled by a teacher")


def files_of(sources: Mapping[str, BaseModel], location: Path) -> dict[str, dict[str, list[Path]]]:
    """The files of some sources below `location`. Raises UserError where one is missing."""
    check_folders(sources, location)
    return {source: seed_files(source, location, options) for source, options in sources.items()}


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
                columns = ", ".join(f'"{column}" {kind}' for column, kind in table.columns.items())
                connection.execute(f"create table {source}.{name}_file ({columns})")
            _create_views(connection, source, options, rows=False)
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
    files: dict[str, list[Path]],
    columns: Path | None,
    say: Say,
) -> list[Path]:
    """Make the tables of a source; gives the files of kept columns that they read."""
    connection.execute(f"create schema {source}")
    for line in unpaired(source, options, files):
        say(line)
    found = []
    for name, table in SOURCES[source].TABLES.items():
        full = f"{source}.{name}"
        kept = (
            columns_of_files(connection, full, files[name], table, columns, say)
            if columns and name in files
            else None
        )
        if kept:
            found.append(kept)
            relation = f"from read_parquet({quoted(one_file(kept))})"
        elif name in files:
            relation = scan(connection, full, files[name], table, say)
        else:
            relation = f"select {casts(table, dict.fromkeys(table.columns, 'null'))} where false"
            say(f"{folder / table.file}: no such file, so {table.without}")
        connection.execute(f"create view {source}.{name}_file as {relation}")
    _create_views(connection, source, options)
    return found


def _create_views(
    connection: duckdb.DuckDBPyConnection, source: str, options: BaseModel, *, rows: bool = True
) -> None:
    for name, select in SOURCES[source].views(options).items():
        inner = re.sub(r"\b(\w+_file)\b", rf"{source}.\1", select)
        connection.execute(f"create view {source}.{name} as {inner if rows else _typed(connection, inner)}")
    for name, table in staged(source).items():
        select = table.select if rows else _typed(connection, table.select)
        connection.execute(f"create view {source}.{name} as {select}")


def _typed(connection: duckdb.DuckDBPyConnection, select: str) -> str:
    """A SELECT with the columns of another: each query that reads a view binds all below it anew."""
    columns = connection.execute(f"describe {select}").fetchall()
    nulls = (f'null::{kind} as "{name}"' for name, kind, *_ in columns)
    return f"select {', '.join(nulls)}"


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


def _close_cage(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> None:
    # DuckDB asks for the pattern first, then for the file that it finds
    names = [name for path in paths for name in (str(path.resolve()), one_file(path))]
    allowed = ", ".join(map(quoted, names))
    connection.execute(f"set allowed_paths = [{allowed}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def sources_of(seeds: Seeds, task: str, sql: str) -> tuple[str, ...]:
    """The seed sources that a task's query reads, be it through the recipe's own tables, sorted."""
    return sources_read(seeds.connection, seeds.tables, task, sql)


def sources_read(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, str], task: str, sql: str
) -> tuple[str, ...]:
    """The same on any connection; `tables` are those of the recipe, by name."""
    found: set[str] = set()
    for name in reads(connection, sql):
        own = own_name(task, name)
        if own in tables:
            found.update(sources_read(connection, tables, own, tables[own]))
        else:
            found |= {name.partition(".")[0]} & SOURCES.keys()
    return tuple(sorted(found))
