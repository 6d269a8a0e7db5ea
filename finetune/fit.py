"""The part of a data set that is trained in so many minutes here: a few steps are timed, and added up.

The steps are a copy's, of which nothing is kept: the training is as if its tokens had been given.
"""

import bisect
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from transformers import TrainerCallback

from finetune.callbacks import minutes
from finetune.config import Config
from finetune.dataset import Split

FEWEST = 4
"""Steps that are trained at least, and timed at most."""

TIMING = 0.05
"""Share of the time that the steps may take which are timed; one part of a step may take longer."""

SPARE = 0.05
"""Share of the time that is kept for checkpoints, the plot, and work beside."""


class Pace(NamedTuple):
    """How fast this machine trains a model."""

    tokens_per_second: float
    """In steps alone."""
    loading: float
    """Seconds until a model is ready to be trained."""
    test_loss: float
    """Seconds that one takes."""


class Fit(NamedTuple):
    """Tokens of an epoch that fit into the time, of how many."""

    tokens: int
    of: int
    seconds: float
    """That the training takes with them."""


def pace(copy: Callable[[], Any], lengths: Sequence[int], seconds: float, processes: int) -> Pace:
    """The pace of a trainer that `copy` makes of rows of such lengths, in a training of so many seconds."""
    start = time.perf_counter()
    trainer = copy()
    loading = time.perf_counter() - start
    trainer.args.eval_on_start = False
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    parts = [sum(lengths[row] for row in batch) for batch in trainer._get_train_sampler()]
    watch = _Watch(len(parts), TIMING * seconds, alone=processes == 1)
    trainer.add_callback(watch)
    trainer.train()
    start = time.perf_counter()
    trainer.evaluate()
    test_loss = time.perf_counter() - start
    return Pace(processes * speed(watch.ends, parts), loading, test_loss)


def speed(ends: Sequence[float], parts: Sequence[int]) -> float:
    """Tokens a second of the parts that ended then; the first end is the begin, the first part warms up."""
    first = 1 if len(ends) > 2 else 0
    return sum(parts[first : len(ends) - 1]) / max(ends[-1] - ends[first], 1e-6)


def tokens_that_fit(pace: Pace, seconds: float, sample: Split, config: Config) -> Fit:
    """What fits, in whole steps of an epoch: `FEWEST` at least, all rows at most.

    `sample` is the beginning of the train split.
    """
    rows, lengths = sample.rows.num_rows, sample.lengths
    most = math.ceil(sample.available * rows / (rows + sample.rejects.num_rows))
    most = min(most, config.rows or most)
    mean: float = sum(lengths) / rows

    def taken(steps: int) -> float:
        every = config.epochs * steps
        losses = 1 + math.ceil(every / config.eval_every)
        in_steps = every * config.batch_rows * mean / pace.tokens_per_second
        return pace.loading + losses * pace.test_loss + in_steps

    all_steps = math.ceil(most / config.batch_rows)
    fit = bisect.bisect_right(range(1, all_steps + 1), seconds, key=taken)
    steps = min(all_steps, max(FEWEST, fit))
    bought = min(steps * config.batch_rows, most)
    tokens = sum(lengths[:bought]) + math.floor(max(0, bought - rows) * mean)
    return Fit(tokens, sum(lengths) + math.floor((most - rows) * mean), taken(steps))


def told(pace: Pace, seconds: float, fit: Fit, config: Config) -> str:
    """What was measured and chosen, in a line; `seconds` are those that were left."""
    setting = "SET=" if "MAKELEVEL" in os.environ else "--set "
    here = f"{pace.tokens_per_second:,.0f} tokens/s here"
    if fit.tokens >= fit.of:
        what = f"all tokens, about {_rounded(fit.of):,},"
    else:
        what = f"{fit.tokens:,} of about {_rounded(fit.of):,} tokens"
    if fit.seconds > seconds:
        what += f" are the fewest, and take {minutes(fit.seconds)} more"
    else:
        what += f" fit into {config.minutes:g} minutes"
    if fit.tokens >= fit.of:
        return f"{here}: {what}"
    more = f"{setting}minutes={2.5 * (config.minutes or 0):g} for more"
    return f"{here}: {what} ({more}, {setting}token_budget={fit.tokens} for the same everywhere)"


def _rounded(number: int) -> int:
    """To three digits: it is a guess."""
    return round(number, 3 - len(str(number)))


class _Watch(TrainerCallback):  # type: ignore[misc]
    """When a training began, and when each part of its steps was done; ends it when that is enough.

    Processes that share a training end it at the same step, as each waits for all.
    """

    def __init__(self, parts: int, seconds: float, alone: bool) -> None:
        self.ends: list[float] = []
        self._parts, self._seconds, self._alone = parts, seconds, alone

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ends.append(time.perf_counter())

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ends.append(time.perf_counter())
        late = self._alone and len(self.ends) > 2 and self.ends[-1] - self.ends[1] >= self._seconds
        if late or state.global_step >= FEWEST or len(self.ends) > self._parts:
            control.should_training_stop = True

    on_step_end = on_substep_end
