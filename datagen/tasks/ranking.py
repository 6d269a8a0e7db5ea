"""Ranking: candidates with gains, answered by their numbers from best to worst, counted from 1.

The grader skips numbers above five, so a question has at most five candidates.
"""

import functools
import itertools
import math
from typing import Any

import pyarrow as pa

from datagen.errors import Reject
from datagen.tasks.question import (
    Columns,
    Constraint,
    Question,
    Shuffler,
    check_metric,
    free_slots,
    hidden,
    mean,
    numbered,
    numbers,
    options,
    present,
)

COLUMNS: tuple[Columns, ...] = ({"candidates": pa.list_(pa.string()), "gains": pa.list_(pa.float64())},)
SLOTS: tuple[str, ...] = ("listing", "count")
METRICS: tuple[str, ...] = ("ndcg",)

FEWEST, MOST = 2, 5
LARGEST_GAIN = 1000  # 2 ** gain must stay a float
_HIDDEN = hidden(*COLUMNS)


def build(row: dict[str, Any], rng: Shuffler) -> Question:
    """The question of one row, its candidates shuffled; the target is their gains as listed.

    Raises Reject.
    """
    texts, gains = present(row, "candidates"), present(row, "gains")
    if len(texts) < FEWEST:
        raise Reject("too_few_options")
    if len(texts) > MOST:
        raise Reject("too_many_options")
    if len(gains) != len(texts):
        raise Reject("gains_do_not_match_options")
    if None in gains:
        raise Reject("missing_value")
    gains = [float(gain) for gain in gains]
    if not all(0 <= gain <= LARGEST_GAIN for gain in gains):  # also NaN
        raise Reject("gain_out_of_range")
    if len(set(map(_worth, gains))) < 2:
        raise Reject("no_order")
    pairs = list(zip(options(texts), gains, strict=True))
    rng.shuffle(pairs)
    candidates = [text for text, _ in pairs]
    slots = free_slots(row, _HIDDEN)
    slots["listing"] = numbered(candidates, first=1)
    slots["count"] = len(candidates)
    return Question(slots, [gain for _, gain in pairs], METRICS[0], candidates)


def answer(question: Question) -> str:
    """All numbers by falling gain; candidates of equal gain in the order in which they are listed."""
    gains: list[float] = question.target
    best_first = sorted(range(len(gains)), key=gains.__getitem__, reverse=True)  # stable, reversed too
    return ",".join([str(index + 1) for index in best_first])


def gold_text(question: Question) -> str:
    """The candidates with their gains, best first: the answer whatever the order of the candidates."""
    pairs = sorted((-gain, text) for gain, text in zip(question.target, question.candidates, strict=True))
    return "\n".join([f"{-negative} {text}" for negative, text in pairs])


def parse(text: str) -> list[int]:
    """The first five numbers that are at most 5; nothing at all where one of them repeats."""
    first = [number for number in numbers(text) if number <= MOST][:MOST]
    return first if len(set(first)) == len(first) else []


def score(value: list[int], target: list[float], metric: str) -> float:
    """NDCG with gains 2^rel - 1 over log2(rank + 1), the ranks counted from 1.

    ShopBench's own number: a number past the end counts 0, and a number 0 wraps to the last gain
    (its index is -1). Only as many numbers are read as there are gains.
    """
    check_metric(metric, METRICS)
    ideal = _discounted(sorted(target, reverse=True))
    if not ideal:
        return 0.0
    found = [target[number - 1] if number <= len(target) else 0.0 for number in value[: len(target)]]
    return _discounted(found) / ideal


def overall(values: list[list[int]], targets: list[list[float]], metric: str) -> float:
    """A task's score: the mean NDCG of its questions."""
    return mean([score(value, target, metric) for value, target in zip(values, targets, strict=True)])


def constraint(question: Question) -> Constraint:
    """One of the orders that the candidates can have; where they are unknown, that five can have."""
    return _constraint(len(question.candidates))


@functools.cache
def _constraint(count: int) -> Constraint:
    digits = [str(number) for number in range(1, min(count or MOST, MOST) + 1)]
    orders = tuple(",".join(order) for order in itertools.permutations(digits))
    return Constraint(max_tokens=2 * len(digits) - 1, choices=orders)


def _worth(gain: float) -> float:
    return math.pow(2.0, gain) - 1.0


def _discounted(gains: list[float]) -> float:
    return sum(_worth(gain) / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
