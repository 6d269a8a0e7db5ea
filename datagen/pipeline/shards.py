"""The published Parquet files of a run: shards and rejects.

runs/<recipe>/data/{train,test}-KKKKK-of-NNNNN.parquet   schema.SHARD, in the order of ids: a shuffle
runs/<recipe>/rejects/<task>.parquet                     schema.REJECT; none where nothing was left out
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datagen.prompts.chat import system
from datagen.schema import MESSAGES, REJECT, SHARD, TaskType
from datagen.storage.files import read_arrow, write_parquet

SHARD_ROWS = 50_000
_AS_THEY_ARE = ["id", "language", "target", "key", "wording"]
_FROM_EXAMPLES = [*_AS_THEY_ARE, "side", "prompt", "answer", "options"]
"""Columns of an example that a shard is written from."""


@dataclass(frozen=True, slots=True)
class Constants:
    """The columns that are the same for all rows of a task."""

    task_type: TaskType
    track: str
    metric: str
    template: str
    source: tuple[str, ...]
    license: tuple[str, ...]
    teachers: tuple[str | None, ...] = ()  # of each wording; empty where the template's own are all
    step_teacher: str | None = None  # who filled a table that the task reads


@dataclass(frozen=True, slots=True)
class Part:
    """The files of one batch: examples in the order of ids, rejects, and the decisions of `selection`."""

    task: str
    examples: Path
    rejects: Path
    reasons: Path
    rewritten: Path | None = None  # new prompts by a teacher, and why some of them are not taken


def shard_bounds(ids: list[str]) -> list[tuple[str, str]]:
    """First and last id of each shard, for sorted ids; shards are equal in rows but for one."""
    count = max(1, math.ceil(len(ids) / SHARD_ROWS))
    edges = [len(ids) * shard // count for shard in range(count + 1)]
    return [(ids[low], ids[high - 1]) for low, high in itertools.pairwise(edges) if high > low]


def write_shard(
    path: Path, side: str, bounds: tuple[str, str], parts: list[Part], tasks: Mapping[str, Constants]
) -> None:
    """Write the kept examples of one side whose ids lie within `bounds`; renamed into place at the end."""
    low, high = bounds
    chosen: dict[str, list[pa.Table]] = {}
    for part in parts:
        examples = _rewritten(read_arrow(part.examples).select(_FROM_EXAMPLES), part.rewritten)
        ids = examples["id"].combine_chunks()
        start = pc.search_sorted(ids, low, side="left").as_py()
        stop = pc.search_sorted(ids, high, side="right").as_py()
        reasons = read_arrow(part.reasons)["reason"].slice(start, stop - start)
        within = examples.slice(start, stop - start)
        kept = within.filter(pc.and_(pc.is_null(reasons), pc.equal(within["side"], side)))
        if kept.num_rows:
            chosen.setdefault(part.task, []).append(kept)
    tables = [_published(pa.concat_tables(kept), task, tasks[task]) for task, kept in chosen.items()]
    write_parquet(pa.concat_tables(tables).sort_by("id"), path)


def _rewritten(examples: pa.Table, path: Path | None) -> pa.Table:
    """The examples with their new prompts, and a column `teacher` that says who wrote them."""
    if path is None:
        return examples.append_column("teacher", pa.nulls(examples.num_rows, pa.string()))
    new = read_arrow(path)
    new = new.filter(pc.equal(new["reason"], "")).combine_chunks()
    places = pc.index_in(examples["id"], new["id"]).combine_chunks()
    prompts = pc.coalesce(new["prompt"].take(places), examples["prompt"])
    examples = examples.set_column(examples.column_names.index("prompt"), "prompt", prompts)
    return examples.append_column("teacher", new["teacher"].take(places))


def _published(examples: pa.Table, task: str, constants: Constants) -> pa.Table:
    rows = examples.num_rows
    repeated: dict[str, Any] = {
        "task": task,
        "task_type": constants.task_type.value,
        "track": constants.track,
        "metric": constants.metric,
        "template": constants.template,
        "source": list(constants.source),
        "license": list(constants.license),
    }
    only = pa.array(np.zeros(rows, np.int32))
    columns = {  # pa.repeat takes ten times as long for lists
        name: pa.array([value], SHARD.field(name).type).take(only) for name, value in repeated.items()
    }
    columns["prompt"] = _messages({"system": system(constants.task_type), "user": examples["prompt"]}, rows)
    columns["completion"] = _messages({"assistant": examples["answer"]}, rows)
    columns["choices"] = examples["options"].combine_chunks()
    for name in _AS_THEY_ARE:
        columns[name] = examples[name].combine_chunks()
    columns["teacher"] = _teachers(examples, constants)
    return pa.table([columns[name] for name in SHARD.names], schema=SHARD)


def _teachers(examples: pa.Table, constants: Constants) -> pa.Array:
    """The model that worded each row anew, or filled what it stands on; null where none did."""
    own = pa.scalar(constants.step_teacher, pa.string())
    rewritten = pc.coalesce(examples["teacher"].combine_chunks(), own)
    of_wordings = pa.array(constants.teachers, pa.string())
    if not len(of_wordings):
        return rewritten
    return pc.coalesce(rewritten, of_wordings.take(examples["wording"].combine_chunks()))


def _messages(turns: Mapping[str, Any], rows: int) -> pa.Array:
    """MESSAGES of `rows` chats with the same roles; a content is one text for all or a column."""
    width = len(turns)
    roles = pa.array(list(turns) * rows, pa.string())
    contents = [
        pa.repeat(content, rows) if isinstance(content, str) else content.combine_chunks()
        for content in turns.values()
    ]
    row_by_row = np.arange(rows * width).reshape(width, rows).T.ravel()
    interleaved = pa.concat_arrays(contents).take(pa.array(row_by_row))
    offsets = pa.array(range(0, rows * width + 1, width), pa.int32())
    return pa.ListArray.from_arrays(
        offsets, pa.StructArray.from_arrays([roles, interleaved], fields=list(MESSAGES.value_type))
    ).cast(MESSAGES)


def has_rejects(parts: list[Part]) -> bool:
    """Whether any row of these parts is left out: `datasets` cannot open a file without rows."""
    return any(
        read_arrow(part.rejects).num_rows or pc.any(read_arrow(part.reasons)["reason"].is_valid()).as_py()
        for part in parts
    )


def write_rejects(path: Path, task: str, parts: list[Part]) -> None:
    """Write one task's rejects: those of rendering, and those of `selection.decide`."""
    tables = [REJECT.empty_table()]
    for part in parts:
        tables.append(read_arrow(part.rejects))
        decided = read_arrow(part.reasons)
        out = pc.is_valid(decided["reason"])
        examples, decided = read_arrow(part.examples).filter(out), decided.filter(out)
        rows = {
            "id": examples["id"],
            "task": pa.repeat(task, examples.num_rows),
            **{"key": examples["key"], "reason": decided["reason"], "detail": decided["of"]},
            **{"prompt": examples["prompt"], "answer": examples["answer"]},
            "seed": pa.nulls(examples.num_rows, pa.string()),
        }
        tables.append(pa.table([rows[name] for name in REJECT.names], schema=REJECT))
    write_parquet(pa.concat_tables(tables).sort_by([("reason", "ascending"), ("key", "ascending")]), path)


def counts(folder: Path, tasks: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
    """Rows kept (by side) and rejected (by reason) of each task, counted in the written files."""
    found: dict[str, dict[str, dict[str, int]]] = {task: {"kept": {}, "rejected": {}} for task in tasks}
    for side in ("train", "test"):
        files = sorted((folder / "data").glob(f"{side}-*.parquet"))
        for task, rows in _tally(files, "task").items():
            found[task]["kept"][side] = rows
    for task in found:
        found[task]["rejected"] = _tally([*(folder / "rejects").glob(f"{task}.parquet")], "reason")
    return found


def _tally(files: list[Path], column: str) -> dict[str, int]:
    if not files:
        return {}
    values = pa.concat_tables([pq.read_table(file, columns=[column]) for file in files])[column]
    return {pair["values"]: pair["counts"] for pair in values.value_counts().to_pylist()}
