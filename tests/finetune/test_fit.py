"""A training by the clock: what is chosen, once, and that it is the training of the same budget."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from datagen.errors import UserError
from finetune.config import Config, load
from finetune.dataset import REJECT, ROW, Split
from tests.finetune.conftest import metrics

Train = Callable[..., Path]

PACE = (100.0, 10.0, 5.0)
"""Tokens a second, seconds to load, seconds of a test loss."""


@pytest.fixture
def train(tiny_config: Path, tiny_run: Path, tmp_path: Path) -> Train:
    def train(*settings: str, name: str = "run", say: Callable[[str], None] = lambda text: None) -> Path:
        from finetune.train import train

        run = tmp_path / "trainings" / name
        train(load(str(tiny_config), ("epochs=2", *settings)), tiny_run, run, say)
        return run

    return train


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A machine that trains 10 tokens a second; gives what was really measured, each time."""
    from finetune import fit

    measured, real = [], fit.pace

    def pace(*arguments: Any) -> Any:
        measured.append(real(*arguments))
        return fit.Pace(10.0, 0.0, 0.0)

    monkeypatch.setattr(fit, "pace", pace)
    return measured


def split(rows: int, tokens: int, available: int, rejected: int = 0) -> Split:
    """A sample of so many rows of so many tokens."""
    ids = [[1] * tokens] * rows
    table = {"id": [""] * rows, "task_type": [""] * rows, "input_ids": ids, "completion_mask": ids}
    rejects = [{"id": "", "split": "train", "reason": "over_length", "tokens": 9}] * rejected
    return Split(
        pa.table(table, schema=ROW),
        pa.Table.from_pylist(rejects, REJECT),
        available=available,
        licenses={},  # type: ignore[arg-type]
    )


class Case(NamedTuple):
    """What is to be trained in how many seconds, and what fits."""

    seconds: float
    settings: dict[str, Any]
    tokens: int
    takes: float


# Steps of 4 rows of 50 tokens take 2 s; there are 100 rows in all.
CASES = {
    "10 to load, 2 test losses, 4 steps": Case(28, {}, 800, 28),
    "the same, almost 5 steps": Case(29.9, {}, 800, 28),
    "5 steps": Case(30, {}, 1000, 30),
    "a third test loss after 10": Case(46, {}, 2000, 40),
    "never fewer than 4 steps": Case(1, {}, 800, 28),
    "not even where no time is left": Case(-100, {}, 800, 28),
    "never more than there is": Case(10_000, {}, 5000, 10 + 50 + 4 * 5),
    "nor more than `rows`": Case(10_000, {"rows": 30}, 1500, 10 + 16 + 2 * 5),
    "each epoch takes its time": Case(39, {"epochs": 2}, 800, 10 + 16 + 2 * 5),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_fits_is_whole_steps_with_loading_and_test_losses(case: Case) -> None:
    from finetune.fit import Pace, tokens_that_fit

    config = Config(minutes=1, batch_rows=4, eval_every=10, **case.settings)
    found = tokens_that_fit(Pace(*PACE), case.seconds, split(20, 50, available=100), config)
    assert (found.tokens, found.seconds) == (case.tokens, case.takes)
    assert found.of == 50 * case.settings.get("rows", 100)


def test_rows_that_are_left_out_are_not_counted_as_what_there_is() -> None:
    from finetune.fit import Pace, tokens_that_fit

    found = tokens_that_fit(Pace(*PACE), 1e9, split(20, 50, available=100, rejected=20), Config(minutes=1))
    assert found.tokens == found.of == 2500


def test_the_first_part_of_a_step_warms_up_and_does_not_count() -> None:
    from finetune.fit import speed

    assert speed([0.0, 90.0, 92.0, 96.0], [100, 20, 40, 70]) == 10.0
    assert speed([0.0, 90.0], [100]) == pytest.approx(100 / 90)  # there was no other


@pytest.mark.parametrize(
    ("seconds", "fit", "by_make", "line"),
    [
        (
            700,
            (44_000, 330_123, 690),
            True,
            "62 tokens/s here: 44,000 of about 330,000 tokens fit into 12 minutes (SET=minutes=30 for more, "
            "SET=token_budget=44000 for the same everywhere)",
        ),
        (
            700,
            (7_000, 330_000, 1210),
            False,
            "62 tokens/s here: 7,000 of about 330,000 tokens are the fewest, and take about 20 minutes "
            "more (--set minutes=30 for more, --set token_budget=7000 for the same everywhere)",
        ),
        (700, (5_000, 5_000, 90), True, "62 tokens/s here: all tokens, about 5,000, fit into 12 minutes"),
    ],
)
def test_what_was_chosen_is_told_with_how_to_choose_otherwise(
    monkeypatch: pytest.MonkeyPatch, seconds: float, fit: tuple[int, int, float], by_make: bool, line: str
) -> None:
    from finetune.fit import Fit, Pace, told

    monkeypatch.setenv("MAKELEVEL", "1") if by_make else monkeypatch.delenv("MAKELEVEL", raising=False)
    assert told(Pace(62.3, 1, 1), seconds, Fit(*fit), Config(minutes=12)) == line


def files(run: Path) -> dict[str, bytes]:
    """What was trained, byte for byte."""
    return {name: (run / name).read_bytes() for name in ("adapter_model.safetensors", "metrics.jsonl")}


def test_a_training_by_time_is_the_training_of_the_tokens_that_it_chose(
    train: Train, slow: list[Any]
) -> None:
    said: list[str] = []
    run = train("minutes=5", name="timed", say=said.append)
    assert slow[0].tokens_per_second > 0
    assert min(slow[0]) > 0
    done = json.loads((run / "run.json").read_text(encoding="utf-8"))
    budget = done["token_budget"]
    assert f"10 tokens/s here: {budget:,} of about " in said[1]
    assert done["rows"] in (16, 20)  # whole steps of four; of 24
    assert done["tokens"] == 2 * budget  # an epoch has as many
    assert files(train(f"token_budget={budget}", name="given")) == files(run)
    kept = load(str(run / "config.yaml"))
    assert (kept.minutes, kept.token_budget) == (5, budget)  # trains the same wherever it is taken
    train("minutes=5", name="timed", say=said.append)
    assert said[-1] == f"{run} is trained already"
    assert len(slow) == 1


def test_a_training_that_goes_on_keeps_what_was_chosen(train: Train, slow: list[Any]) -> None:
    def cut(text: str) -> None:
        if text.startswith("step 8/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("minutes=5", name="cut", say=cut)
    run = train("minutes=5", name="cut")
    assert len(slow) == 1
    whole = train("minutes=5", name="whole")
    assert [entry.get("tokens") for entry in metrics(run)] == [e.get("tokens") for e in metrics(whole)]
    losses = [[entry.get("loss") for entry in metrics(of) if "loss" in entry] for of in (run, whole)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_kill_while_steps_are_timed_leaves_nothing(
    train: Train, slow: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetune import fit

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fit._Watch, "on_step_end", killed)
        with pytest.raises(KeyboardInterrupt):
            train("minutes=5")
    run = train("minutes=9", "lr=0.01")  # nor does it bind another config
    assert len(slow) == 1
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["config"]["minutes"] == 9


def test_all_is_trained_where_all_fits(train: Train) -> None:
    said: list[str] = []
    run = train("minutes=1000", "epochs=1", name="timed", say=said.append)
    assert "tokens/s here: all tokens, about " in said[1]
    done = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert (done["rows"], done["token_budget"]) == (24, done["tokens"])
    assert files(train("epochs=1", name="all")) == files(run)


def test_a_budget_that_is_given_decides(train: Train, slow: list[Any]) -> None:
    run = train("minutes=5", "token_budget=400", "epochs=1")
    assert slow == []
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["tokens"] <= 400


@pytest.mark.parametrize("minutes", ["0", "-1", "NaN", "nan", "Infinity", "soon"])
def test_minutes_that_are_no_time_are_refused(minutes: str) -> None:
    with pytest.raises(UserError, match=r"`minutes` is .*: write a number above 0"):
        load("smollm2-135m", [f"minutes={minutes}"])


def test_the_embedded_default_is_a_time() -> None:
    config = load("smollm2-135m")
    assert (config.minutes, config.token_budget) == (12, None)
