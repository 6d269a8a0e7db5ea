"""Ragged arrays: lists of numbers, one a row, in two flat arrays, and operations on all of them at once."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]


class Lists(NamedTuple):
    """Lists of numbers, one a row: row i holds `values[starts[i]:starts[i + 1]]`."""

    values: Ints
    starts: Ints

    def counts(self) -> Ints:
        """The length of each list."""
        return np.diff(self.starts)

    def rows(self) -> Ints:
        """The row of each value."""
        return np.repeat(np.arange(len(self.starts) - 1), self.counts())

    def take(self, rows: Ints) -> "Lists":
        """The lists of some rows, in their order."""
        counts = self.starts[rows + 1] - self.starts[rows]
        return Lists(self.values[ranges(self.starts[rows], counts)], starts_of(counts))

    def where(self, told: Bools) -> "Lists":
        """The lists without the values that are not `told`."""
        return Lists(self.values[told], starts_of(told)[self.starts])


def starts_of(counts: Ints | Bools) -> Ints:
    """Where each of some consecutive runs starts, and where the last ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def ranges(starts: Ints, counts: Ints) -> Ints:
    """Concatenate range(start, start + count) of each pair."""
    shift = starts - (np.cumsum(counts) - counts)
    return np.repeat(shift, counts) + np.arange(counts.sum())


def sorted_unique(values: Ints) -> Ints:
    """The distinct values in ascending order, by sorting: on large arrays faster than np.unique's hashing."""
    values = np.sort(values)
    new: Bools = np.diff(values, prepend=-1) != 0  # none is negative
    return values[new]


def distinct(lists: Lists, limit: int) -> Lists:
    """Each row's distinct values in ascending order; all values are below `limit`."""
    rows, values = np.divmod(sorted_unique(lists.rows() * limit + lists.values), limit)
    return Lists(values, starts_of(np.bincount(rows, minlength=len(lists.starts) - 1)))


def first_places(hashes: Hashes) -> tuple[Ints, Ints]:
    """For each hash the first place where it stands, and the number of its group."""
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    return first[group], group


def mixed(*columns: Ints | Hashes) -> Hashes:
    """Hash the rows of some columns to 64 bits, by the finaliser of splitmix64."""
    state = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        state += column.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return state


def hashed(lists: Lists) -> Hashes:
    """Hash of each list; the order of its values counts."""
    place = np.arange(len(lists.values)) - lists.starts[:-1][lists.rows()]
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed(lists.values, place), dtype=np.uint64)])
    return mixed(total[lists.starts[1:]] - total[lists.starts[:-1]], lists.counts())
