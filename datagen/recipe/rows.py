"""Whole rows, shared out in proportion."""

from collections.abc import Sequence


def share(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to `weights`, each at least 1; their sum is `total` if that is enough.

    By largest remainder; what the smallest ones need to reach 1 is taken from the largest.
    """
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [max(1, int(part)) for part in exact]
    nearest = sorted(range(len(counts)), key=lambda i: (counts[i] - exact[i], i))
    for i in nearest[: max(0, total - sum(counts))]:
        counts[i] += 1
    while sum(counts) > max(total, len(counts)):
        counts[counts.index(max(counts))] -= 1
    return counts
