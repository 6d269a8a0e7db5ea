"""MinHash over byte shingles in locality-sensitive bands: the candidate pairs for near-duplicates.

Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3.
"""

import os
import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rensa import RMinHash  # not in the threads that use it: Ctrl-C in an import may leave its lock held

from datagen.dedup.content import Content
from datagen.dedup.normalize import END, buffers_of
from datagen.dedup.ragged import Bools, Hashes, Ints, Lists, distinct, hashed, mixed, sorted_unique, starts_of

T = TypeVar("T")
R = TypeVar("R")

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

_CHUNK = 2048  # rows that a thread works on at a time: their arrays fit the cache
_WEIGHTS = np.random.default_rng(SEED).integers(2**63, size=4, dtype=np.uint64) * 2 + 1
_PACK = struct.Struct(f"={HASHES}I").pack
_NOTHING = 2**32 - 1  # least hash of a row without a shingle


class Sketch(NamedTuple):
    """The buckets of some rows in locality-sensitive hashing: one in each band."""

    rows: Ints
    keys: Hashes  # (rows, bands): from the shingles alone
    block: Hashes  # equal where kind, number of fields and all numbers are; others cannot be near

    def take(self, which: Bools) -> "Sketch":
        """The sketch of some of the rows."""
        return Sketch(self.rows[which], self.keys[which], self.block[which])


def sketch(content: Content, rows: Ints, boilerplate: Ints) -> list[Sketch]:
    """Sketch `rows` for each range; a row with nothing to shingle is in none."""
    lists = _sketched(content, rows)
    lists = lists.where(~np.isin(_codes(content, rows, lists), boilerplate))
    parts = [np.arange(at, min(at + _CHUNK, len(rows))) for at in range(0, len(rows), _CHUNK)]
    least = np.concatenate(_parallel(lambda part: _minhash(content.texts, lists.take(part)), parts))
    lengths = np.diff(starts_of(np.diff(buffers_of(content.texts)[0])[lists.values])[lists.starts])
    block = _block(content, rows)
    sketches = []
    for shortest, longest, depth in RANGES:
        here = (lengths >= shortest) & (lengths <= longest) & (least[:, 0] < _NOTHING)
        bands = least[here].reshape(-1, HASHES // depth, depth)
        sketches.append(Sketch(rows[here], bands.astype(np.uint64) @ _WEIGHTS[:depth], block[here]))
    return sketches


def boilerplate_of(content: Content, rows: Ints) -> Ints:
    """Codes of the texts that stand in more than 1 % of the rows of a kind, and in over 100."""
    size = len(content.numbers)
    codes = _codes(content, rows, _sketched(content, rows))
    often = np.bincount(codes % size, minlength=size) > 100
    found, counts = np.unique(codes[often[codes % size]], return_counts=True)
    share = np.bincount(content.kinds[rows], minlength=1)[found // size] / 100
    return found[counts > np.maximum(share, 100)]


def _sketched(content: Content, rows: Ints) -> Lists:
    """The texts that rows are found by: fields and answer.

    These must be near by themselves, so leaving the options to the check loses nothing, and option
    lists shared by thousands of rows create no candidates.
    """
    fields, answers = content.fields.take(rows), content.answers.take(rows)
    values = np.insert(answers.values, np.repeat(answers.starts[:-1], fields.counts()), fields.values)
    return Lists(values, fields.starts + answers.starts)


def _codes(content: Content, rows: Ints, lists: Lists) -> Ints:
    """One number for each text in `lists` and the kind of its row."""
    return content.kinds[rows][lists.rows()] * len(content.numbers) + lists.values


def _block(content: Content, rows: Ints) -> Hashes:
    fields, options, answers = (
        Lists(content.numbers[lists.values], lists.starts)
        for lists in (content.fields.take(rows), content.options.take(rows), content.answers.take(rows))
    )
    limit = len(content.numbers)
    sets = hashed(distinct(options, limit)), hashed(distinct(answers, limit))
    return mixed(content.kinds[rows], hashed(fields), *sets)


def _minhash(texts: pa.LargeStringArray, lists: Lists) -> npt.NDArray[np.uint32]:
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
    offsets, data = buffers_of(texts)
    framed = np.full(len(data) + 8, END, np.uint8)
    framed[1 : len(data) + 1] = data
    runs = np.empty(len(data), np.uint32)
    for shift in range(SHINGLE):
        places = len(runs[shift::SHINGLE])
        runs[shift::SHINGLE] = framed[shift : shift + SHINGLE * places].view(np.uint32)
    hashes = _scattered(runs)
    counts = np.diff(starts_of(np.maximum(np.diff(offsets) + 2 - SHINGLE, 0))[starts])
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


def candidates_of(sketches: list[Sketch], limit: int) -> tuple[Ints, Ints]:
    """Pairs of rows that share a bucket, as smaller * limit + larger; and the rows in crowded buckets.

    In a bucket with more than WINDOW others each row meets the WINDOW next to it, in the order of the
    keys that the bucket's rows have in the following band, then of the rows.
    """
    bands = [(sketch, band, limit) for sketch in sketches for band in range(sketch.keys.shape[1])]
    found = _parallel(lambda band: _in_band(*band), bands)
    pairs, crowded = (sorted_unique(np.concatenate(parts)) for parts in zip(*found, strict=True))
    return pairs, crowded


def candidates_anew(sketches: list[Sketch], limit: int, gone: set[int], changed: set[int]) -> Ints:
    """Such pairs of rows that are not `gone`, in those buckets alone that hold a `changed` row."""
    out, other = (np.fromiter(rows, np.int64, len(rows)) for rows in (gone, changed))
    here = [(sketch, ~np.isin(sketch.rows, out), np.isin(sketch.rows, other)) for sketch in sketches]

    def in_band(sketch: Sketch, left: Bools, new: Bools, band: int) -> Ints:
        key = sketch.keys[:, band] ^ sketch.block
        return _in_band(sketch.take(left & np.isin(key, key[new])), band, limit)[0]

    bands = [(*each, band) for each in here for band in range(each[0].keys.shape[1])]
    return sorted_unique(np.concatenate(_parallel(lambda each: in_band(*each), bands)))


def _in_band(sketch: Sketch, band: int, limit: int) -> tuple[Ints, Ints]:
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


def _parallel(work: Callable[[T], R], parts: Iterable[T]) -> list[R]:
    """Results of `work` in the order of `parts`; numpy and Arrow let go of the interpreter's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, parts))
