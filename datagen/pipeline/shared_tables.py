"""Tables that several queries of a build read: computed once, before the first, and dropped after the last.

Until then, and in a check, they are views. They lie in memory, and where that is full in the folder for
spilt data.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from datagen.sources.database import Seeds, own_schema
from datagen.sources.query import bounded, own_name, reads
from datagen.sources.staging import staged


@dataclass(frozen=True, slots=True)
class Table:
    """A staging table or a recipe's own; `Seeds.of(reader)` is a connection that sees what it reads."""

    schema: str
    name: str
    reader: str
    select: str
    worth_keeping: bool

    @property
    def sql_name(self) -> str:
        """The name in full, as SQL writes it."""
        return f'"{self.schema}"."{self.name}"'


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done around one task's query: tables to compute before it, those to drop after it."""

    keep: tuple[Table, ...]
    drop: tuple[Table, ...]


def turns(seeds: Seeds, queries: Mapping[str, str]) -> dict[str, Turn]:
    """The turn of each task, in the order of `queries`, which are SELECTs by task."""
    below: dict[str, list[Table]] = {}
    direct: dict[str | Table, list[Table]] = {}
    for task, sql in queries.items():
        direct[task] = list(_read_by(seeds, task, sql))
        below[task] = list(dict.fromkeys(_with_inner(seeds, direct[task], direct)))
    order = list(dict.fromkeys(table for tables in below.values() for table in tables))
    kept = _several_times(order, direct)
    made, last = set[Table](), {table: task for task, tables in below.items() for table in tables}
    found = {}
    for task, tables in below.items():
        ours = [table for table in tables if table in kept]
        new = tuple(table for table in ours if table not in made)
        made.update(new)
        found[task] = Turn(new, tuple(table for table in ours if last[table] == task))
    return found


@contextmanager
def shared(seeds: Seeds, task: str, turn: Turn) -> Iterator[None]:
    """Hold the tables of a turn while the task's query runs."""
    connection = seeds.of(task)
    for table in turn.keep:
        is_own = table.reader in seeds.tables
        with bounded(connection, table.reader if is_own else task, kind="table" if is_own else "task"):
            connection.execute(f"drop view {table.sql_name}")
            connection.execute(f"create table {table.sql_name} as {table.select}")
    yield
    for table in turn.drop:
        connection.execute(f"drop table {table.sql_name}")


def rows_read(seeds: Seeds, reader: str, sql: str) -> dict[str, int]:
    """The rows of the tables that a query names; of one without a row also those of what it reads itself."""
    found = {}
    for name in sorted(reads(seeds.of(reader), sql)):
        with bounded(seeds.of(reader), reader):
            [(found[name],)] = seeds.of(reader).execute(f"select count(*) from {name}").fetchall()
    for table in _read_by(seeds, reader, sql):
        name = f"{table.schema}.{table.name}" if not table.reader else table.name
        if not found[name]:
            found |= rows_read(seeds, table.reader, table.select)
    return found


def _several_times(order: list[Table], direct: Mapping[str | Table, list[Table]]) -> set[Table]:
    """The tables that would be computed twice or more; `order` has each after those that it reads."""
    kept = set[Table]()
    times = Counter[Table]()
    tasks: list[str | Table] = [reader for reader in direct if isinstance(reader, str)]
    for reader in [*tasks, *reversed(order)]:
        if isinstance(reader, Table) and reader.worth_keeping and times[reader] > 1:
            kept.add(reader)
        computed = times[reader] if isinstance(reader, Table) and reader not in kept else 1
        for table in direct[reader]:
            times[table] += computed
    return kept


def _with_inner(
    seeds: Seeds, tables: Iterable[Table], direct: dict[str | Table, list[Table]]
) -> Iterator[Table]:
    """The tables and those that they read, which come first; notes in `direct` what each reads itself."""
    for table in tables:
        if table not in direct:
            direct[table] = list(_read_by(seeds, table.reader, table.select))
        yield from _with_inner(seeds, direct[table], direct)
        yield table


def _read_by(seeds: Seeds, reader: str, sql: str) -> Iterator[Table]:
    """The staging tables and the recipe's own that a query names."""
    for name in sorted(reads(seeds.of(reader), sql)):
        own = own_name(reader, name)
        source, _, table = name.partition(".")
        if own in seeds.tables:
            yield Table(own_schema(own.rpartition(".")[0]), name, own, seeds.tables[own], True)
        elif source in seeds.files and table in staged(source):
            yield Table(source, table, "", staged(source)[table].select, staged(source)[table].kept)
