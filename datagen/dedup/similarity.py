"""Similarity of pairs of texts, by their edit distance, their numbers and their words."""

import re
from collections.abc import Callable

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
