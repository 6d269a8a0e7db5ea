"""Sampling: the rows of a task's query that become examples, with their side of the train/test split.

A row's side is its source's own `split` where the query gives one, else a hash of its first group. Its
place in the sample is a hash of its key. So the same rows are drawn whatever the number of threads, and a
larger sample holds the smaller one.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datagen.errors import QueryError
from datagen.sources import SOURCES
from datagen.sources.database import Seeds
from datagen.sources.query import bounded, own_name, quoted, reads

SIDES = ("train", "test")
BATCH_ROWS = 10_240
"""Rows of a batch: the unit of a worker's work, and the most that it repeats after a kill."""

SPARE = 0.1
SPARE_ROWS = 50
"""Spare rows, drawn since some will be rejected: a tenth of those asked for, and 50."""

RESERVE_ROWS = 500
"""Rows beside those, in case more are rejected or others of a mixture lack some: twice as many, and 500."""

RESERVE_BATCH_ROWS = 1_024

_ALL = 2**64 - 1

_PACKED = pa.ipc.IpcWriteOptions(compression="lz4")
"""Drawn rows stay on disk, for the next build."""

_BEYOND_ARROW = re.compile(r"\b(?:UHUGEINT|BIGNUM)\b")
"""Types that arrive as other numbers, or as bytes."""

Cell = tuple[str, str]
"""A task, and one of its sides."""

Places = npt.NDArray[np.uint64]

_FOUND = '"rows of a query"'
"""The table of all rows that a task's query gives; no recipe can call one so."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows of a query by side: `available` in all, `wanted` in the end, `drawn` to get there.

    `reserve` are the rows of further batches, by number, in the order in which they are to be drawn.
    """

    available: dict[str, int]
    wanted: dict[str, int]
    drawn: dict[str, int]
    reserve: dict[str, dict[int, int]] = field(default_factory=dict)


def quotas(rows: int, test: float, available: Mapping[str, int]) -> dict[str, int]:
    """The number of examples on each side; where train has too few rows, test gets more."""
    held_out = max(round(rows * test), rows - available["train"])
    return {"train": rows - held_out, "test": held_out}


def with_spare(wanted: int) -> int:
    """How many rows are drawn to keep `wanted`, where there are as many."""
    return wanted + int(wanted * SPARE) + SPARE_ROWS if wanted else 0


def shifted(rows: int, test: float, available: Mapping[str, int]) -> dict[str, int]:
    """The same for a task of a mixture: its test side gives no more than it has, and others give the rest.

    Of three rows one is held out, or else a small mixture would have next to no test rows.
    """
    held_out = max(round(rows * test), int(test > 0 and rows > 2))
    lack = max(0, rows - held_out - available["train"])
    held_out += min(lack, max(0, available["test"] - held_out))
    return {"train": rows - held_out, "test": held_out}


def draw(
    seeds: Seeds,
    task: str,
    sql: str,
    columns: list[str],
    rows: int,
    test: float,
    path: Path,
    *,
    reserve: bool = False,
    mixed: bool = False,
) -> Drawn:
    """Sample a query's rows into `path`, an Arrow file, with `side` and `groups` added; renamed at the end.

    Enough are drawn to keep `rows`, of which the share `test` on the test side; with `reserve` further ones
    follow in batches of their own. A `mixed` task's sides are those of a mixture. `columns` are the names
    that the query gives. Raises QueryError where keys are null or repeat, or a split is neither side's.
    """
    connection = seeds.of(task)
    own = sorted(name for name in reads(connection, sql) if own_name(task, name) in seeds.tables)
    with bounded(connection, task, reading=own):
        # computed once and kept, in memory or spilt: places and rows are two looks at it
        connection.execute(f"create or replace table {_FOUND} as {_with_sides(sql, columns, task, test)}")
        places = _places(seeds, task)
        available = {side: len(of_side) for side, of_side in places.items()}
        wanted = shifted(rows, test, available) if mixed else quotas(rows, test, available)
        limits, drawn = {}, {}
        for side in SIDES:
            limits[side], drawn[side] = _limit(places[side], with_spare(wanted[side]))
        chosen = f"place <= case when side = 'test' then {limits['test']} else {limits['train']} end"
        relation = connection.sql(f"select * exclude (place) from {_FOUND} where {chosen}")
        unfinished = path.with_suffix(".unfinished")
        further: dict[str, dict[int, int]] = {}
        with pa.OSFile(str(unfinished), "wb") as file:
            first = _exact(relation).to_arrow_table()
            with pa.ipc.new_file(file, first.schema, options=_PACKED) as writer:
                written = _write(first.to_reader(BATCH_ROWS), writer)
                for side in SIDES if reserve else ():
                    rows_more = drawn[side] + 2 * wanted[side] + RESERVE_ROWS
                    last, _ = _limit(places[side], rows_more)
                    between = f"side = '{side}' and place > {limits[side]} and place <= {last}"
                    more = connection.sql(f"select * from {_FOUND} where {between} order by place")
                    table = _exact(more).to_arrow_table().drop_columns("place")
                    sizes = _write(table.to_reader(RESERVE_BATCH_ROWS), writer)
                    further[side] = dict(enumerate(sizes, sum(map(len, (written, *further.values())))))
        connection.execute(f"drop table {_FOUND}")
    result = Drawn(available, wanted, drawn, further)
    path.with_suffix(".json").write_text(json.dumps(asdict(result)), encoding="utf-8")
    unfinished.rename(path)
    return result


def draw_one(seeds: Seeds, task: str, sql: str, columns: list[str], test: float, key: str) -> pa.RecordBatch:
    """The row of one key as `draw` would write it; no row where the query does not give that key."""
    query = _with_sides(sql, columns, task, test)
    connection = seeds.of(task)
    with bounded(connection, task):
        found = connection.sql(f"select * exclude (place) from ({query}) where key = ?", params=[key])
        table = _exact(found).to_arrow_table()
    return pa.RecordBatch.from_struct_array(table.to_struct_array().combine_chunks())


def read_drawn(path: Path) -> Drawn:
    """The counts that `draw` left beside `path`."""
    found = Drawn(**json.loads(path.with_suffix(".json").read_text()))
    by_number = {
        side: {int(number): rows for number, rows in sizes.items()} for side, sizes in found.reserve.items()
    }
    return replace(found, reserve=by_number)


def _with_sides(sql: str, columns: list[str], task: str, test: float) -> str:
    """The query with the columns `key` (text), `groups`, `side` and `place`."""
    groups = "[key]"
    if "groups" in columns:  # a null is no group, nor is a blank; a row without any is alone with its key
        named = "list_filter(groups, lambda name: trim(name) <> '')"
        groups = f"if(coalesce(len({named}), 0) > 0, {named}, [key::varchar])"
    own = "split" if "split" in columns else "null"
    drop = [name for name in ("groups", "split") if name in columns]
    exclude = f"exclude ({', '.join(drop)})" if drop else ""
    held_out = int(test * 2**64)
    return (
        f"select * {exclude} replace (key::varchar as key), {groups}::varchar[] as groups,"
        f" case when {own} is not null then {own}"
        f" when draw({groups}[1]) < {held_out}::uhugeint then 'test' else 'train' end as side,"
        f" case when key is not null then draw({quoted(task + '|')} || key::varchar) end as place"
        f" from ({sql.rstrip().rstrip(';')}\n)"
    )


def _places(seeds: Seeds, task: str) -> dict[str, Places]:
    """Every row's place in the draw, by side. Raises QueryError as `draw` does."""
    connection = seeds.of(task)
    table = connection.sql(
        f"select side = 'test' as test, side = 'train' as train, place from {_FOUND}"
    ).to_arrow_table()
    if table["place"].null_count:
        raise QueryError(
            task, "its query gives rows whose key is null. A key names its row: filter nulls out"
        )
    place, test, train = (table[name].to_numpy() for name in ("place", "test", "train"))
    if not (test | train).all():
        (other,) = connection.execute(
            f"select side from {_FOUND} where side not in {SIDES} order by 1 limit 1"
        ).fetchall()[0]
        raise QueryError(task, f"`split` is '{other}': it is train, test, or null for chance")
    if len(np.unique(place)) < len(place):
        repeated = connection.execute(  # none where two keys only share a hash
            f"select key, count(*) as n from {_FOUND} group by 1 having n > 1 order by n desc, 1 limit 1"
        ).fetchone()
        if repeated:
            raise QueryError(
                task,
                f"its query gives {repeated[1]} rows with the key '{repeated[0]}'. "
                f"A key names one row: add what tells them apart{_blamed(seeds)}{_widened(task)}",
            )
    return {"train": place[~test], "test": place[test]}


def _blamed(seeds: Seeds) -> str:
    """Which numbers stand twice in the seeds, in words: a query may read them through staging tables."""
    found = []
    for source, tables in seeds.files.items():
        for name in tables:
            number = SOURCES[source].TABLES[name].number
            if not number:
                continue
            repeated = seeds.connection.execute(
                f"select {number}, count(*) as n from {source}.{name}"
                " group by 1 having n > 1 order by n desc, 1 limit 1"
            ).fetchone()
            if repeated:
                found.append(f"; {source}.{name} has {repeated[1]} rows with the {number} {repeated[0]}")
    return "".join(found)


def _widened(task: str) -> str:
    """What else may be to blame in a mixture: a recipe's query need not have seen these rows before."""
    part = task.rpartition(".")[0]
    return part and f"; in a mixture its own `sources` hold, which may open more than those of `{part}`"


def _limit(places: Places, want: int) -> tuple[int, int]:
    """The largest place to draw, and how many rows that makes."""
    if want >= len(places):
        return _ALL, len(places)
    if not want:
        return 0, 0
    return int(np.partition(places, want - 1)[want - 1]), want


def _exact(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Rows with the whole numbers that Arrow has no type for as texts of all their digits."""
    casts = []
    for name, kind in zip(relation.columns, map(str, relation.types), strict=True):
        if _BEYOND_ARROW.search(kind):
            quoted = '"{}"'.format(name.replace('"', '""'))
            casts.append(f"{quoted}::{_BEYOND_ARROW.sub('VARCHAR', kind)} as {quoted}")
    return relation.project(f"* replace ({', '.join(casts)})") if casts else relation


def _write(reader: pa.RecordBatchReader, writer: pa.ipc.RecordBatchFileWriter) -> list[int]:
    """Write all batches; gives the rows of each."""
    sizes = []
    for batch in reader:
        writer.write_batch(batch)
        sizes.append(batch.num_rows)
    return sizes
