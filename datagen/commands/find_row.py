"""Lookup of one row of a finished run, by its id, the beginning of its id, or its key.

Rejected rows are found too.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import fuzz, process

from datagen.errors import UserError
from datagen.recipe.model import Recipe
from datagen.schema import SHARD
from datagen.storage.files import read_shard
from datagen.suggest import among

PREFIX = re.compile(r"[0-9a-f]{1,32}")
"""Texts that can be the beginning of an id."""


@dataclass(frozen=True, slots=True)
class Found:
    """One row of a run: the file that holds it, its position there, and its columns (SHARD or REJECT)."""

    file: str
    position: int
    row: dict[str, Any]

    @property
    def reason(self) -> str | None:
        """Why the row was left out; None for a kept one."""
        return self.row.get("reason")

    @property
    def side(self) -> str:
        """The split that a kept row is in."""
        return Path(self.file).name.split("-")[0]


def find_row(run: Path, recipe: Recipe, name: str, task: str | None = None) -> Found:
    """The one row of that name; `task` tells equal keys apart.

    Raises UserError where no row, or more than one, has it, or no task is called so.
    """
    rows = _index(run)
    if task is not None:
        if task not in recipe.tasks:
            raise UserError(f"{run} has no task `{task}`: {among(task, recipe.tasks)}")
        rows = rows.filter(pc.equal(rows["task"], task))
    hits = rows.filter(pc.equal(rows["key"], name)).to_pylist()
    if not hits and PREFIX.fullmatch(name):
        begun = rows.filter(pc.starts_with(rows["id"], name)).to_pylist()
        hits = [hit for hit in begun if hit["file"].startswith("data/")] or begun  # kept rows first
    if len(hits) == 1:
        return _read(run, hits[0]["file"], hits[0]["position"])
    raise UserError(f"{run}: {_ambiguous(name, hits) if hits else _unknown(name, rows)}")


def _index(run: Path) -> pa.Table:
    """Id, key and task of every row of a run, kept or left out, with its file and its position there."""
    columns = [SHARD.field(name) for name in ("id", "key", "task")]
    place = [("file", pa.dictionary(pa.int32(), pa.string())), ("position", pa.int64())]
    tables = [pa.schema([*columns, *place]).empty_table()]
    for path in sorted([*run.glob("data/*.parquet"), *run.glob("rejects/*.parquet")]):
        table = read_shard(path, [column.name for column in columns])
        file = pa.repeat(path.relative_to(run).as_posix(), table.num_rows).dictionary_encode()
        positions = pa.array(range(table.num_rows), pa.int64())
        tables.append(table.append_column("file", file).append_column("position", positions))
    return pa.concat_tables(tables, promote_options="permissive")


def _read(run: Path, file: str, position: int) -> Found:
    return Found(file, position, read_shard(run / file).slice(position, 1).to_pylist()[0])


def _ambiguous(name: str, hits: list[dict[str, Any]]) -> str:
    named = [f"{hit['id'] or hit['key']} ({hit['task']})" for hit in hits]
    if all(hit["key"] != name for hit in hits):
        return f"`{name}` begins the ids of {len(hits)} rows: {_some(named)}. Say more of the id"
    first = min(hit["task"] for hit in hits)
    return f"`{name}` is the key of {len(hits)} rows: {_some(named)}. Add --task {first}, or another of them"


def _unknown(name: str, rows: pa.Table) -> str:
    keys = set(rows["key"].to_pylist())
    begun = sorted(key for key in keys if key.startswith(name))
    if begun:
        return f"no row has the key `{name}`, but it begins {_some(begun)}. Give a key as a whole"
    names = sorted({*rows["id"].drop_null().to_pylist(), *keys})
    near = [text for text, _, _ in process.extract(name, names, scorer=fuzz.ratio, limit=3, score_cutoff=60)]
    known = f"did you mean {', '.join(f'`{text}`' for text in near)}?" if near else "it holds none like it."
    return f"no row has the id or key `{name}`; {known} Ids are in the column `id` of its data, keys in `key`"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
