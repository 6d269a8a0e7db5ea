"""Lookup of one row of a finished run, by its id, the beginning of its id, or its key.

Rejected rows are found too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rapidfuzz import fuzz, process

from datagen.errors import UserError
from datagen.paths import find
from datagen.pipeline.render import row_id
from datagen.prompts.template import load_template
from datagen.recipe.model import Recipe
from datagen.schema import REJECT, SHARD
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
    kept, rejects = _index(run, "data", ["id", "key", "task"]), _index(run, "rejects", ["key", "task"])
    if task is not None:
        if task not in recipe.tasks:
            raise UserError(f"{run} has no task `{task}`: {among(task, recipe.tasks)}")
        kept, rejects = (table.filter(pc.equal(table["task"], task)) for table in (kept, rejects))
    hits = [*_rows(kept, "key", name), *_rows(rejects, "key", name)] or list(_rows(kept, "id", name))
    if not hits and PREFIX.fullmatch(name):
        hits = kept.filter(pc.starts_with(kept["id"], name)).to_pylist() or _rejected_ids(run, recipe, name)
    if len(hits) == 1:
        return _read(run, hits[0]["file"], hits[0]["position"])
    raise UserError(f"{run}: {_ambiguous(name, hits) if hits else _unknown(name, kept, rejects)}")


def _index(run: Path, folder: str, columns: list[str]) -> pa.Table:
    """The named columns of all files of a folder, if there are any, each row with its file and position."""
    schema = {"data": SHARD, "rejects": REJECT}[folder]
    none = pa.schema(
        [
            *(schema.field(name) for name in columns),
            ("file", pa.dictionary(pa.int32(), pa.string())),
            ("position", pa.int64()),
        ]
    )
    tables = [none.empty_table()]
    for path in sorted((run / folder).glob("*.parquet")):
        table = pq.read_table(path, columns=columns)
        file = pa.repeat(f"{folder}/{path.name}", table.num_rows).dictionary_encode()
        positions = pa.array(range(table.num_rows), pa.int64())
        tables.append(table.append_column("file", file).append_column("position", positions))
    return pa.concat_tables(tables, promote_options="permissive")


def _rows(table: pa.Table, column: str, value: str) -> Iterator[dict[str, Any]]:
    yield from table.filter(pc.equal(table[column], value)).to_pylist()


def _rejected_ids(run: Path, recipe: Recipe, prefix: str) -> list[dict[str, Any]]:
    """Rejected rows whose id begins so. Rejects have no stored ids; those of rendered rows are computed."""
    hits = []
    for name, task in recipe.tasks.items():
        wordings = range(len(load_template(find("templates", task.template)).wordings))
        rejects = _index(run, "rejects", ["key", "task", "prompt"])
        for row in rejects.filter(
            pc.and_(pc.equal(rejects["task"], name), pc.is_valid(rejects["prompt"]))
        ).to_pylist():
            if any(row_id(recipe.seed, name, wording, row["key"]).startswith(prefix) for wording in wordings):
                hits.append(row)
    return hits


def _read(run: Path, file: str, position: int) -> Found:
    return Found(file, position, pq.read_table(run / file).slice(position, 1).to_pylist()[0])


def _ambiguous(name: str, hits: list[dict[str, Any]]) -> str:
    named = [f"{hit.get('id', hit['key'])} ({hit['task']})" for hit in hits]
    if all(hit["key"] != name for hit in hits):
        return f"`{name}` begins the ids of {len(hits)} rows: {_some(named)}. Say more of the id"
    first = min(hit["task"] for hit in hits)
    return f"`{name}` is the key of {len(hits)} rows: {_some(named)}. Add --task {first}, or another of them"


def _unknown(name: str, kept: pa.Table, rejects: pa.Table) -> str:
    keys = {*kept["key"].to_pylist(), *rejects["key"].to_pylist()}
    begun = sorted(key for key in keys if key.startswith(name))
    if begun:
        return f"no row has the key `{name}`, but it begins {_some(begun)}. Give a key as a whole"
    names = sorted({*kept["id"].to_pylist(), *keys})
    near = [text for text, _, _ in process.extract(name, names, scorer=fuzz.ratio, limit=3, score_cutoff=60)]
    known = f"did you mean {', '.join(f'`{text}`' for text in near)}?" if near else "it holds none like it."
    return f"no row has the id or key `{name}`; {known} Ids are in the column `id` of its data, keys in `key`"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
