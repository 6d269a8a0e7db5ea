"""The part of all questions that is answered in so many minutes here: rounds of them are timed, and added up.

What the timed rounds answer is thrown away: the answers of a run come from its own batches alone.
"""

import bisect
import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from datagen.schema import TaskType
from datagen.shopbench.questions import Asked
from infer.batches import Batch, balanced, schedule
from infer.serve.prepare import guessed

FEWEST = 32
"""Questions that are asked at least."""

TIMING = 0.03
"""Share of the time after which a timed round is the last."""

SPARE = 0.05
"""Share of the time that is kept for scoring, and for work beside."""

_FIRST = 4
"""Questions of the first round, which warms up; each later one has twice as many."""


def questions_that_fit(
    asked: Sequence[Asked], ask: Callable[[Batch], object], size: int, seconds: float, until: float
) -> int:
    """How many questions, of all tasks in turn, `ask` answers until then; `FEWEST` at least.

    `size` is of batches, `seconds` all the time that the run has, and `until` its end by the monotonic clock.
    """
    ordered = balanced(asked, len(asked))
    kinds = [guessed(question.prompt, question.is_multiple_choice).task_type for question in ordered]
    pace: dict[TaskType, float] = {}
    first, many = 0, _FIRST
    while first < len(ordered):
        spent: Counter[TaskType] = Counter()
        for batch in schedule(Path(), ordered[first : first + many], size):
            start = time.monotonic()
            ask(batch)
            spent[batch.task_type] += time.monotonic() - start  # type: ignore[assignment]
        counts = Counter(kinds[first : first + many])
        pace |= {kind: spent[kind] / counts[kind] for kind in counts}
        if first and spent.total() >= TIMING * seconds:
            break
        first, many = first + many, 2 * many
    usual = sum(pace.values()) / len(pace)
    ends = list(itertools.accumulate(pace.get(kind, usual) for kind in kinds))
    left = until - SPARE * seconds - time.monotonic()
    return min(len(ordered), max(FEWEST, bisect.bisect_right(ends, left)))


def told(count: int, of: int, minutes: float) -> str:
    """What was chosen, and how exact a score gets by it, in a line."""
    if count == of:
        return f"all {of:,} questions fit into {minutes:g} minutes"
    fit = f"fit into {minutes:g} minutes" if count > FEWEST else "are the fewest"
    wide = 1.96 * math.sqrt(0.25 / count)  # of answers that are right as often as wrong
    return (
        f"{count:,} of {of:,} questions {fit}, evenly from all tasks; the 95 % interval of a score over all "
        f"will be at most about +-{wide:.2f}"
    )
