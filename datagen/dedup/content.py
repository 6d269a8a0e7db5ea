"""The content of questions as arrays: normalized texts, each with a number, and the rows that hold them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datagen.dedup.normalize import fold
from datagen.dedup.ragged import Ints, Lists, distinct, starts_of

_CHUNK = 2048  # texts that are folded at a time: their arrays fit the cache


class Read(NamedTuple):
    """Some questions as `read` leaves them; a text is its position in `texts`."""

    ids: pa.ChunkedArray
    kinds: pa.ChunkedArray
    texts: pa.ChunkedArray  # folded, each closed by a line end; few are there twice
    numbers: pa.ChunkedArray  # of each text: the numbers that stand in it
    fields: Lists
    options: Lists
    answers: Lists  # lines


class Content(NamedTuple):
    """Questions in ascending order of id; a text is its position in `texts`."""

    texts: pa.LargeStringArray  # distinct, folded, each closed by a line end
    numbers: Ints  # of each text: equal where the numbers that stand in it are
    kinds: Ints
    fields: Lists
    options: Lists  # distinct within a row, ascending
    answers: Lists  # lines, likewise


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
    folded = [fold(texts) for texts in slices]  # two threads wait for each other: no gain, a fifth more work
    texts, numbers = (pa.chunked_array([pair[side] for pair in folded], pa.large_string()) for side in (0, 1))
    values = raw.indices.to_numpy().astype(np.int64)
    lists = []
    for column in columns:
        starts = starts_of(pc.list_value_length(column).fill_null(0).to_numpy().astype(np.int64))
        lists.append(Lists(values[: starts[-1]], starts))
        values = values[starts[-1] :]
    return Read(rows["id"], rows["kind"], texts, numbers, *lists)


def joined(parts: Sequence[Read], order: Ints) -> Content:
    """The rows of all parts in the given order; what is one text in two parts gets one number."""
    texts = chain([part.texts for part in parts], pa.large_string()).dictionary_encode().combine_chunks()
    text_of = texts.indices.to_numpy().astype(np.int64)
    number_of = np.zeros(len(texts.dictionary), np.int64)
    number_of[text_of] = _numbered(chain([part.numbers for part in parts], pa.large_string()))
    firsts = starts_of(np.array([len(part.texts) for part in parts]))[:-1]

    def chained(lists: Sequence[Lists]) -> Lists:
        values = [of_part.values + first for of_part, first in zip(lists, firsts, strict=True)]
        counts = [of_part.counts() for of_part in lists]
        return Lists(text_of[np.concatenate(values)], starts_of(np.concatenate(counts))).take(order)

    fields = chained([part.fields for part in parts])
    options = distinct(chained([part.options for part in parts]), len(number_of))
    answers = distinct(chained([part.answers for part in parts]), len(number_of))
    kinds = _numbered(chain([part.kinds for part in parts], pa.string()))[order]
    return Content(texts.dictionary, number_of, kinds, fields, options, answers)


def chain(columns: Iterable[pa.ChunkedArray], kind: pa.DataType) -> pa.ChunkedArray:
    """The columns one after the other."""
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], kind)


def _numbered(column: pa.ChunkedArray) -> Ints:
    """A number for each distinct string."""
    numbers: Ints = column.dictionary_encode().combine_chunks().indices.to_numpy().astype(np.int64)
    return numbers
