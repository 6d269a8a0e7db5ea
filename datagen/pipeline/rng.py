"""The random number generator of one row, seeded by a text.

`random.Random` would do, but it takes 8 microseconds to seed, ten times what a row's choices cost,
and its `shuffle` may change between Python versions, which would change every shard.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, TypeVar

T = TypeVar("T")

BITS = 512
"""Shuffling 20 candidates takes 61 bits, so what is left makes every choice uniform to one in 2**400."""


class Dice:
    """Random choices from a hash of `text`. The hash is one large number; each choice takes a digit of it."""

    __slots__ = ("_left",)

    def __init__(self, text: str) -> None:
        self._left = int.from_bytes(blake2b(text.encode(), digest_size=BITS // 8).digest(), "big")

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1."""
        self._left, digit = divmod(self._left, n)
        return digit

    def choice(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def shuffle(self, items: list[Any]) -> None:
        """Put the items in a random order, in place (Fisher and Yates)."""
        left = self._left
        for last in range(len(items) - 1, 0, -1):
            left, other = divmod(left, last + 1)
            items[last], items[other] = items[other], items[last]
        self._left = left
