"""Exact duplicates and label conflicts among the content of questions."""

import numpy as np
import numpy.typing as npt

from datagen.dedup.content import Content
from datagen.dedup.ragged import Ints, first_places, hashed, mixed

DUPLICATE, CONFLICT = "duplicate", "label_conflict"


def exact_repeats(content: Content) -> tuple[Ints, npt.NDArray[np.object_]]:
    """For each row the row that it repeats or contradicts, or -1; and the reason, or None."""
    asked = mixed(content.kinds, hashed(content.fields), hashed(content.options))
    answer = hashed(content.answers)
    first_asked, group = first_places(asked)
    first_same, _ = first_places(mixed(asked, answer))
    rows = np.arange(len(asked))
    differs = answer != answer[first_asked]  # from the group's smallest row
    first_other = np.full(len(rows), -1)
    disputed, at = np.unique(group[differs], return_index=True)
    first_other[disputed] = rows[differs][at]
    conflict = first_other[group] >= 0
    repeat = first_same < rows
    of = np.select(
        [conflict & differs, conflict, repeat], [first_asked, first_other[group], first_same], default=-1
    )
    reason = np.full(len(rows), None, object)
    reason[repeat] = DUPLICATE
    reason[conflict] = CONFLICT
    return of, reason
