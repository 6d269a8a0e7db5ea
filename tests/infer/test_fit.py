"""Questions by the clock: how many are asked is chosen once, from what the first ones take."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datagen.errors import UserError
from datagen.shopbench.questions import COPY, Asked, read_questions
from infer.batches import balanced
from infer.cli import main
from infer.fit import questions_that_fit, told
from infer.predict import Report, predict
from infer.serve.engine import Settings
from tests.conftest import write_model_files
from tests.infer.test_predict import Clock, Counter, answers, choice, text

ALL = [*map(choice, range(300)), *map(text, range(100))]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("infer.predict.time", clock)
    monkeypatch.setattr("infer.fit.time", clock)
    monkeypatch.setattr("infer.predict.settings", lambda folder: Settings("cpu", "float32", 2000, batch=4))
    return clock


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with the files of a model; nobody loads it."""
    return write_model_files(tmp_path / "models" / "mine")


def ask(
    run: Path, model: Path, counter: Counter, said: list[str] | None = None, **how: Any
) -> dict[str, Any]:
    """A run of a second a question; what was said is added to `said`."""
    report = Report(say=(said if said is not None else []).append, progress=lambda done, total: None)
    asked: Sequence[Asked] = how.pop("asked", ALL)
    return predict(asked, str(model), run, load=lambda folder, settings: counter, report=report, **how)


@pytest.mark.parametrize(
    ("seconds", "fit"),
    [
        (100, 83),  # 4 and 8 are timed, and .05 of the time is kept
        (200, 178),
        (300, 257),  # 16 more are timed, as 8 s are less than .03 of the time
        (10_000, 400),  # all
        (33, 32),  # the fewest
    ],
)
def test_as_many_are_asked_as_fit(clock: Clock, seconds: float, fit: int) -> None:
    def ask(batch: Any) -> None:
        clock.now += len(batch.asked)

    assert questions_that_fit(ALL, ask, 64, seconds, clock.now + seconds) == fit


def test_each_task_type_takes_its_own_time_and_the_first_round_warms_up(clock: Clock) -> None:
    rounds = []

    def ask(batch: Any) -> None:
        rounds.append(len(batch.asked))
        slow = 10 if len(rounds) <= 2 else 1  # the first round of both types
        clock.now += slow * len(batch.asked) * (1 if batch.task_type == "multiple_choice" else 3)

    assert questions_that_fit(ALL, ask, 64, 496, clock.now + 496) == 187
    assert rounds == [2, 2, 4, 4]


def test_what_was_chosen_is_told_with_what_it_is_worth() -> None:
    assert told(1000, 2100, 5) == (
        "1,000 of 2,100 questions fit into 5 minutes, evenly from all tasks; the 95 % interval of a score "
        "over all will be at most about +-0.03"
    )
    assert told(42, 42, 5) == "all 42 questions fit into 5 minutes"
    assert told(32, 2100, 0.1).startswith("32 of 2,100 questions are the fewest, evenly")


def test_a_run_asks_what_fits_and_the_next_model_the_same(tmp_path: Path, model: Path, clock: Clock) -> None:
    said: list[str] = []
    done = ask(tmp_path / "base", model, Counter(clock=clock), said, within=100 / 60)
    assert done["questions"]["rows"] == 83
    assert (done["finished"], done["answered"]) == (True, 83)
    assert clock.now - Clock.now <= 100
    assert said[1].startswith("83 of 400 questions fit into 1.66667 minutes, evenly from all tasks; ")
    kept = read_questions(tmp_path / "base")
    assert kept == balanced(ALL, 83)
    tuned = ask(tmp_path / "tuned", model, Counter(), asked=kept)
    assert tuned["questions"] == done["questions"]
    fixed = ask(tmp_path / "fixed", model, Counter(), asked=balanced(ALL, 83))
    assert fixed["questions"] == done["questions"]
    assert answers(tmp_path / "base") == answers(tmp_path / "fixed")


def test_a_run_that_goes_on_keeps_its_questions(tmp_path: Path, model: Path, clock: Clock) -> None:
    run, said = tmp_path / "run", []  # type: ignore[var-annotated]
    with pytest.raises(KeyboardInterrupt):
        ask(run, model, Counter(calls=10, clock=clock), within=100 / 60)
    chosen = json.loads((run / "run.json").read_text())["questions"]
    fast = Counter()
    done = ask(run, model, fast, said, within=100 / 60)
    assert done["questions"] == chosen
    assert len(fast.asked) < 83
    assert not any("times a few" in line for line in said)
    ask(tmp_path / "whole", model, Counter(), asked=balanced(ALL, 83))
    assert answers(run) == answers(tmp_path / "whole")


def test_a_kill_while_questions_are_timed_leaves_no_run(tmp_path: Path, model: Path, clock: Clock) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        ask(run, model, Counter(calls=2, clock=clock), within=100 / 60)
    assert not (run / "run.json").exists()
    assert not (run / COPY).exists()
    said: list[str] = []
    assert ask(run, model, Counter(clock=clock), said, within=100 / 60)["answered"] == 83
    assert "times a few" in said[0]


def test_loading_counts(tmp_path: Path, model: Path, clock: Clock) -> None:
    counter = Counter(clock=clock)

    def load(folder: Path, settings: Settings) -> Counter:
        clock.now += 30
        return counter

    assert predict(ALL, str(model), tmp_path / "run", load=load, within=100 / 60)["answered"] == 53


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf")])
def test_minutes_that_are_no_time_are_refused(tmp_path: Path, model: Path, minutes: float) -> None:
    with pytest.raises(UserError, match=r"a time limit of .* minutes: give one above 0"):
        ask(tmp_path / "run", model, Counter(), within=minutes)


def test_a_number_and_a_time_are_not_asked_for_together() -> None:
    run = CliRunner().invoke(main, ["run", "m", "--questions", "q", "--limit", "9", "--minutes", "5"])
    assert run.exit_code == 2
    assert "--limit asks a number, --minutes asks what fits: give one of them" in run.stderr
