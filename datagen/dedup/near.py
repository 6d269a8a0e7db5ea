"""The search for near-duplicates among the candidate pairs from MinHash.

Each pair is checked by the definition in `dedup`, so that no chance collision removes a row.
"""

import numpy as np

from datagen.dedup.content import Content
from datagen.dedup.minhash import boilerplate_of, candidates_anew, candidates_of, sketch
from datagen.dedup.ragged import Bools, Ints, Lists, ranges
from datagen.dedup.similarity import near_texts

_PAIRS = 20_000  # whose options are checked at a time: bounds the memory for all faced with all


def near_repeats(content: Content, rows: Ints, near: float) -> dict[int, int]:
    """Each of `rows` (ascending) that is near a smaller one that stays, and the smallest such row.

    Should a removal change which texts are boilerplate, the search starts again with what is known, so
    that it ends where a search among the rows that stay would find nothing.
    """
    if not len(rows):
        return {}
    pairs = np.zeros(0, np.int64)
    seen: list[Ints] = []
    boilerplate = boilerplate_of(content, rows)
    while True:
        pairs = _search(content, rows, boilerplate, pairs, seen, near)
        gone = _first_kept(pairs, len(content.kinds))
        before, boilerplate = boilerplate, boilerplate_of(content, _without(rows, gone))
        if np.array_equal(before, boilerplate):
            return gone


def _search(
    content: Content, rows: Ints, boilerplate: Ints, pairs: Ints, seen: list[Ints], near: float
) -> Ints:
    """Near pairs of `rows`, as smaller * number of rows + larger: `pairs`, and those found here.

    Where a bucket is too crowded to compare all with all, what is found makes room for more. What is looked
    at is added to `seen`, each part of it ascending, and not looked at again.
    """
    size = len(content.kinds)
    sketches = sketch(content, rows, boilerplate)
    candidates, crowded = candidates_of(sketches, size)
    sketches = [each.take(np.isin(each.rows, crowded)) for each in sketches]
    candidates = _without_seen(candidates, seen)
    gone: set[int] = set()
    while True:
        seen.append(candidates)
        pairs = np.union1d(pairs, candidates[_check(content, *np.divmod(candidates, size), near)])
        before, gone = gone, set(_first_kept(pairs, size))
        candidates = _without_seen(candidates_anew(sketches, size, gone, before ^ gone), seen)
        if not len(candidates):
            return pairs


def _without_seen(pairs: Ints, seen: list[Ints]) -> Ints:
    for known in seen:
        pairs = pairs[np.append(known, -1)[np.searchsorted(known, pairs)] != pairs]  # none is negative
    return pairs


def _without(rows: Ints, gone: dict[int, int]) -> Ints:
    return rows[~np.isin(rows, list(gone))]


def _first_kept(pairs: Ints, size: int) -> dict[int, int]:
    """Of near pairs, the larger rows that go, each with the smallest row that stays and is near."""
    gone: dict[int, int] = {}
    smaller, larger = np.divmod(pairs, size)
    order = np.lexsort((smaller, larger))
    for kept, row in zip(smaller[order].tolist(), larger[order].tolist(), strict=True):
        if row not in gone and kept not in gone:
            gone[row] = kept
    return gone


def _check(content: Content, one: Ints, other: Ints, near: float) -> Ints:
    """Places of the candidate pairs of rows that are near by definition."""
    places = np.arange(len(one))
    fields = content.fields
    for field in range(fields.counts().max()):
        has = fields.counts()[one[places]] > field  # both have as many, by their block
        ours, theirs = (fields.values[fields.starts[rows[places[has]]] + field] for rows in (one, other))
        alike = ~has
        alike[has] = near_texts(content, ours, theirs, near)
        places = places[alike]
    for lists in (content.answers, content.options):
        parts = [places[at : at + _PAIRS] for at in range(0, len(places) or 1, _PAIRS)]
        places = np.concatenate(
            [
                part[_near_sets(content, lists.take(one[part]), lists.take(other[part]), near)]
                for part in parts
            ]
        )
    return places


def _near_sets(content: Content, ours: Lists, theirs: Lists, near: float) -> Bools:
    """Whether each text of each list has a near one in its counterpart, both ways."""
    facing = np.repeat(theirs.counts(), ours.counts())  # texts of theirs for each of ours
    left = np.repeat(np.arange(len(ours.values)), facing)
    right = ranges(np.repeat(theirs.starts[:-1], ours.counts()), facing)
    alike = near_texts(content, ours.values[left], theirs.values[right], near)
    whole = np.ones(len(ours.starts) - 1, bool)
    for lists, at in ((ours, left), (theirs, right)):
        alone = np.bincount(at[alike], minlength=len(lists.values)) == 0
        whole[lists.rows()[alone]] = False
    return whole
