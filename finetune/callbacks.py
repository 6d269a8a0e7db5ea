"""The callback that follows a training: progress bar, `metrics.jsonl`, and a stop when the loss diverges."""

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from datagen.console.text import duration
from datagen.errors import UserError
from finetune.report import METRICS
from finetune.run_file import CHECKPOINTS

TOLD_AFTER = 4
"""Steps of this process before the remaining time is estimated: one to warm up, three of unlike lengths."""

LONG = 900.0


class Progress(TrainerCallback):  # type: ignore[misc]
    """A callback that follows a training: its pace, its losses, and whether it has diverged.

    `tokens` are those of the whole training; `loss_limit` is a loss that no run comes back from. What takes
    more than `long` seconds is told how to take less.
    """

    def __init__(
        self, run: Path, tokens: int, loss_limit: float, say: Callable[[str], None], long: float = LONG
    ) -> None:
        self._long = long
        self._run, self._tokens, self._limit, self._say = run, tokens, loss_limit, say
        self._bar: Any = None
        self._before = self._done = self._steps = 0
        self._seconds = self._step_began = 0.0
        self._warm_up = (0, 0.0)

    @property
    def tokens_per_second(self) -> float:
        """Since this process began or went on with the training; test losses and checkpoints not counted."""
        return self._done / self._seconds if self._seconds else 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start from the checkpoint's state: metrics of later steps are dropped."""
        kept = [entry for entry in map(_entry, state.log_history) if entry]
        self._before = max((entry.get("tokens", 0) for entry in kept), default=0)
        best = self._run / CHECKPOINTS / f"checkpoint-{state.best_global_step}"
        if best.is_dir():  # its path is lost where the folder was renamed since, and with it the best weights
            state.best_model_checkpoint = str(best)
        if state.is_world_process_zero:
            text = "".join(json.dumps(entry) + "\n" for entry in kept)
            (self._run / METRICS).write_text(text, encoding="utf-8")
            self._bar = tqdm(
                total=self._tokens,
                initial=self._before,
                unit=" tokens",
                unit_scale=True,
                disable=None,
                file=sys.stderr,
            )

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the watch."""
        self._step_began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Write one line of metrics. Raises UserError where the loss or its gradient is lost."""
        if "num_tokens" in logs and "loss" in logs:
            self._done = int(logs["num_tokens"])
            if self._steps == 1:
                self._warm_up = (self._done, self._seconds)
            # TRL counts from 0 again after a resume
            state.log_history[-1]["num_tokens"] = logs["num_tokens"] = self._before + self._done
        entry = _entry(state.log_history[-1])
        if not entry:
            return
        self._check(entry)
        if not state.is_world_process_zero:
            return
        with (self._run / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if "loss" in entry:
            self._show(entry, state.max_steps)
        else:
            self._tell(f"step {entry['step']}/{state.max_steps}: test loss {entry['eval_loss']:.4f}")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the watch; take the test loss of the last step, too."""
        self._seconds += time.perf_counter() - self._step_began
        self._steps += 1
        if state.global_step == state.max_steps:
            control.should_evaluate = True

    def close(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, entry: dict[str, Any], steps: int) -> None:
        self._bar.set_postfix_str(f"step {entry['step']}/{steps}, loss {entry['loss']:.3f}", refresh=False)
        self._bar.update(entry["tokens"] - self._bar.n)
        if self._steps == TOLD_AFTER and entry["step"] < steps:
            tokens, seconds = self._warm_up
            rate, left = (self._done - tokens) / (self._seconds - seconds), self._tokens - entry["tokens"]
            less = ". Under another name, `minutes=12` trains what fits" if left / rate > self._long else ""
            self._tell(
                f"{rate:,.0f} tokens a second: {minutes(left / rate)} to go, test losses not counted{less}"
            )

    def _tell(self, text: str) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            self._say(text)

    def _check(self, entry: dict[str, Any]) -> None:
        loss: float = entry["loss"] if "loss" in entry else entry["eval_loss"]
        if math.isfinite(loss + entry.get("grad_norm", 0.0)) and loss <= self._limit:
            return
        what = (
            f"it is {loss:.4g} in step {entry['step']}, not {self._limit / 2:.4g} as in a guess"
            if not loss <= self._limit
            else f"its gradient is {entry['grad_norm']:.4g} in step {entry['step']}"
        )
        raise UserError(
            f"the loss diverged: {what}. Nothing of this is saved. Lower the learning rate "
            f"(`--set lr=...`) under another --name, or delete {self._run}"
        )


def minutes(seconds: float) -> str:
    """A time in words: `about 12 minutes`."""
    return f"about {duration(seconds)}"


def _entry(logs: dict[str, Any]) -> dict[str, Any] | None:
    """A line of `metrics.jsonl` out of one of the Trainer's logs; None for those that are no step's."""
    if "loss" in logs:
        names = {"step": "step", "epoch": "epoch", "num_tokens": "tokens", "loss": "loss"}
        names |= {"learning_rate": "lr", "grad_norm": "grad_norm"}
    elif "eval_loss" in logs:
        names = {"step": "step", "epoch": "epoch", "eval_loss": "eval_loss"}
    else:
        return None
    return {ours: logs[theirs] for theirs, ours in names.items() if theirs in logs}
