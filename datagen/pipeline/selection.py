"""Selection: which examples of all tasks are kept, and why the others are not.

    duplicate, near_duplicate, label_conflict   see `dedup`
    contaminated                                see `dedup.decontaminate`
    crosses_split                               a train row shares a group with a test row
    key_used_up                                 one of its groups has as many rows as any may have
    over_rows                                   its task has enough rows without it

Everything is decided in the order of ids, which are hashes. So nothing depends on the order of the input.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datagen import dedup
from datagen.dedup.exact import DUPLICATE
from datagen.dedup.ragged import sorted_unique
from datagen.pipeline.sampling import Cell
from datagen.reject_reasons import CONTAMINATED, SPARE

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def decide(examples: pa.Table, repeats: pa.Table, max_per_key: int | None = None) -> pa.Table:
    """dedup.RESULT rows, aligned with `examples`: all reasons but that of spare rows.

    `examples` has the columns id, task, side, groups; `repeats` is what `dedup.decide` said of them.
    """
    reason, other = repeats["reason"].combine_chunks(), repeats["of"].combine_chunks()
    order = _order(examples)

    with_test = _crossing(examples, _bools(reason.is_null()), order)
    crosses = pa.array(with_test >= 0)
    reason = pc.if_else(crosses, "crosses_split", reason)
    partner = pa.array(with_test, mask=with_test < 0)
    other = pc.if_else(crosses, examples["id"].take(partner).combine_chunks(), other)
    if max_per_key is not None:
        used_up = _used_up(examples, _bools(reason.is_null()), order, max_per_key)
        reason = pc.if_else(pa.array(used_up), "key_used_up", reason)
    return pa.table([reason, other], schema=dedup.RESULT)


def decontaminated(repeats: pa.Table, questions: list[str | None]) -> pa.Table:
    """dedup.RESULT rows where the rows that repeat a question say so, whatever else they repeat."""
    of = pa.array(questions, pa.string())
    reason = pc.if_else(of.is_valid(), CONTAMINATED, repeats["reason"].combine_chunks())
    return pa.table([reason, pc.coalesce(of, repeats["of"].combine_chunks())], schema=dedup.RESULT)


def same_prompts(examples: pa.Table, repeats: pa.Table, prompts: npt.NDArray[np.uint64]) -> pa.Table:
    """dedup.RESULT rows where what reads as an earlier row does is its duplicate; `prompts` are hashes.

    Such rows differ in a slot that their wording leaves out, and so in content.
    """
    order = _order(examples)
    order = order[_bools(repeats["reason"].is_null())[order]]
    _, first, number = np.unique(prompts[order], return_index=True, return_inverse=True)
    partner = np.full(len(examples), -1)
    partner[order] = np.where(first[number] < np.arange(len(order)), order[first[number]], -1)
    again = pa.array(partner >= 0)
    of = examples["id"].take(pa.array(partner, mask=partner < 0)).combine_chunks()
    columns = [column.combine_chunks() for column in (repeats["reason"], repeats["of"])]
    return pa.table(
        [pc.if_else(again, DUPLICATE, columns[0]), pc.if_else(again, of, columns[1])],
        schema=dedup.RESULT,
    )


def counted(examples: pa.Table, decisions: pa.Table) -> dict[Cell, int]:
    """How many rows stay, by task and side."""
    kept = examples.select(["task", "side"]).filter(decisions["reason"].is_null())
    rows = kept.group_by(["task", "side"]).aggregate([([], "count_all")]).to_pylist()
    return {(row["task"], row["side"]): row["count_all"] for row in rows}


def trimmed(examples: pa.Table, decisions: pa.Table, quotas: Mapping[Cell, int]) -> pa.Table:
    """The decisions, with those rows out that a task's side has beyond its quota, in the order of ids."""
    order = _order(examples)
    order = order[_bools(decisions["reason"].is_null())[order]]
    names = [pc.dictionary_encode(examples[name]).combine_chunks() for name in ("task", "side")]
    task, side = (column.indices.to_numpy() for column in names)
    sides = names[1].dictionary.to_pylist()
    cell = task.astype(np.int64)[order] * len(sides) + side[order]
    most = [quotas.get((one, other), 0) for one in names[0].dictionary.to_pylist() for other in sides]
    over = np.zeros(len(examples), dtype=bool)
    over[order] = _places(cell) >= np.array(most, np.int64)[cell]
    reason = pc.if_else(pa.array(over), SPARE, decisions["reason"])
    return pa.table([reason, decisions["of"]], schema=dedup.RESULT)


def _order(examples: pa.Table) -> Ints:
    order: Ints = pc.sort_indices(examples["id"]).to_numpy().astype(np.int64)
    return order


def _places(groups: Ints) -> Ints:
    """For each value how many equal ones stand before it."""
    by_group = np.argsort(groups, kind="stable")
    places = np.empty_like(groups)
    of_group = groups[by_group]
    starts = np.flatnonzero(np.diff(of_group, prepend=-1))
    places[by_group] = np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups))))
    return places


def _used_up(examples: pa.Table, kept: Bools, order: Ints, most: int) -> Bools:
    """Which kept rows come, in the order of ids, after `most` others that stay with one of their groups.

    In rounds: what has fewer before it, gone or not, stays; what has so many of these before it goes.
    """
    size = len(order)
    rank = np.empty_like(order)
    rank[order] = np.arange(size)
    groups = examples["groups"].combine_chunks()
    rows = pc.list_parent_indices(groups).to_numpy().astype(np.int64)
    codes = pc.list_flatten(groups).dictionary_encode().indices.to_numpy().astype(np.int64)
    often = kept[rows] & (np.bincount(codes, kept[rows])[codes] > most)
    codes, ranks = np.divmod(sorted_unique(codes[often] * size + rank[rows[often]]), size)
    gone = np.zeros(size, bool)  # by rank
    while True:
        late = np.zeros(size, bool)
        late[ranks[_places(codes) >= most]] = True
        stays = ~late[ranks]
        before = np.cumsum(stays) - stays
        before -= before[np.searchsorted(codes, codes)]
        full = ranks[~stays & (before >= most)]
        if not len(full):  # the first that is late is full
            return gone[rank]
        gone[full] = True
        codes, ranks = codes[~gone[ranks]], ranks[~gone[ranks]]


def _crossing(examples: pa.Table, kept: Bools, order: Ints) -> Ints:
    """For each kept train row the first kept test row that it shares a group with, else -1."""
    groups = examples["groups"].combine_chunks()
    rows = pc.list_parent_indices(groups).to_numpy()
    names = pc.list_flatten(groups).dictionary_encode()
    codes = names.indices.to_numpy()
    test = _bools(pc.equal(examples["side"], "test"))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    none = len(order)
    first = np.full(len(names.dictionary), none)
    held_out = (test & kept)[rows]
    np.minimum.at(first, codes[held_out], rank[rows[held_out]])
    nearest = np.full(len(order), none)
    np.minimum.at(nearest, rows, first[codes])
    nearest[test | ~kept] = none
    partners: Ints = np.append(order, -1)[np.where(nearest == none, -1, nearest)]
    return partners


def _bools(column: pa.ChunkedArray) -> Bools:
    values: Bools = (
        column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    )
    return values
