"""The words of texts as numbers, and what each weighs: the less, the more prompts hold it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datagen.dedup.normalize import Bytes, buffers_of
from datagen.dedup.ragged import Ints, Lists, mixed, starts_of

Floats = npt.NDArray[np.float64]

BITS = 22
"""Of a word's number: among 100,000 words, one in forty shares its number with another."""

OFTEN, LEAST = 0.2, 0.5
"""Share of prompts from which a word weighs least, and what it weighs; a word of one in 1,000 weighs 5.3."""

FEW = 3
"""Questions that may share a word and all be about it; what more of them share is wording."""

_CHUNK = 4096  # texts that are cut at a time
_BASE = np.uint64(0x9E3779B97F4A7C15)
_BACK = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))


def words_of(texts: pa.LargeStringArray) -> Lists:
    """The words of folded texts, each a number below 1 << BITS; a plural's last s is cut off."""
    offsets, data = buffers_of(texts)

    def cut(start: int) -> Lists:
        ends = offsets[start : start + _CHUNK + 1]
        return _cut(data[ends[0] : ends[-1]], ends - ends[0])

    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(cut, range(0, len(texts), _CHUNK)))
    if not parts:
        return Lists(np.zeros(0, np.int64), np.zeros(1, np.int64))
    counts = np.concatenate([part.counts() for part in parts])
    return Lists(np.concatenate([part.values for part in parts]), starts_of(counts))


def _cut(data: Bytes, offsets: Ints) -> Lists:
    """Words between blanks; where characters have no blanks between them, each two neighbours."""
    blank = data <= 32
    lead = (data >= 0xE3) & (data <= 0xED)  # of three bytes: kana, kanji, hangul
    within = lead.copy()
    for step in (1, 2):
        within[step:] |= lead[:-step]
    letter = np.concatenate([[False], ~blank & ~within, [False]])
    edges = np.flatnonzero(letter[1:] != letter[:-1])
    starts, ends = edges[::2], edges[1::2]
    last, before = data[ends - 1], data[np.maximum(ends - 2, 0)]
    ends = ends - ((ends - starts > 3) & (last == ord("s")) & (before != ord("s")))
    if lead.any():
        at = np.flatnonzero(lead)
        follows = np.append(np.diff(at) == 3, False)
        alone = ~follows & ~np.append(False, follows[:-1])
        starts = np.concatenate([starts, at[follows], at[alone]])
        ends = np.concatenate([ends, at[follows] + 6, at[alone] + 3])
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], ends[order]
    return Lists(_hashed(data, starts, ends), np.searchsorted(starts, offsets))


def _hashed(data: Bytes, starts: Ints, ends: Ints) -> Ints:
    """A number for the bytes of each span, from the sums of a polynomial up to either end."""
    powers, inverse = (np.full(len(data) + 1, base, np.uint64) for base in (_BASE, _BACK))
    powers[0] = inverse[0] = 1
    powers, inverse = np.cumprod(powers), np.cumprod(inverse)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((data + np.uint64(1)) * powers[:-1])])
    hashes = mixed((sums[ends] - sums[starts]) * inverse[starts])
    return (hashes >> np.uint64(64 - BITS)).astype(np.int64)


def weights_of(in_prompts: Ints, prompts: int, in_questions: Ints, questions: int) -> Floats:
    """What each word weighs, by how many of the prompts and of the questions hold it."""
    share = np.maximum(in_prompts / max(prompts, 100), (in_questions - FEW) / max(questions, 100))
    rarest = 1 / max(prompts, questions, 1000)
    weights: Floats = np.maximum(np.log(OFTEN / np.maximum(share, rarest)), LEAST)
    return weights
