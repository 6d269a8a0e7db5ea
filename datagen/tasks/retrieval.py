"""Retrieval: right and wrong candidates, answered by the numbers of the right ones, counted from 1.

The grader reads three numbers, so a question has at most three right candidates.
"""

import functools
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

COLUMNS: tuple[Columns, ...] = ({"positives": pa.list_(pa.string()), "negatives": pa.list_(pa.string())},)
SLOTS: tuple[str, ...] = ("listing", "count", "asked")
METRICS: tuple[str, ...] = ("hit rate@3",)

READ = 3  # numbers of a response that count
MOST = 20
_HIDDEN = hidden(*COLUMNS)


def build(row: dict[str, Any], rng: Shuffler) -> Question:
    """The question of one row, its candidates shuffled; the target is the right ones' numbers, rising.

    Raises Reject, among others where there are so few candidates that naming three is always right.
    """
    positives, negatives = present(row, "positives"), present(row, "negatives")
    if not positives:
        raise Reject("too_few_positives")
    if len(positives) > READ:
        raise Reject("too_many_positives")
    if len(positives) + len(negatives) <= READ:
        raise Reject("too_few_negatives")
    if len(positives) + len(negatives) > MOST:
        raise Reject("too_many_options")
    right, wrong = options(positives), options(negatives)
    if not {line.casefold() for line in right}.isdisjoint([line.casefold() for line in wrong]):
        raise Reject("positive_among_negatives")
    candidates = right + wrong
    rng.shuffle(candidates)
    slots = free_slots(row, _HIDDEN)
    slots["listing"] = numbered(candidates, first=1)
    slots["count"] = len(candidates)
    slots["asked"] = len(right)
    target = sorted([candidates.index(line) + 1 for line in right])
    return Question(slots, target, METRICS[0], candidates)


def answer(question: Question) -> str:
    """The numbers of the right candidates and no others, rising.

    Hit rate is a recall: one right candidate alone scores 1.0, and guesses beside it would teach noise.
    """
    return ",".join(map(str, question.target))


def gold_text(question: Question) -> str:
    """The right candidates in alphabetical order: the answer whatever the order of the candidates."""
    return "\n".join(sorted([question.candidates[number - 1] for number in question.target]))


def parse(text: str) -> list[int]:
    """The first three numbers; a repeated one is read twice."""
    return list(numbers(text))[:READ]


def score(value: list[int], target: list[int], metric: str) -> float:
    """Hit rate@3: the share of the right candidates that the first three numbers name."""
    check_metric(metric, METRICS)
    return len(set(target).intersection(value[:READ])) / len(target) if target else 0.0


def overall(values: list[list[int]], targets: list[list[int]], metric: str) -> float:
    """A task's score: the mean hit rate of its questions."""
    return mean([score(value, target, metric) for value, target in zip(values, targets, strict=True)])


def constraint(question: Question) -> Constraint:
    """One to three of the candidates' numbers, with commas alone; where they are unknown, up to 20."""
    return _constraint(len(question.candidates))


@functools.cache
def _constraint(count: int) -> Constraint:
    count = count or MOST
    one = "(" + "|".join(str(number) for number in range(1, count + 1)) + ")"
    return Constraint(max_tokens=READ * len(str(count)) + READ - 1, regex=f"{one}(,{one}){{0,{READ - 1}}}")
