"""The examples of all tasks in, for each the reason why it is not kept (or none) out.

    duplicate, near_duplicate, label_conflict   see `dedup`
    crosses_split                               a train row shares a group with a test row
    over_rows                                   its task has enough rows without it

Everything is decided in the order of ids, a hash, so nothing depends on the order of the input.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datagen import dedup

DECISION = pa.schema([pa.field("reason", pa.string()), pa.field("of", pa.string())])
"""One row for each example: why it is not kept, and the id of the row it clashes with."""


def decide(examples: pa.Table, near: float | None, quotas: dict[tuple[str, str], int]) -> pa.Table:
    """DECISION rows, aligned with `examples`.

    `examples` has the columns id, task, kind, side, groups, fields, options, gold. `quotas` gives the
    rows to keep by (task, side).
    """
    content = examples.select(["id", "kind", "fields", "options"]).append_column("answer", examples["gold"])
    found = dedup.decide(content, near)
    reason = np.array(found["reason"].to_pylist(), dtype=object)
    other = np.array(found["of"].to_pylist(), dtype=object)
    _cross_split(examples, reason, other)
    _over_rows(examples, reason, quotas)
    return pa.table([pa.array(reason, pa.string()), pa.array(other, pa.string())], schema=DECISION)


def _cross_split(examples: pa.Table, reason: np.ndarray, other: np.ndarray) -> None:
    """Mark the train rows that share a group with a kept test row."""
    groups = examples["groups"].combine_chunks()
    rows = pc.list_parent_indices(groups).to_numpy()
    names = pc.list_flatten(groups).dictionary_encode()
    codes = names.indices.to_numpy()
    is_test = pc.equal(examples["side"], "test").to_numpy(zero_copy_only=False)
    kept = np.equal(reason, None)
    order = pc.sort_indices(examples["id"]).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    witness = np.full(len(names.dictionary), len(order))
    of_test = (is_test & kept)[rows]
    np.minimum.at(witness, codes[of_test], rank[rows[of_test]])
    crossing = (~is_test & kept)[rows] & (witness[codes] < len(order))
    ids = examples["id"]
    for row, code in zip(rows[crossing], codes[crossing], strict=True):
        reason[row], other[row] = "crosses_split", ids[int(order[witness[code]])].as_py()


def _over_rows(examples: pa.Table, reason: np.ndarray, quotas: dict[tuple[str, str], int]) -> None:
    """Mark what is left of a task's side once its quota is full, in the order of ids."""
    order = pc.sort_indices(examples["id"]).to_numpy()
    order = order[np.equal(reason[order], None)]
    tasks, sides = (examples[name].combine_chunks() for name in ("task", "side"))
    for (task, side), quota in quotas.items():
        mask = pc.and_(pc.equal(tasks, task), pc.equal(sides, side)).to_numpy(zero_copy_only=False)
        reason[order[mask[order]][quota:]] = "over_rows"
