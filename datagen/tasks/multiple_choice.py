"""Multiple choice: one right option among wrong ones, answered by its number, counted from 0.

The grader reads one digit, so a question has at most ten options.
"""

import functools
from typing import Any

import pyarrow as pa

from datagen.errors import Reject
from datagen.tasks.question import (
    RESPONSE_LENGTH,
    Columns,
    Constraint,
    Question,
    Shuffler,
    check_metric,
    free_slots,
    hidden,
    mean,
    numbered,
    options,
    present,
)

COLUMNS: tuple[Columns, ...] = (
    {"correct": pa.string(), "distractors": pa.list_(pa.string())},
    {"options": pa.list_(pa.string()), "answer": pa.int64()},
)
SLOTS: tuple[str, ...] = ("listing", "count")
METRICS: tuple[str, ...] = ("accuracy",)

FEWEST, MOST = 2, 10
UNREADABLE = -1
_HIDDEN = hidden(*COLUMNS)


def build(row: dict[str, Any], rng: Shuffler) -> Question:
    """The question of one row: `correct` and `distractors` are shuffled, `options` keep their order.

    So a scale (1 star to 5 stars) stays one; `answer` is an index into `options`. Raises Reject.
    """
    if "options" in row:
        texts, index = present(row, "options"), int(present(row, "answer"))
    else:
        texts, index = [present(row, "correct"), *present(row, "distractors")], 0
    if len(texts) < FEWEST:
        raise Reject("too_few_options")
    if len(texts) > MOST:
        raise Reject("too_many_options")
    if not 0 <= index < len(texts):
        raise Reject("answer_out_of_range")
    candidates = options(texts)
    right = candidates[index]
    if "options" not in row:
        rng.shuffle(candidates)
    slots = free_slots(row, _HIDDEN)
    slots["listing"] = numbered(candidates, first=0)
    slots["count"] = len(candidates)
    return Question(slots, candidates.index(right), METRICS[0], candidates)


def answer(question: Question) -> str:
    """The number of the right option."""
    return f"{question.target}"


def gold_text(question: Question) -> str:
    """The right option's text: the answer whatever the order of the options."""
    text: str = question.candidates[question.target]
    return text


def parse(text: str) -> int:
    """The first character as a number, -1 where it is none: `10` is 1, `Option 2` is -1."""
    try:
        return int(text[:RESPONSE_LENGTH].strip()[:1])
    except ValueError:
        return UNREADABLE


def score(value: int, target: int, metric: str) -> float:
    """Accuracy: 1.0 for the right number, else 0.0."""
    check_metric(metric, METRICS)
    return float(value == target)


def overall(values: list[int], targets: list[int], metric: str) -> float:
    """A task's score: the share of right numbers."""
    return mean([score(value, target, metric) for value, target in zip(values, targets, strict=True)])


def constraint(question: Question) -> Constraint:
    """One of the options' digits; where the options are unknown, any digit."""
    return _constraint(len(question.candidates))


@functools.cache
def _constraint(count: int) -> Constraint:
    return Constraint(max_tokens=1, choices=tuple(str(number) for number in range(min(count or MOST, MOST))))
