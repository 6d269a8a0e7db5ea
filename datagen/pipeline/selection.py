"""Selection: which examples of all tasks are kept, and why the others are not.

    duplicate, near_duplicate, label_conflict   see `dedup`
    contaminated                                see `dedup.decontaminate`
    crosses_split                               a train row shares a group with a test row
    over_rows                                   its task has enough rows without it

Everything is decided in the order of ids, which are hashes. So nothing depends on the order of the input.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datagen import dedup
from datagen.reject_reasons import CONTAMINATED, SPARE

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def decide(examples: pa.Table, repeats: pa.Table, quotas: Mapping[tuple[str, str], int]) -> pa.Table:
    """dedup.RESULT rows, aligned with `examples`.

    `examples` has the columns id, task, side, groups; `repeats` is what `dedup.decide` said of them.
    `quotas` gives the rows to keep by (task, side).
    """
    reason, other = repeats["reason"].combine_chunks(), repeats["of"].combine_chunks()
    order = pc.sort_indices(examples["id"]).to_numpy().astype(np.int64)

    with_test = _crossing(examples, _bools(reason.is_null()), order)
    crosses = pa.array(with_test >= 0)
    reason = pc.if_else(crosses, "crosses_split", reason)
    partner = pa.array(with_test, mask=with_test < 0)
    other = pc.if_else(crosses, examples["id"].take(partner).combine_chunks(), other)

    reason = pc.if_else(
        pa.array(_over_rows(examples, _bools(reason.is_null()), order, quotas)), SPARE, reason
    )
    return pa.table([reason, other], schema=dedup.RESULT)


def decontaminated(repeats: pa.Table, questions: list[str | None]) -> pa.Table:
    """dedup.RESULT rows where the rows that repeat a question say so, whatever else they repeat."""
    of = pa.array(questions, pa.string())
    reason = pc.if_else(of.is_valid(), CONTAMINATED, repeats["reason"].combine_chunks())
    return pa.table([reason, pc.coalesce(of, repeats["of"].combine_chunks())], schema=dedup.RESULT)


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


def _over_rows(examples: pa.Table, kept: Bools, order: Ints, quotas: Mapping[tuple[str, str], int]) -> Bools:
    """Which kept rows are left of a task's side once its quota is full, in the order of ids."""
    order = order[kept[order]]
    over = np.zeros(len(kept), dtype=bool)
    for (task, side), quota in quotas.items():
        here = _bools(pc.and_(pc.equal(examples["task"], task), pc.equal(examples["side"], side)))
        over[order[here[order]][quota:]] = True
    return over


def _bools(column: pa.ChunkedArray) -> Bools:
    values: Bools = (
        column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    )
    return values
