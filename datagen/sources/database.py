"""The seed database: a caged DuckDB that holds the sources of a recipe as SQL tables.

In the cage a query can only read the seed tables: no other file, no network, no setting, nothing
written. One query may use `MEMORY_LIMIT` and run for `QUERY_SECONDS`.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from pydantic import BaseModel

from datagen.errors import UserError
from datagen.sources import SOURCES
from datagen.sources.query import first_line
from datagen.sources.source import MADE_UP, Table
from datagen.storage.files import sha256

MEMORY_LIMIT = "1500MB"
SPILL_LIMIT = "20GB"
SPILL_PREFIX = "spill-"

MACROS = Path(__file__).with_name("macros.sql")


@dataclass(frozen=True, slots=True)
class Seeds:
    """An open seed database: `connection` sees the seed tables, which read `files`."""

    connection: duckdb.DuckDBPyConnection
    files: dict[str, dict[str, Path]]

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
    """The files of one source below `location`, checked to be there and to be data."""
    folder = location / source
    module = SOURCES[source]
    found = {}
    for name, table in module.TABLES.items():
        path = folder / table.file
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
    threads: int | None = None,
    spill: Path | None = None,
) -> Iterator[Seeds]:
    """Open the named sources below `location` (one folder a source) as tables `<source>.<table>`.

    What does not fit into MEMORY_LIMIT goes to a folder of its own below `spill`, by default the system's
    place for temporary files. Raises UserError where a file is missing, unreadable, empty or lacks a column.
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
            _create_tables(connection, source, options, files[source])
        _close_cage(connection, [str(path) for tables in files.values() for path in tables.values()])
        yield Seeds(connection, files)
    finally:
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def open_layout(sources: Mapping[str, BaseModel]) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same tables and macros without a row: what a query is checked against before seeds are there."""
    connection = duckdb.connect(config={"python_enable_replacements": False, "errors_as_json": True})
    try:
        _create_macros(connection, 0)
        for source, options in sources.items():
            connection.execute(f"create schema {source}")
            for name, table in SOURCES[source].TABLES.items():
                columns = ", ".join(f"{column} {kind}" for column, kind in table.columns.items())
                connection.execute(f"create table {source}.{name}_file ({columns})")
            _create_views(connection, source, options)
        _close_cage(connection, [])
        yield connection
    finally:
        connection.close()


def _create_macros(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    connection.execute(f"create macro recipe_seed() as {int(seed)}::bigint")
    connection.execute(MACROS.read_text(encoding="utf-8"))


def _create_tables(
    connection: duckdb.DuckDBPyConnection, source: str, options: BaseModel, files: dict[str, Path]
) -> None:
    connection.execute(f"create schema {source}")
    for name, table in SOURCES[source].TABLES.items():
        relation = _scan(connection, files[name], table)
        connection.execute(f"create view {source}.{name}_file as {relation}")
    _create_views(connection, source, options)


def _create_views(connection: duckdb.DuckDBPyConnection, source: str, options: BaseModel) -> None:
    for name, select in SOURCES[source].views(options).items():
        inner = re.sub(r"\b(\w+_file)\b", rf"{source}.\1", select)
        connection.execute(f"create view {source}.{name} as {inner}")


def _scan(connection: duckdb.DuckDBPyConnection, path: Path, table: Table) -> str:
    """SQL that reads one file with exactly the columns and types that the source documents."""
    quoted = "'" + str(path.resolve()).replace("'", "''") + "'"
    reader = f"read_parquet({quoted})"
    if path.suffix == ".csv":
        kinds = ", ".join(f"'{name}': 'VARCHAR'" for name in table.columns)
        reader = f"read_csv({quoted}, header = true, delim = ',', quote = '\"', columns = {{{kinds}}})"
    try:
        has = {row[0] for row in connection.execute(f"describe select * from {reader}").fetchall()}
        missing = [name for name in table.columns if name not in has]
        if missing:
            raise UserError(
                f"{path}: lacks the column {', '.join(missing)}; it has {', '.join(sorted(has))}. "
                "Is it the publisher's file of this name?"
            )
        if path.suffix != ".csv" and not connection.execute(f"select 1 from {reader} limit 1").fetchone():
            raise UserError(f"{path}: the table has no rows. Take the publisher's file, or SEEDS=sample")
    except duckdb.Error as error:
        raise UserError(
            f"{path}: cannot be read: {first_line(error)}. Is it cut off? Fetch it again"
        ) from None
    casts = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in table.columns.items())
    return f"select {casts} from {reader}"


def _close_cage(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> None:
    allowed = ", ".join("'" + str(Path(path).resolve()).replace("'", "''") + "'" for path in paths)
    connection.execute(f"set allowed_paths = [{allowed}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
