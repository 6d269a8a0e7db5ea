"""The content of many questions goes in; for each comes out whether it repeats or contradicts another.

Content is what a question asks about: its free slots, its candidates and its answer. Wording is no part
of it, so two phrasings of one question are duplicates and one phrasing of two products is not.

- `duplicate`: same fields, same set of options, same answer, but for case, spaces and punctuation.
- `label_conflict`: same fields and options, another answer. Nobody can say which is right: all go.
- `near_duplicate`: each field is near its counterpart, each option has a near one in the other question,
  and so has each line of the answer. A near question with another answer is a question of its own.

Two texts are near when all of this holds:

1. Their similarity, 1 - (insertions + deletions) / (both lengths), reaches `near`, as they stand or with
   their words sorted.
2. They hold the same numbers in the same order: another size, pack or model is another question.
3. No word gives way to an unlike one, and at most one word in eight is missing from either: another colour
   or brand is another question, however long the rest, and so is a query with one wish less. A typo is
   not, nor is a word moved. Similarity alone cannot tell: "red" for "blue" in a long title is 0.96, and a
   typo in a short query 0.92.

Candidates come from MinHash over byte shingles in locality-sensitive bands (Leskovec, Rajaraman, Ullman,
Mining of Massive Datasets, chapter 3). Each is then checked by the definition above, so that no chance
collision ever removes a row.
"""

import os
import re
import string
import struct
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA
from rensa import RMinHash  # not in the threads that use it: Ctrl-C in an import may leave its lock held

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
T = TypeVar("T")
R = TypeVar("R")
Byte = TypeVar("Byte", np.uint8, np.bool_)

RESULT = pa.schema([("reason", pa.string()), ("of", pa.string())])
"""What `decide` says of each row; both null where the row stays."""

SHINGLE = 4
"""Bytes of a shingle: four letters, or one and a bit of Japanese."""

SAMPLE = 64
"""About how many shingles of a row count: those with the smallest hashes, the same in two near rows."""

HASHES = 32
"""MinHash values of a row."""


class Range(NamedTuple):
    """Rows that are compared with each other, by their length, and how alike they must be for it.

    Rows with a share J of common shingles become candidates with chance 1 - (1 - J**depth)**(HASHES / depth).
    """

    shortest: int  # bytes of fields and answer
    longest: int
    depth: int


RANGES = (Range(0, 64, 2), Range(48, 2**62, 4))
"""A typo takes a large share of the shingles of a short row; of long rows, many share something.

The ranges overlap, so that two rows of which one is three quarters as long as the other meet in one.
"""

SEED = 20240715
"""Of the hash functions behind MinHash: another seed, other chance candidates."""

WINDOW = 8
"""Neighbours that a row is compared with in a bucket; keeps the work linear where thousands collide."""

_CHUNK = 2048  # rows or texts that a thread works on at a time: their arrays fit the cache
_PAIRS = 20_000  # whose options are checked at a time: bounds the memory for all faced with all
_CONFLICT, _DUPLICATE, _NEAR = "label_conflict", "duplicate", "near_duplicate"


def decide(parts: Sequence["Read"], near: float | None) -> pa.Table:
    """Say which rows of `parts` to remove and why, as a table of `RESULT` aligned with all of them in turn.

    The smallest id of a group stays; of a label conflict none does. `of` is the id of the row that a removed
    one repeats or contradicts. `near` is the similarity in (0, 1] from which texts are near; None looks for
    exact repeats only. The outcome depends neither on the order of the rows, nor on the part that each is
    in, nor on threads, and what stays holds nothing that a second call would remove.
    """
    ids = _chained([part.ids for part in parts], pa.string())
    if not len(ids):
        return RESULT.empty_table()
    order = pc.sort_indices(ids).to_numpy().astype(np.int64)
    content = _joined(parts, order)
    of, reason = _exact(content)
    if near is not None:
        for row, kept in _near(content, np.flatnonzero(of < 0), near).items():
            of[row], reason[row] = kept, _NEAR
    back = np.argsort(order)
    named = ids.take(pa.array(np.where(of < 0, 0, order[of])[back], mask=(of < 0)[back]))
    return pa.table([pa.array(reason[back], pa.string()), named.cast(pa.string())], schema=RESULT)


class _Lists(NamedTuple):
    """Lists of numbers, one a row: row i holds `values[starts[i]:starts[i + 1]]`."""

    values: Ints
    starts: Ints

    def counts(self) -> Ints:
        return np.diff(self.starts)

    def rows(self) -> Ints:
        """Row of each value."""
        return np.repeat(np.arange(len(self.starts) - 1), self.counts())

    def take(self, rows: Ints) -> "_Lists":
        counts = self.starts[rows + 1] - self.starts[rows]
        return _Lists(self.values[_ranges(self.starts[rows], counts)], _starts(counts))

    def where(self, told: Bools) -> "_Lists":
        """The lists without the values that are not `told`."""
        return _Lists(self.values[told], _starts(told)[self.starts])


class Read(NamedTuple):
    """Some questions as `read` leaves them; a text is its position in `texts`."""

    ids: pa.ChunkedArray
    kinds: pa.ChunkedArray
    texts: pa.ChunkedArray  # folded, each closed by a line end; few are there twice
    numbers: pa.ChunkedArray  # of each text: the numbers that stand in it
    fields: _Lists
    options: _Lists
    answers: _Lists  # lines


class _Content(NamedTuple):
    """Questions in ascending order of id; a text is its position in `texts`."""

    texts: pa.LargeStringArray  # distinct, folded, each closed by a line end
    numbers: Ints  # of each text: equal where the numbers that stand in it are
    kinds: Ints
    fields: _Lists
    options: _Lists  # distinct within a row, ascending
    answers: _Lists  # lines, likewise


def _starts(counts: Ints | Bools) -> Ints:
    """Where each of some consecutive runs starts, and where the last ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """Concatenate range(start, start + count) of each pair."""
    shift = starts - (np.cumsum(counts) - counts)
    return np.repeat(shift, counts) + np.arange(counts.sum())


def _unique(values: Ints) -> Ints:
    """The distinct values in ascending order, by sorting: on large arrays faster than np.unique's hashing."""
    values = np.sort(values)
    new: Bools = np.diff(values, prepend=-1) != 0  # none is negative
    return values[new]


def _parallel(work: Callable[[T], R], parts: Iterable[T]) -> list[R]:
    """Results of `work` in the order of `parts`; numpy and Arrow let go of the interpreter's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, parts))


# ---- reading: rows -> folded texts, those of all parts -> each known by a number ----


def read(rows: pa.Table) -> Read:
    """Fold the texts of some rows, the part of the work that needs no other rows.

    `rows` has `id` (string, unique), `kind` (string: only rows of one kind are compared), `fields`
    (list<string>), `options` (list<string>, in no order, may be empty) and `answer` (string; its lines
    have no order).
    """
    columns = [rows["fields"], rows["options"], pc.split_pattern(rows["answer"].fill_null(""), "\n")]
    chunks = [chunk for column in columns for chunk in pc.list_flatten(column).chunks]
    chunks = [chunk.cast(pa.large_string()).fill_null("") for chunk in chunks]
    raw = pa.chunked_array(chunks, pa.large_string()).dictionary_encode().combine_chunks()
    slices = [raw.dictionary.slice(at, _CHUNK) for at in range(0, len(raw.dictionary), _CHUNK)]
    folded = [_fold(texts) for texts in slices]  # two threads wait for each other: no gain, a fifth more work
    texts, numbers = (pa.chunked_array([pair[side] for pair in folded], pa.large_string()) for side in (0, 1))
    values = raw.indices.to_numpy().astype(np.int64)
    lists = []
    for column in columns:
        starts = _starts(pc.list_value_length(column).fill_null(0).to_numpy().astype(np.int64))
        lists.append(_Lists(values[: starts[-1]], starts))
        values = values[starts[-1] :]
    return Read(rows["id"], rows["kind"], texts, numbers, *lists)


def _joined(parts: Sequence[Read], order: Ints) -> _Content:
    """The rows of all parts in the given order; what is one text in two parts gets one number."""
    texts = _chained([part.texts for part in parts], pa.large_string()).dictionary_encode().combine_chunks()
    text_of = texts.indices.to_numpy().astype(np.int64)
    number_of = np.zeros(len(texts.dictionary), np.int64)
    number_of[text_of] = _numbered(_chained([part.numbers for part in parts], pa.large_string()))
    firsts = _starts(np.array([len(part.texts) for part in parts]))[:-1]

    def chained(lists: Sequence[_Lists]) -> _Lists:
        values = [of_part.values + first for of_part, first in zip(lists, firsts, strict=True)]
        counts = [of_part.counts() for of_part in lists]
        return _Lists(text_of[np.concatenate(values)], _starts(np.concatenate(counts))).take(order)

    fields = chained([part.fields for part in parts])
    options = _distinct(chained([part.options for part in parts]), len(number_of))
    answers = _distinct(chained([part.answers for part in parts]), len(number_of))
    kinds = _numbered(_chained([part.kinds for part in parts], pa.string()))[order]
    return _Content(texts.dictionary, number_of, kinds, fields, options, answers)


def _chained(columns: Iterable[pa.ChunkedArray], kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], kind)


def _numbered(column: pa.ChunkedArray) -> Ints:
    """A number for each distinct string."""
    numbers: Ints = column.dictionary_encode().combine_chunks().indices.to_numpy().astype(np.int64)
    return numbers


def _distinct(lists: _Lists, limit: int) -> _Lists:
    """Each row's distinct values in ascending order; all values are below `limit`."""
    rows, values = np.divmod(_unique(lists.rows() * limit + lists.values), limit)
    return _Lists(values, _starts(np.bincount(rows, minlength=len(lists.starts) - 1)))


_FOREIGN_MARKS = (
    "[\u00a1\u00a7\u00ab\u00ad\u00b6\u00b7\u00bb\u00bf\u060c\u061b\u061f\u2000-\u206f"
    "\u3000-\u3003\u3008-\u3020\u3030\u30fb\ufe00-\ufe0f\ufeff]"
)
"""Punctuation, spaces and invisible marks beyond ASCII, as they are after NFKC."""

_CODES = np.arange(256, dtype=np.uint8)
_END, _SPACE = ord("\n"), ord(" ")
_BLANK = (_CODES < 33) | (_CODES == 127) | np.isin(_CODES, list(b"!\"&'()*,-./:;?@[\\]_`{|}~"))
_UPPER = np.isin(_CODES, list(string.ascii_uppercase.encode()))
_FOLDED = np.where(_BLANK, _SPACE, _CODES + 32 * _UPPER).astype(np.uint8)
"""What each byte becomes. Signs that change a meaning stay: + % # $ = < > ^ and all beyond ASCII."""

_DIGIT = np.isin(_CODES, list(string.digits.encode()))
_LETTER = np.isin(_FOLDED, list(string.ascii_lowercase.encode())) | (_CODES > 127)
_NUMBER_MARK = np.isin(_CODES, list(b"-.,:/*"))
_NUMERIC = np.where(_DIGIT | _NUMBER_MARK | (_CODES == _END), _CODES, _SPACE).astype(np.uint8)


def _through(table: npt.NDArray[Byte], data: Bytes) -> npt.NDArray[Byte]:
    """`table[data]`, without the 8 bytes of index a byte that numpy would make."""
    return np.frombuffer(bytearray(data).translate(table.tobytes()), table.dtype)


def _fold(texts: pa.LargeStringArray) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Fold case, width, spaces and punctuation; give the texts, and the numbers that stand in each.

    Both are closed by a line end. A text that is nothing but punctuation stays as it is.
    """
    foreign = pc.invert(pc.string_is_ascii(texts))
    if pc.any(foreign).as_py():
        plain = [unicodedata.normalize("NFKC", text).casefold() for text in texts.filter(foreign).to_pylist()]
        plain = pc.replace_substring_regex(pa.array(plain, pa.large_string()), _FOREIGN_MARKS, " ")
        texts = pc.replace_with_mask(texts, foreign, plain)
    end, nothing = pa.scalar("\n", pa.large_string()), pa.scalar("", pa.large_string())
    closed = pc.binary_join_element_wise(pc.utf8_trim_whitespace(texts), end, nothing)
    offsets, raw = _buffers(closed)
    folded = _through(_FOLDED, raw)
    _keep_number_marks(raw, folded)
    folded[offsets[1:] - 1] = _END
    result = _squeezed(folded)
    empty = pc.equal(pc.binary_length(result), 1)
    if pc.any(empty).as_py():
        result = pc.if_else(empty, closed, result)
    return result, _squeezed(_through(_NUMERIC, folded))


def _buffers(texts: pa.LargeStringArray) -> tuple[Ints, Bytes]:
    """Offsets and bytes of an array that is no slice of another."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[: len(texts) + 1]
    return ends, np.frombuffer(data or b"", np.uint8)[: ends[-1]]


def _keep_number_marks(raw: Bytes, folded: Bytes) -> None:
    """Put back into `folded` the marks of `raw` that belong to a number, as in 1.5, 1/2 or -5.

    A dash counts where a digit follows and no letter precedes. A comma becomes a point.
    """
    at = np.flatnonzero(_through(_NUMBER_MARK, raw))
    mark, before, after = raw[at], raw[at - 1], raw[at + 1]
    kept = _DIGIT[after] & np.where(mark == ord("-"), ~_LETTER[before], _DIGIT[before])
    folded[at[kept]] = np.where(mark == ord(","), ord("."), mark)[kept]


def _squeezed(text: Bytes) -> pa.LargeStringArray:
    """Lines as an array of strings: runs of spaces made one, none at either end of a line."""
    blank = text == _SPACE
    blank[:-1] &= text[1:] <= _SPACE  # the last of a run stays, unless the line ends there
    text = text[~blank]
    ends = np.flatnonzero(text == _END) + 1
    starts = np.concatenate([[0], ends[:-1]])
    indented = text[starts] == _SPACE
    text = np.delete(text, starts[indented])
    offsets = _starts(ends - starts - indented)
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))


# ---- exact repeats ----


def _exact(content: _Content) -> tuple[Ints, npt.NDArray[np.object_]]:
    """For each row the row that it repeats or contradicts, or -1; and the reason, or None."""
    asked = _mix(content.kinds, _hashed(content.fields), _hashed(content.options))
    answer = _hashed(content.answers)
    first_asked, group = _first(asked)
    first_same, _ = _first(_mix(asked, answer))
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
    reason[repeat] = _DUPLICATE
    reason[conflict] = _CONFLICT
    return of, reason


def _first(hashes: Hashes) -> tuple[Ints, Ints]:
    """For each hash the first place where it stands, and the number of its group."""
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    return first[group], group


def _mix(*columns: Ints | Hashes) -> Hashes:
    """Hash the rows of some columns to 64 bits, by the finaliser of splitmix64."""
    state = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        state += column.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return state


def _hashed(lists: _Lists) -> Hashes:
    """Hash of each list; the order of its values counts."""
    place = np.arange(len(lists.values)) - lists.starts[:-1][lists.rows()]
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mix(lists.values, place), dtype=np.uint64)])
    return _mix(total[lists.starts[1:]] - total[lists.starts[:-1]], lists.counts())


# ---- near repeats: candidates, then the check ----


def _near(content: _Content, rows: Ints, near: float) -> dict[int, int]:
    """Each of `rows` (ascending) that is near a smaller one that stays, and the smallest such row.

    Should a removal change which texts are boilerplate, the search starts again with what is known, so
    that it ends where a search among the rows that stay would find nothing.
    """
    pairs = np.zeros(0, np.int64)
    boilerplate = _boilerplate(content, rows)
    while True:
        pairs = _search(content, rows, boilerplate, pairs, near)
        gone = _first_kept(pairs, len(content.kinds))
        before, boilerplate = boilerplate, _boilerplate(content, _without(rows, gone))
        if np.array_equal(before, boilerplate):
            return gone


def _search(content: _Content, rows: Ints, boilerplate: Ints, pairs: Ints, near: float) -> Ints:
    """Near pairs of `rows`, as smaller * number of rows + larger: `pairs`, and those found here.

    Where a bucket is too crowded to compare all with all, what is found makes room for more.
    """
    size = len(content.kinds)
    sketches = _sketches(content, rows, boilerplate)
    candidates, crowded = _candidates(sketches, size)
    seen = np.zeros(0, np.int64)
    while True:
        seen = np.concatenate([seen, candidates])
        pairs = np.union1d(pairs, candidates[_check(content, *np.divmod(candidates, size), near)])
        here = _without(crowded, _first_kept(pairs, size))
        candidates, _ = _candidates([sketch.take(np.isin(sketch.rows, here)) for sketch in sketches], size)
        candidates = candidates[~np.isin(candidates, seen, assume_unique=True)]
        if not len(candidates):
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


def _sketched(content: _Content, rows: Ints) -> _Lists:
    """The texts that rows are found by: fields and answer.

    These must be near by themselves, so leaving the options to the check loses nothing, and option
    lists shared by thousands of rows create no candidates.
    """
    fields, answers = content.fields.take(rows), content.answers.take(rows)
    values = np.insert(answers.values, np.repeat(answers.starts[:-1], fields.counts()), fields.values)
    return _Lists(values, fields.starts + answers.starts)


def _boilerplate(content: _Content, rows: Ints) -> Ints:
    """Codes of the texts that stand in more than 1 % of the rows of a kind, and in over 100."""
    size = len(content.numbers)
    codes = _codes(content, rows, _sketched(content, rows))
    often = np.bincount(codes % size, minlength=size) > 100
    found, counts = np.unique(codes[often[codes % size]], return_counts=True)
    share = np.bincount(content.kinds[rows], minlength=1)[found // size] / 100
    return found[counts > np.maximum(share, 100)]


def _codes(content: _Content, rows: Ints, lists: _Lists) -> Ints:
    """One number for each text in `lists` and the kind of its row."""
    return content.kinds[rows][lists.rows()] * len(content.numbers) + lists.values


class _Sketch(NamedTuple):
    """Where locality-sensitive hashing puts some rows: in one bucket of each band."""

    rows: Ints
    keys: Hashes  # (rows, bands): from the shingles alone
    block: Hashes  # equal where kind, number of fields and all numbers are; others cannot be near

    def take(self, which: Bools) -> "_Sketch":
        return _Sketch(self.rows[which], self.keys[which], self.block[which])


def _sketches(content: _Content, rows: Ints, boilerplate: Ints) -> list[_Sketch]:
    """Sketch `rows` for each range; a row with nothing to shingle is in none."""
    lists = _sketched(content, rows)
    lists = lists.where(~np.isin(_codes(content, rows, lists), boilerplate))
    parts = [np.arange(at, min(at + _CHUNK, len(rows))) for at in range(0, len(rows), _CHUNK)]
    least = np.concatenate(_parallel(lambda part: _minhash(content.texts, lists.take(part)), parts))
    lengths = np.diff(_starts(np.diff(_buffers(content.texts)[0])[lists.values])[lists.starts])
    block = _block(content, rows)
    sketches = []
    for shortest, longest, depth in RANGES:
        here = (lengths >= shortest) & (lengths <= longest) & (least[:, 0] < _NOTHING)
        bands = least[here].reshape(-1, HASHES // depth, depth)
        sketches.append(_Sketch(rows[here], bands.astype(np.uint64) @ _WEIGHTS[:depth], block[here]))
    return sketches


def _block(content: _Content, rows: Ints) -> Hashes:
    fields, options, answers = (
        _Lists(content.numbers[lists.values], lists.starts)
        for lists in (content.fields.take(rows), content.options.take(rows), content.answers.take(rows))
    )
    limit = len(content.numbers)
    sets = _hashed(_distinct(options, limit)), _hashed(_distinct(answers, limit))
    return _mix(content.kinds[rows], _hashed(fields), *sets)


_WEIGHTS = np.random.default_rng(SEED).integers(2**63, size=4, dtype=np.uint64) * 2 + 1
_PACK = struct.Struct(f"={HASHES}I").pack
_NOTHING = 2**32 - 1  # least hash of a row without a shingle


def _minhash(texts: pa.LargeStringArray, lists: _Lists) -> npt.NDArray[np.uint32]:
    """Least values of the shingles of each row under HASHES hash functions: (rows, HASHES)."""
    hashes, offsets = _shingles(texts.take(pa.array(lists.values)), lists.starts)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        hashes.astype(np.uint64), offsets.astype(np.uint64), HASHES, SEED
    )
    packed = b"".join([_PACK(*row) for row in matrix.to_rows()])  # half of what numpy takes to read the lists
    return np.frombuffer(packed, np.uint32).reshape(-1, HASHES)


def _shingles(texts: pa.LargeStringArray, starts: Ints) -> tuple[npt.NDArray[np.uint32], Ints]:
    """Hashes of the shingles of `texts`, and where those of each row start and the last end.

    A row has the texts from `starts`. A shingle may hold the line end before its text or the one behind
    it. Of a row with more than SAMPLE, those with hashes below a bound are kept that moves smoothly with
    their number, so that near rows keep the same.
    """
    offsets, data = _buffers(texts)
    framed = np.full(len(data) + 8, _END, np.uint8)
    framed[1 : len(data) + 1] = data
    runs = np.empty(len(data), np.uint32)
    for shift in range(SHINGLE):
        places = len(runs[shift::SHINGLE])
        runs[shift::SHINGLE] = framed[shift : shift + SHINGLE * places].view(np.uint32)
    hashes = _scattered(runs)
    counts = np.diff(_starts(np.maximum(np.diff(offsets) + 2 - SHINGLE, 0))[starts])
    bounds = SAMPLE / np.maximum(counts, SAMPLE) * (2**32 - 1)
    kept = hashes <= np.repeat(bounds.astype(np.uint32), np.diff(offsets[starts]))
    for back in range(1, SHINGLE - 1):  # a shingle from here would reach into the next text
        kept[np.maximum(offsets[1:] - back, 0)] = False
    at = np.flatnonzero(kept)
    return hashes[at], np.searchsorted(at, offsets[starts])


def _scattered(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Hash each to 32 bits, one to one, by the finaliser of MurmurHash3."""
    values = (values ^ values >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    values = (values ^ values >> np.uint32(13)) * np.uint32(0xC2B2AE35)
    return values ^ values >> np.uint32(16)


def _candidates(sketches: list[_Sketch], limit: int) -> tuple[Ints, Ints]:
    """Pairs of rows that share a bucket, as smaller * limit + larger; and the rows in crowded buckets.

    In a bucket with more than WINDOW others each row meets the WINDOW next to it, in the order of the
    keys that the bucket's rows have in the following band, then of the rows.
    """
    bands = [(sketch, band, limit) for sketch in sketches for band in range(sketch.keys.shape[1])]
    found = _parallel(lambda band: _in_band(*band), bands)
    pairs, crowded = (_unique(np.concatenate(parts)) for parts in zip(*found, strict=True))
    return pairs, crowded


def _in_band(sketch: _Sketch, band: int, limit: int) -> tuple[Ints, Ints]:
    key = sketch.keys[:, band] ^ sketch.block
    order = np.argsort(key)
    in_order = key[order]
    alike = in_order[1:] == in_order[:-1]
    shared = np.zeros(len(order), bool)
    shared[1:] |= alike
    shared[:-1] |= alike
    order = order[shared]
    following = sketch.keys[order, (band + 1) % sketch.keys.shape[1]]
    order = order[np.lexsort((sketch.rows[order], following, key[order]))]
    key, row = key[order], sketch.rows[order]
    pairs = [np.zeros(0, np.int64)]
    for step in range(1, min(WINDOW, len(row) - 1) + 1):
        alike = key[step:] == key[:-step]
        one, other = row[:-step][alike], row[step:][alike]
        pairs.append(np.minimum(one, other) * limit + np.maximum(one, other))
    beyond = key[WINDOW + 1 :][key[WINDOW + 1 :] == key[: -WINDOW - 1]]
    return np.concatenate(pairs), row[np.isin(key, beyond)] if len(beyond) else row[:0]


def _check(content: _Content, one: Ints, other: Ints, near: float) -> Ints:
    """Places of the candidate pairs of rows that are near by definition."""
    places = np.arange(len(one))
    fields = content.fields
    for field in range(fields.counts().max()):
        has = fields.counts()[one[places]] > field  # both have as many, by their block
        ours, theirs = (fields.values[fields.starts[rows[places[has]]] + field] for rows in (one, other))
        alike = ~has
        alike[has] = _near_texts(content, ours, theirs, near)
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


def _near_sets(content: _Content, ours: _Lists, theirs: _Lists, near: float) -> Bools:
    """Whether each text of each list has a near one in its counterpart, both ways."""
    facing = np.repeat(theirs.counts(), ours.counts())  # texts of theirs for each of ours
    left = np.repeat(np.arange(len(ours.values)), facing)
    right = _ranges(np.repeat(theirs.starts[:-1], ours.counts()), facing)
    alike = _near_texts(content, ours.values[left], theirs.values[right], near)
    whole = np.ones(len(ours.starts) - 1, bool)
    for lists, at in ((ours, left), (theirs, right)):
        alone = np.bincount(at[alike], minlength=len(lists.values)) == 0
        whole[lists.rows()[alone]] = False
    return whole


def _near_texts(content: _Content, one: Ints, other: Ints, near: float) -> Bools:
    """Whether each pair of texts is near; each distinct pair is looked at once."""
    alike: Bools = one == other
    open_ = np.flatnonzero(~alike & (content.numbers[one] == content.numbers[other]))
    size = len(content.numbers)
    codes, back = np.unique(
        np.minimum(one, other)[open_] * size + np.maximum(one, other)[open_], return_inverse=True
    )
    used, flat = np.unique(np.concatenate(np.divmod(codes, size)), return_inverse=True)
    places = flat.reshape(2, -1)
    texts = [text[:-1] for text in content.texts.take(pa.array(used)).to_pylist()]
    close = _similar(texts, places, near) | _similar([_in_order(text) for text in texts], places, near)
    for at in np.flatnonzero(close).tolist():
        close[at] = _same_words(*sorted(texts[place] for place in places[:, at]))  # in any order the same
    alike[open_] = close[back]
    return alike


def _similar(texts: list[str], places: Ints, near: float) -> Bools:
    """Whether the texts at each pair of places, (2, pairs), are as similar as `near`."""
    one, other = ([texts[place] for place in row] for row in places.tolist())
    close: Bools = process.cpdist(one, other, scorer=fuzz.ratio, score_cutoff=100 * near, workers=-1) > 0
    return close


def _in_order(text: str) -> str:
    return " ".join(sorted(text.split()))


_WORD = re.compile(r"[ぁ-ゖ]+|[ァ-ヺー]+|[㐀-鿿々]+|[^\sぁ-ゖァ-ヺー㐀-鿿々]+")  # Japanese changes script


def _same_words(one: str, other: str) -> bool:
    """Whether no word gives way to an unlike one, and at most one in eight is missing."""
    ours, theirs = _words(one), _words(other)
    missing = max(len(ours), len(theirs)) // 8
    ours, theirs = _unmatched(*_unmatched(ours, theirs, str.__eq__), _misspelt)
    if ours and theirs:
        return _misspelt("".join(ours), "".join(theirs))
    return len(ours) + len(theirs) <= missing


def _words(text: str) -> list[str]:
    return text.split() if text.isascii() else _WORD.findall(text)


def _unmatched(
    ours: list[str], theirs: list[str], match: Callable[[str, str], bool]
) -> tuple[list[str], list[str]]:
    """The words left of both lists when each is crossed out with the first that matches in the other."""
    left, theirs = [], list(theirs)
    for word in ours:
        for place, twin in enumerate(theirs):
            if match(word, twin):
                del theirs[place]
                break
        else:
            left.append(word)
    return left, theirs


def _misspelt(one: str, other: str) -> bool:
    """Whether one word is the other with a typo: one for 3 letters or more, two for 7, three for 11."""
    allowed = (max(len(one), len(other)) + 1) // 4
    return OSA.distance(one, other, score_cutoff=allowed) <= allowed
