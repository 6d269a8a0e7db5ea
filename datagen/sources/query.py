"""Queries in the seed database: their columns, their time limit, and the place of their errors."""

import json
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from datagen.errors import QueryError, UserError

QUERY_SECONDS = 900

STEPS = ("extracted.", "answered.")
"""What the names of tables that a teacher fills begin with."""


class SqlError(Exception):
    """A query that DuckDB refuses, at a 1-based line and column of its own text."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line, self.column, self.message = line, column, message


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


def quoted(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def reads(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """The tables that a query names, as it writes them, but for those that it makes itself by `with`."""
    if sql not in _NAMED:
        [(tree,)] = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()
        nodes = list(nodes_of(json.loads(tree).get("statements", [])))
        own = {entry["key"] for node in nodes for entry in node.get("cte_map", {}).get("map", [])}
        paths = {
            ".".join(node["qualified_name"]["path"]) for node in nodes if node.get("type") == "BASE_TABLE"
        }
        _NAMED[sql] = frozenset(paths - own)
    return set(_NAMED[sql])


_NAMED: dict[str, frozenset[str]] = {}
"""What `reads` found: a build asks several times about each query."""


def nodes_of(tree: Any) -> Iterator[dict[str, Any]]:
    """All objects of a syntax tree, as DuckDB gives it in JSON."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
        stack.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())


def own_name(task: str, table: str) -> str:
    """The name of a recipe's own table, which one of its queries calls `table`, in the whole of a mixture.

    A table that a teacher fills has one name, `extracted.aspects`, in all of the recipes.
    """
    if table.startswith(STEPS):
        return table
    scope = task.rpartition(".")[0]
    return f"{scope}.{table}" if scope else table


def place(sql: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of an offset into a query as DuckDB counts it: in bytes."""
    before = sql.encode()[: max(offset, 0)].decode(errors="ignore")
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _sql_error(error: duckdb.Error, sql: str, prefix: int = 0) -> SqlError:
    """DuckDB's refusal at its place in `sql`, which was sent after `prefix` bytes of ours."""
    message, offset = _told(error)
    return SqlError(*place(sql, offset - prefix), " ".join(message.split()))


def _told(error: Exception) -> tuple[str, int]:
    """DuckDB's message, and the byte of the query that it is about; 0 where it names none."""
    text = str(error)
    if '{"exception_type"' not in text:
        return text.partition(" Error: ")[2] or text, 0
    fields, _ = json.JSONDecoder().raw_decode(text, text.index('{"exception_type"'))
    return fields["exception_message"], int(fields.get("position", 0))


def first_line(error: Exception) -> str:
    """DuckDB's message on one line, without quotes from a damaged file; of a CSV file's line the reason."""
    line, _, rest = _told(error)[0].partition("\n")
    if line.startswith("CSV Error on Line: "):
        before = rest.rpartition("\nPossible fixes:")[0] or rest.partition("\nPossible Solution:")[0]
        reasons = [text for text in before.split("\n")[1:] if text.strip()]
        line = f"line {line.rpartition(' ')[2]}: {reasons[-1]}" if reasons else line
    return "".join(character if character.isprintable() else "?" for character in line)


@contextmanager
def bounded(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    seconds: float = QUERY_SECONDS,
    *,
    kind: str = "task",
    reading: Sequence[str] = (),
) -> Iterator[None]:
    """Run the query of a task, or of a table, with a time limit; DuckDB's refusals become QueryErrors.

    `reading` are tables of the recipe that the query reads, and that may be what fails.
    """
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
                name,
                f"its query ran longer than {seconds:g} s and was stopped. Filter earlier, or join on keys",
                kind,
            ) from None
        if "No space left" in str(error):
            raise UserError(
                f"{kind} {name}: no disk space left for the query's spill files. Free some, run again"
            ) from None
        tables = f", or that of a table that it reads ({', '.join(reading)})" if reading else ""
        raise QueryError(name, f"its query{tables} failed: {first_line(error)}", kind) from None


@contextmanager
def _interrupted(
    connection: duckdb.DuckDBPyConnection, seconds: float, late: threading.Event
) -> Iterator[None]:
    """Stop a query after `seconds`, which sets `late`, or on a signal.

    While DuckDB works, Python runs no signal handler: a plain Ctrl-C took up to 25 s to stop a query, which
    is how long it still ran. So a thread waits for the byte that Python writes at once for every signal.
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
