"""Normalization of texts before they are compared: case, width, spaces, punctuation, and their numbers."""

import re
import string
import unicodedata
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datagen.dedup.ragged import Ints, starts_of

Bytes = npt.NDArray[np.uint8]
Byte = TypeVar("Byte", np.uint8, np.bool_)

_FOREIGN_MARKS = (
    "[\u00a1\u00a7\u00ab\u00ad\u00b6\u00b7\u00bb\u00bf\u060c\u061b\u061f\u2000-\u206f"
    "\u3000-\u3003\u3008-\u3020\u3030\u30fb\ufe00-\ufe0f\ufeff]"
)
"""Punctuation, spaces and invisible marks beyond ASCII, as they are after NFKC."""

_MARKED = r"""\d['"]|\d +[-&/*] +\d"""
"""ASCII whose marks need a look at what is around them."""

_BETWEEN = re.compile(r"(?<=\d) +([-&/*‐‒–—−]) +(?=\d)|[‐‒–—−](?=\d)|×(?= *\d)")
_DASHES = str.maketrans("‐‒–—−×", "-----x")
_PRIMES = re.compile(r"""(?<=\d)(?:(?P<inch>''|["”″]|[’′]{2})|['’′])(?![^\W\dx_]|x(?! *\d))""")
_OPENED = re.compile(r"""(?<!\S)(?:(?P<inch>["“„])|['‘‚])(?=\w)""")
_CLOSED = re.compile(r"""(?<![\s\d])(?:(?P<inch>["”])|['’])(?!\w)""")
_FOOT, _INCH = "\u02b9", "\u02ba"
"""Feet and inches as letters that no text has, so that they stay: quotes go."""

_FRACTION = re.compile("(?<=\\d)(?=[\u00bc-\u00be\u2150-\u215e\u2189])")
_EXPONENT = re.compile("(?<=\\d)(?=[\u00b2\u00b3\u00b9\u2070-\u2079\u207b])")

_CODES = np.arange(256, dtype=np.uint8)
END, _SPACE = ord("\n"), ord(" ")
_BLANK = (_CODES < 33) | (_CODES == 127) | np.isin(_CODES, list(b"!\"&'()*,-./:;?@[\\]_`{|}~"))
_UPPER = np.isin(_CODES, list(string.ascii_uppercase.encode()))
_FOLDED = np.where(_BLANK, _SPACE, _CODES + 32 * _UPPER).astype(np.uint8)
"""The byte that each byte becomes. Signs that change a meaning stay: + % # $ = < > ^ and all beyond ASCII."""

_DIGIT = np.isin(_CODES, list(string.digits.encode()))
_LETTER = np.isin(_FOLDED, list(string.ascii_lowercase.encode())) | (_CODES > 127)
_NUMBER_MARK = np.isin(_CODES, list(b"-.,:/*&"))
_NUMERIC = np.where(_DIGIT | _NUMBER_MARK | (_CODES == END), _CODES, _SPACE).astype(np.uint8)


def _through(table: npt.NDArray[Byte], data: Bytes) -> npt.NDArray[Byte]:
    """`table[data]`, without the 8 bytes of index a byte that numpy would make."""
    return np.frombuffer(bytearray(data).translate(table.tobytes()), table.dtype)


def fold(texts: pa.LargeStringArray) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Fold case, width, spaces and punctuation; give the texts, and the numbers that stand in each.

    Both are closed by a line end. A text that is nothing but punctuation stays as it is.
    """
    foreign = pc.or_(pc.invert(pc.string_is_ascii(texts)), pc.match_substring_regex(texts, _MARKED))
    if pc.any(foreign).as_py():
        plain = [_plain(text) for text in texts.filter(foreign).to_pylist()]
        plain = pc.replace_substring_regex(pa.array(plain, pa.large_string()), _FOREIGN_MARKS, " ")
        texts = pc.replace_with_mask(texts, foreign, plain)
    end, nothing = pa.scalar("\n", pa.large_string()), pa.scalar("", pa.large_string())
    closed = pc.binary_join_element_wise(pc.utf8_trim_whitespace(texts), end, nothing)
    offsets, raw = buffers_of(closed)
    folded = _through(_FOLDED, raw)
    _keep_number_marks(raw, folded)
    folded[offsets[1:] - 1] = END
    result = _squeezed(folded)
    empty = pc.equal(pc.binary_length(result), 1)
    if pc.any(empty).as_py():
        result = pc.if_else(empty, closed, result)
    return result, _squeezed(_through(_NUMERIC, folded))


def _plain(text: str) -> str:
    """One width and case, and what stands behind and between numbers in ASCII, but for feet and inches."""
    if not text.isascii():
        text = _FRACTION.sub(" ", _EXPONENT.sub("^", text))  # else 1½ is 11/2, and 10² is 102
        text = unicodedata.normalize("NFKC", text).casefold().replace("\u2044", "/")
    text = _BETWEEN.sub(lambda match: (match[1] or match[0]).translate(_DASHES), text)
    if not _PRIMES.search(text):
        return text
    closing = _closing(text)
    return _PRIMES.sub(
        lambda match: match[0] if match.start() in closing else _INCH if match["inch"] else _FOOT, text
    )


def _closing(text: str) -> set[int]:
    """Where the last mark behind a number closes a quote that nothing else closes: "size 5"."""
    found = set()
    for inch in (True, False):
        places = [
            [match.start() for match in pattern.finditer(text) if bool(match["inch"]) is inch]
            for pattern in (_OPENED, _PRIMES, _CLOSED)
        ]
        opened, primes, closed = places
        if primes and opened and opened[-1] < primes[-1] and not (closed and closed[-1] > opened[-1]):
            found.add(primes[-1])
    return found


def buffers_of(texts: pa.LargeStringArray) -> tuple[Ints, Bytes]:
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
    ends = np.flatnonzero(text == END) + 1
    starts = np.concatenate([[0], ends[:-1]])
    indented = text[starts] == _SPACE
    text = np.delete(text, starts[indented])
    offsets = starts_of(ends - starts - indented)
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))
