"""Similarity of pairs of texts, by their edit distance, their numbers and their words."""

import itertools
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from datagen.dedup.content import Content
from datagen.dedup.ragged import Bools, Ints


def near_texts(content: Content, one: Ints, other: Ints, near: float) -> Bools:
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
    close = _similar(texts, places, near)
    apart = np.flatnonzero(~close)
    far = places[:, apart]
    in_order = {place: _in_order(texts[place]) for place in np.unique(far).tolist()}
    close[apart] = _similar(in_order, far, near)
    at = np.flatnonzero(close)
    ours, theirs = ([texts[place] for place in row] for row in places[:, at].tolist())
    close[at] = [  # in any order the same
        _same_words(one, other) if one < other else _same_words(other, one)
        for one, other in zip(ours, theirs, strict=True)
    ]
    alike[open_] = close[back]
    return alike


def _similar(texts: list[str] | dict[int, str], places: Ints, near: float) -> Bools:
    """Whether the texts at each pair of places, (2, pairs), are as similar as `near`."""
    one, other = ([texts[place] for place in row] for row in places.tolist())
    close: Bools = process.cpdist(one, other, scorer=fuzz.ratio, score_cutoff=100 * near, workers=-1) > 0
    return close


def _in_order(text: str) -> str:
    return " ".join(sorted(text.split()))


_WORD = re.compile(r"[ぁ-ゖ]+|[ァ-ヺー]+|[㐀-鿿々]+|[^\sぁ-ゖァ-ヺー㐀-鿿々]+")  # Japanese changes script
_PIECE = re.compile(r"\d[\d.,:/*&-]*|[ぁ-ゖ]+|[ァ-ヺー]+|[㐀-鿿々]+|[^\s\dぁ-ゖァ-ヺー㐀-鿿々]+")
"""Numbers are pieces of their own, so that 20 cm and 20cm are the same."""

_EXACT = re.compile(r"x*[sml]|[ivx]+|(.)\1+|[\d㐀-鿿々].*")
"""Sizes, Roman numbers, AA, numbers and Japanese characters: another letter is another thing, no typo."""

_DIGIT = re.compile(r"\d")

_SHORT = 3
"""Letters of a unit or of a model's name written together with a number, of which none may differ."""


def _same_words(one: str, other: str) -> bool:
    """Whether no word gives way to an unlike one, and at most one in eight is missing."""
    mine, yours = _told(one), _told(other)
    if mine.once and yours.once:  # most pairs of neighbours: one word each, another one
        our, their = mine.once - yours.once, yours.once - mine.once
        if len(our) == len(their) == 1:
            (word,), (twin,) = our, their
            both = (word in mine.exact or word in yours.exact) and (twin in mine.exact or twin in yours.exact)
            return not both and _misspelt(word, twin)
    ours, theirs = _beyond(mine, yours), _beyond(yours, mine)
    exact = mine.exact | yours.exact
    ours, theirs = _unmatched(ours, theirs, lambda a, b: not exact.issuperset((a, b)) and _misspelt(a, b))
    if ours and theirs:
        one, other = "".join(ours), "".join(theirs)
        return one == other if exact.issuperset(ours + theirs) else _misspelt(one, other)
    missing = max(mine.words, yours.words) // 8
    return (mine.needed | yours.needed).isdisjoint(ours + theirs) and len(ours) + len(theirs) <= missing


class _Told(NamedTuple):
    """What a text says: its pieces, how many words, and the pieces that are no matter of spelling."""

    pieces: list[str]
    counts: dict[str, int]  # of each piece
    once: frozenset[str]  # all pieces, where none is there twice
    words: int
    exact: frozenset[str]  # no letter may differ
    needed: frozenset[str]  # may not be missing either


def _words(text: str) -> list[str]:
    return text.split() if text.isascii() else _WORD.findall(text)


@lru_cache(20_000)  # a text has many neighbours in a crowded bucket
def _told(text: str) -> _Told:
    """Read a text. Needed beside a number are signs, and what is written together with it: 5%, 5 %, A4."""
    if text.isascii() and not _DIGIT.search(text):
        words = text.split()
        return _as_told(words, len(words), {word for word in words if _is_exact(word)}, set())
    exact, needed = set(), set()
    pieces = [*_PIECE.finditer(text), None]
    number = -1
    for match, following in itertools.pairwise(pieces):
        assert match
        piece, start = match[0], match.start()
        if _is_exact(piece):
            exact.add(piece)
        if piece[0].isdecimal():
            number = match.end()
            continue
        behind = start - number if number >= 0 else 2
        ahead = following is not None and following.start() == match.end() and following[0][0].isdecimal()
        if behind < 2 or ahead:
            sign = not any(map(str.isalpha, piece.strip("\u02b9\u02ba")))
            together = behind == 0 or ahead
            if sign or len(piece) <= _SHORT - (not together):
                exact.add(piece)
                if sign or together:
                    needed.add(piece)
        number = -1
    found = [match[0] for match in pieces if match]
    return _as_told(found, len(_words(text)), exact, needed)


def _as_told(pieces: list[str], words: int, exact: set[str], needed: set[str]) -> _Told:
    counts: dict[str, int] = {}
    for piece in pieces:
        counts[piece] = counts.get(piece, 0) + 1
    once = frozenset(counts if len(counts) == len(pieces) else ())
    return _Told(pieces, counts, once, words, frozenset(exact), frozenset(needed))


@lru_cache(20_000)
def _is_exact(piece: str) -> bool:
    return _EXACT.fullmatch(piece) is not None


def _beyond(ours: _Told, theirs: _Told) -> list[str]:
    """Our pieces without those that theirs have, as often as they have them."""
    more, left = theirs.counts.copy(), []
    for piece in ours.pieces:
        if more.get(piece):
            more[piece] -= 1
        else:
            left.append(piece)
    return left


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
