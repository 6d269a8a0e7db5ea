"""The ledger: every reply ever paid for, in SQLite, kept before it is used.

A reply is found by a hash of all that shaped it: server, model, parameters, messages, schema and sample
number. What the server sent is kept as it came, and read anew at every use. An ask may have several replies,
where the first ones were not usable; they are numbered from 0. What a recipe's own calls cost is what
was paid here: replies that were imported cost nothing.
"""

import itertools
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import UserError
from datagen.storage.files import full_disk, writable
from datagen.teacher.ask import Ask, Teacher

VERSION = 1
"""Version of the tables. A ledger of a later one is not read."""

_TABLES = """
create table reply (
    key blob not null, number integer not null,
    server text not null, model text not null, recipe text not null, step text not null,
    form text not null, tokens_in integer not null, tokens_out integer not null, usd real,
    imported integer not null, seconds integer not null,
    raw text not null, request text not null,
    unique (key, number)
);
create index reply_by_recipe on reply (recipe, imported, usd);
create index reply_by_step on reply (step, model, tokens_out);
"""

_BUSY_SECONDS = 60
"""How long one run waits for another that is writing."""

_AT_ONCE = 500
"""Keys of one SELECT."""


class Entry(NamedTuple):
    """One reply as it is kept. `usd` is None where no price is known; `form` is how JSON was asked for."""

    key: bytes
    server: str
    model: str
    recipe: str
    step: str
    form: str
    raw: str
    tokens_in: int
    tokens_out: int
    usd: float | None
    request: str


def request_of(teacher: Teacher, ask: Ask) -> str:
    """All that shapes the reply to an ask, as JSON."""
    shaped = {
        "server": teacher.server,
        "model": teacher.model,
        "temperature": teacher.temperature,
        "max_tokens": teacher.max_tokens,
        "messages": ask.messages,
        "schema": ask.schema,
        "sample": ask.sample,
    }
    return _as_json(shaped)


def key_of(request: str) -> bytes:
    """The key of a request in the ledger."""
    return blake2b(request.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The ledger in a file, made if it is not there. Raises UserError where the file is none that we read."""
    writable(path.parent)
    with readable(path), closing(_connected(path)) as connection:
        yield connection


@contextmanager
def existing(path: Path) -> Iterator[sqlite3.Connection]:
    """The ledger in a file that is there. Raises UserError where there is none."""
    if not path.is_file():
        raise UserError(
            f"{path}: no ledger yet. A build with a teacher makes it; --runs names another folder"
        )
    with opened(path) as connection:
        yield connection


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=16
    )
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")  # a reply costs more than a flush
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables, once, whoever else opens the file just now."""
    if _version(connection) == 0:
        with transaction(connection):
            if _version(connection) == 0:
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"pragma user_version = {VERSION}")
    found = _version(connection)
    if found > VERSION:
        raise UserError(
            f"{path}: written by a later version (tables of version {found}, this reads {VERSION})."
            " Update shoptalk, or name another folder by --runs"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("pragma user_version").fetchone()[0])


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block is kept, or nothing of it."""
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
    connection.execute("commit")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file that is full, locked, damaged or no ledger into a UserError."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        todo = {
            "SQLITE_FULL": "the disk is full. What is paid is kept: free some space and run the same again",
            "SQLITE_BUSY": "another run holds it for too long. Wait for that one, then run the same again",
            "SQLITE_NOTADB": "no ledger of replies. Move it away, or name another folder by --runs",
            "SQLITE_READONLY": "it cannot be written. Give yourself the right to, or name another folder",
            "SQLITE_CANTOPEN": "it cannot be opened. Name another folder by --runs",
        }
        name = getattr(error, "sqlite_errorname", "")
        known = next((text for code, text in todo.items() if name.startswith(code)), None)
        if name.startswith(("SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_SHMSIZE")):
            known = todo["SQLITE_FULL"]
        elif known is None and name.startswith(("SQLITE_CORRUPT", "SQLITE_IOERR")):
            known = f"it cannot be read ({error}). Put a copy in its place, or import what was exported"
        if known is None:
            raise
        raise UserError(f"{path}: {known}") from error


def find(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, list[str]]:
    """The raw replies of those keys that have some, each in the order of their numbers."""
    found: dict[bytes, list[str]] = {}
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        marks = ",".join("?" * len(some))
        query = f"select key, raw from reply where key in ({marks}) order by key, number"
        for key, raw in connection.execute(query, some):
            found.setdefault(key, []).append(raw)
    return found


def add(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Keep replies, each under the next number of its key."""
    with transaction(connection):
        insert(connection, entries)


def insert(connection: sqlite3.Connection, entries: Iterable[Entry], imported: bool = False) -> None:
    """The same, in a transaction of the caller's."""
    connection.executemany(
        "insert into reply (key, server, model, recipe, step, form, raw, tokens_in, tokens_out, usd,"
        " request, number, imported, seconds) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
        " (select coalesce(max(number) + 1, 0) from reply where key = ?1), ?12, ?13)",
        ([*entry, imported, int(time.time())] for entry in entries),
    )


def spent(connection: sqlite3.Connection, recipe: str) -> float:
    """Dollars that a recipe's own calls took so far; replies that were imported cost nothing here."""
    query = "select coalesce(sum(usd), 0.0) from reply where recipe = ? and not imported"
    return float(connection.execute(query, [recipe]).fetchone()[0])


def spent_on(path: Path, recipe: str) -> float:
    """The same of the ledger in a file, which may not be there yet."""
    if not path.is_file():
        return 0.0
    with opened(path) as connection:
        return spent(connection, recipe)


def tokens_out(connection: sqlite3.Connection, step: str, model: str) -> float | None:
    """Mean tokens of a step's replies by a model; None where there are none yet."""
    query = (
        "select avg(tokens_out) from (select tokens_out from reply where step = ? and model = ? limit 1000)"
    )
    found: float | None = connection.execute(query, [step, model]).fetchone()[0]
    return found


class Spend(NamedTuple):
    """What a recipe's step took of one model."""

    recipe: str
    step: str
    model: str
    replies: int
    imported: int
    tokens_in: int
    tokens_out: int
    usd: float
    unpriced: int


def spend(connection: sqlite3.Connection) -> list[Spend]:
    """The ledger, added up by recipe, step and model."""
    query = """
        select recipe, step, model, count(*), sum(imported), sum(tokens_in), sum(tokens_out),
          coalesce(sum(usd) filter (where not imported), 0.0), count(*) filter (where usd is null)
        from reply group by recipe, step, model order by recipe, step, model
    """
    return [Spend(*row) for row in connection.execute(query)]


def export_lines(path: Path, to: Path) -> int:
    """Write every reply as a line of JSON, in the order in which they came; how many there are."""
    query = "select request, raw, recipe, step, form, tokens_in, tokens_out, usd from reply order by rowid"
    unfinished = to.with_name(f"{to.name}.unfinished")
    count = 0
    with existing(path) as connection, full_disk(to.parent), unfinished.open("w", encoding="utf-8") as file:
        for request, raw, *rest in connection.execute(query):
            line = {"request": json.loads(request), "raw": raw, **dict(zip(_TOLD, rest, strict=True))}
            file.write(_as_json(line) + "\n")
            count += 1
    unfinished.rename(to)
    return count


_TOLD = ("recipe", "step", "form", "tokens_in", "tokens_out", "usd")


def import_lines(path: Path, source: Path) -> tuple[int, int]:
    """Take over the replies of an exported file: all or none; how many came, and how many were there before.

    Raises UserError at the first line that is none of ours.
    """
    came = before = 0
    try:
        lines = source.open(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror})") from None
    with lines, opened(path) as connection, transaction(connection):
        for start in itertools.count(1, _AT_ONCE):
            some = list(itertools.islice(lines, _AT_ONCE))
            if not some:
                break
            entries = [_entry(line, f"{source}:{start + i}") for i, line in enumerate(some)]
            known = find(connection, list({entry.key for entry in entries}))
            new = []
            for entry in entries:
                if entry.raw not in known.setdefault(entry.key, []):
                    known[entry.key].append(entry.raw)
                    new.append(entry)
            insert(connection, new, imported=True)
            came, before = came + len(new), before + len(entries) - len(new)
    return came, before


def _entry(line: str, place: str) -> Entry:
    try:
        found = json.loads(line)
        request, server, model = found["request"], found["request"]["server"], found["request"]["model"]
        values = [found["raw"], *(found[name] for name in _TOLD)]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise UserError(
            f"{place}: no reply that `datagen ledger --export` wrote. Nothing was taken over"
        ) from None
    raw, recipe, step, form, tokens_in, tokens_out, usd = values
    texts = [server, model, raw, recipe, step, form]
    numbers = [tokens_in, tokens_out]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(one, int) for one in numbers):
        raise UserError(f"{place}: a value is of another type than exported. Nothing was taken over")
    asked = _as_json(request)
    return Entry(key_of(asked), server, model, recipe, step, form, raw, tokens_in, tokens_out, usd, asked)


def _as_json(values: Mapping[str, Any]) -> str:
    """JSON written one way, so that the same values have the same key."""
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
