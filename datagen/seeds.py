"""Seed files in, SQL tables out: opens the sources that a recipe names as a caged DuckDB.

In the cage a query can only read the seed tables: no other file, no network, no setting, nothing
written. One query may hold `MEMORY_LIMIT` and run for `QUERY_SECONDS`.
"""

import json
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from pydantic import BaseModel

from datagen.errors import QueryError, UserError
from datagen.sources import SOURCES
from datagen.sources.table import MADE_UP, Table
from datagen.storage.files import sha256

MEMORY_LIMIT = "1500MB"
SPILL_LIMIT = "20GB"
SPILL_PREFIX = "spill-"
QUERY_SECONDS = 900

MACROS = Path(__file__).with_name("macros.sql")


class SqlError(Exception):
    """A query that DuckDB refuses, at a 1-based line and column of its own text."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line, self.column, self.message = line, column, message


@dataclass(frozen=True, slots=True)
class Seeds:
    """An open cage: `connection` sees the seed tables, `files` are what they read."""

    connection: duckdb.DuckDBPyConnection
    files: dict[str, dict[str, Path]]

    def made_up(self) -> list[str]:
        """The sources whose files are the sample marketplace's."""
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
            f"{path}: cannot be read: {_first_line(error)}. Is it cut off? Fetch it again"
        ) from None
    casts = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in table.columns.items())
    return f"select {casts} from {reader}"


def _close_cage(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> None:
    allowed = ", ".join("'" + str(Path(path).resolve()).replace("'", "''") + "'" for path in paths)
    connection.execute(f"set allowed_paths = [{allowed}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def columns_of(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, str]:
    """Names and DuckDB types of the columns that one SELECT gives; nothing is run.

    Raises SqlError for anything else than one SELECT that binds.
    """
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise _sql_error(error, sql) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise SqlError(1, 1, f"a query is one SELECT, this is: {kinds}")
    try:
        described = connection.execute(f"describe ({sql.rstrip().rstrip(';')}\n)").fetchall()
    except duckdb.Error as error:
        raise _sql_error(error, sql, prefix=len("describe (")) from None
    names = [name for name, *_ in described]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise SqlError(
            1, 1, f"two columns have the name {', '.join(sorted(repeated))}: give each its own by `as`"
        )
    return {name: kind for name, kind, *_ in described}


def sources_of(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[str, ...]:
    """The seed sources that a query reads, sorted."""
    [(tree,)] = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()
    return tuple(sorted(set(re.findall(r'"schema_name":"(\w+)"', tree)) & SOURCES.keys()))


def place(sql: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of an offset into a query as DuckDB counts it: in bytes."""
    before = sql.encode()[: max(offset, 0)].decode(errors="ignore")
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _sql_error(error: duckdb.Error, sql: str, prefix: int = 0) -> SqlError:
    """DuckDB's refusal at its place in `sql`, which was sent after `prefix` bytes of ours."""
    message, offset = _told(error)
    return SqlError(*place(sql, offset - prefix), " ".join(message.split()))


def _told(error: duckdb.Error | OSError) -> tuple[str, int]:
    """What DuckDB says, and which byte of the query it says it of; 0 where it doesn't tell."""
    text = str(error)
    if '{"exception_type"' not in text:
        return text.partition(" Error: ")[2] or text, 0
    fields, _ = json.JSONDecoder().raw_decode(text, text.index('{"exception_type"'))
    return fields["exception_message"], int(fields.get("position", 0))


def _first_line(error: duckdb.Error | OSError) -> str:
    """What DuckDB says, on one line, without what a damaged file made it quote."""
    line = _told(error)[0].splitlines()[0]
    return "".join(character if character.isprintable() else "?" for character in line)


@contextmanager
def bounded(
    connection: duckdb.DuckDBPyConnection, task: str, seconds: float = QUERY_SECONDS
) -> Iterator[None]:
    """Run queries of `task` with a time limit; DuckDB's refusals become QueryErrors."""
    late = threading.Event()
    try:
        with _interrupted(connection, seconds, late):
            yield
    except RuntimeError as error:
        if "Query interrupted" in str(error):  # how `execute` answers Ctrl-C
            raise KeyboardInterrupt from None
        raise
    except (duckdb.Error, OSError) as error:  # an OSError from the stream of a query's rows, or from the disk
        if isinstance(error, OSError) and error.errno:
            raise
        if late.is_set():
            raise QueryError(
                task,
                f"its query ran longer than {seconds:g} s and was stopped. Filter earlier, or join on keys",
            ) from None
        if "No space left" in str(error):
            raise UserError(
                f"task {task}: no disk space left for the query's spill files. Free some, run again"
            ) from None
        raise QueryError(task, f"its query failed: {_first_line(error)}") from None


@contextmanager
def _interrupted(
    connection: duckdb.DuckDBPyConnection, seconds: float, late: threading.Event
) -> Iterator[None]:
    """Stop a query after `seconds`, which sets `late`, or on a signal.

    While DuckDB works, Python runs no signal handler and Ctrl-C would wait for the query's end. So a thread
    waits for the byte that Python writes at once for every signal.
    """
    ours, theirs = socket.socketpair()
    ours.settimeout(seconds)
    theirs.setblocking(False)

    def watch() -> None:
        try:
            stop = ours.recv(1) != b""
        except TimeoutError:
            late.set()
            stop = True
        except OSError:  # closed: Ctrl-C came between two lines below
            stop = False
        if stop:
            connection.interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    is_main = threading.current_thread() is threading.main_thread()
    with ours, theirs:
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False) if is_main else -1
        try:
            watcher.start()
            yield
        finally:
            if is_main:
                signal.set_wakeup_fd(before)
            theirs.shutdown(socket.SHUT_WR)  # the watcher reads nothing and ends
            if watcher.ident is not None:
                watcher.join()
