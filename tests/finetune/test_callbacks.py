"""The estimate of a training's time: by tokens rather than steps, and not from the first step."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datagen.errors import UserError

TOTAL = 10_000


class Training:
    """Steps of so many tokens and seconds, told to a Progress as a Trainer tells them."""

    def __init__(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from finetune.callbacks import Progress

        self.said: list[str] = []
        self.progress = Progress(run, TOTAL, 20.0, self.said.append)
        self.now = 100.0
        monkeypatch.setattr("finetune.callbacks.time.perf_counter", lambda: self.now)

    def begin(self, *history: dict[str, Any]) -> None:
        """From the start, or from a checkpoint that holds this history."""
        self.state = SimpleNamespace(
            log_history=list(history),
            is_world_process_zero=True,
            global_step=len(history),
            max_steps=100,
            best_global_step=None,
        )
        self.counted = 0
        self.progress.on_train_begin(None, self.state, None)

    def step(self, tokens: int, seconds: float) -> None:
        self.progress.on_step_begin(None, self.state, None)
        self.now += seconds
        self.state.global_step += 1
        self.progress.on_step_end(None, self.state, SimpleNamespace())
        self.now += 50  # a test loss, or a checkpoint
        self.counted += tokens
        logs = {"loss": 1.0, "num_tokens": float(self.counted)}
        self.state.log_history.append(logs | {"step": self.state.global_step})
        self.progress.on_log(None, self.state, None, logs)


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    return Training(tmp_path, monkeypatch)


def test_the_time_to_go_is_that_of_the_tokens_left_at_the_pace_after_the_first_step(
    training: Training,
) -> None:
    training.begin()
    training.step(100, 90.0)  # warms up
    for tokens in (400, 100, 1000):  # at ten tokens a second, whatever the length
        assert training.said == []
        training.step(tokens, tokens / 10)
    assert training.said == ["10 tokens a second: about 14 minutes to go, test losses not counted"]
    training.step(400, 90.0)
    assert len(training.said) == 1
    assert training.progress.tokens_per_second == pytest.approx(2000 / 330)


def test_what_takes_long_is_told_how_to_take_less(training: Training) -> None:
    training.begin()
    for _ in range(4):
        training.step(100, 20.0)
    assert training.said == [
        "5 tokens a second: about 32 minutes to go, test losses not counted. "
        "Under another name, `minutes=12` trains what fits"
    ]


def test_a_training_that_goes_on_is_told_its_time_anew(training: Training) -> None:
    training.begin(*({"loss": 1.0, "step": step, "num_tokens": 100.0 * step} for step in range(1, 81)))
    for _ in range(4):
        training.step(100, 10.0)
    assert training.said == ["10 tokens a second: about 3 minutes to go, test losses not counted"]
    assert training.state.log_history[-1]["num_tokens"] == 8400


def test_a_gradient_that_is_lost_is_what_is_named(training: Training) -> None:
    training.begin()
    logs = {"loss": 1.0, "grad_norm": float("nan"), "step": 3, "num_tokens": 5.0}
    training.state.log_history.append(dict(logs))
    with pytest.raises(UserError, match="the loss diverged: its gradient is nan in step 3"):
        training.progress.on_log(None, training.state, None, logs)
