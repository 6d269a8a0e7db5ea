"""Deduplication by content: exact duplicates, near-duplicates, and questions that contradict each other.

Content is what a question asks about: its free slots, its candidates and its answer. Wording is no part
of it. So two phrasings of one question are duplicates, and one phrasing about two products is not.

- `duplicate`: same fields, same set of options, same answer, but for case, spaces and punctuation.
- `label_conflict`: same fields and options, another answer. Nobody can say which is right, so all go.
- `near_duplicate`: each field is near its counterpart, each option has a near one in the other question,
  and so has each line of the answer. A near question with another answer is a question of its own.

Two texts are near when all of this holds:

1. Their similarity, 1 - (insertions + deletions) / (both lengths), reaches `near`, as they stand or with
   their words sorted.
2. They hold the same numbers in the same order, with the same signs and short units beside them: another
   size, pack or model is another question, be it 5' for 5", 10 mm for 10 cm or A4 for A5.
3. No word is replaced by an unlike one, and at most one word in eight is missing from either. Another
   colour or brand makes another question, however long the rest, and so does a query with one wish less. A
   typo or a moved word does not. Similarity alone cannot tell these apart: "red" for "blue" in a long title
   is 0.96, a typo in a short query 0.92. Letters of a size
   (XL, XXL), Roman numbers and Japanese characters (赤, 青) have no typos: another letter is another thing.

Candidate pairs come from MinHash over byte shingles in locality-sensitive bands (Leskovec, Rajaraman,
Ullman, Mining of Massive Datasets, chapter 3). Each pair is then checked by the definition above, so that
no chance collision removes a row.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datagen.dedup.content import Read, chain, joined, read
from datagen.dedup.exact import exact_repeats
from datagen.dedup.near import near_repeats

__all__ = ["RESULT", "Read", "decide", "read"]

_NEAR = "near_duplicate"

RESULT = pa.schema([("reason", pa.string()), ("of", pa.string())])
"""The decision on each row; both columns are null where the row stays."""


def decide(parts: Sequence[Read], near: float | None) -> pa.Table:
    """Say which rows of `parts` to remove and why, as a table of `RESULT` aligned with all of them in turn.

    The smallest id of a group stays; of a label conflict none does. `of` is the id of the row that a removed
    one repeats or contradicts. `near` is the similarity in (0, 1] from which texts are near; None looks for
    exact repeats only. The outcome depends neither on the order of the rows, nor on the part that each is
    in, nor on threads, and what stays holds nothing that a second call would remove.
    """
    ids = chain([part.ids for part in parts], pa.string())
    if not len(ids):
        return RESULT.empty_table()
    order = pc.sort_indices(ids).to_numpy().astype(np.int64)
    content = joined(parts, order)
    of, reason = exact_repeats(content)
    if near is not None:
        for row, kept in near_repeats(content, np.flatnonzero(of < 0), near).items():
            of[row], reason[row] = kept, _NEAR
    back = np.argsort(order)
    named = ids.take(pa.array(np.where(of < 0, 0, order[of])[back], mask=(of < 0)[back]))
    return pa.table([pa.array(reason[back], pa.string()), named.cast(pa.string())], schema=RESULT)
