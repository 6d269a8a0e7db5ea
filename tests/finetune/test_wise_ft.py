"""The sweep over shares: scores, choice, warning, plot, and what a kill costs.

The fast tests put a counter in vLLM's place, behind the real `infer`; the slow one kills the real command.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import infer.cli
from datagen.errors import UserError
from datagen.schema import TaskType
from finetune.cli import main
from finetune.merge import wise_ft
from finetune.wise_ft import sweep
from infer.serve.engine import Request, Settings
from tests.finetune.conftest import Row, WriteRun
from tests.finetune.test_commands import FINETUNE, wait_until
from tests.finetune.test_ensemble import train
from tests.infer.conftest import write_model
from tests.infer.test_predict import Counter
from tests.processes import LONG, at_work

QUESTIONS: list[Row] = [
    (TaskType.MULTIPLE_CHOICE, f"Which of these is number {i}?\n0. a lamp\n1. a mug\n2. a chair", "0")
    for i in range(60)
]


class Knows(Counter):
    """In vLLM's place: answers the first questions right, and the others wrong."""

    def __init__(self, right: int) -> None:
        super().__init__()
        self.right = right

    def _text(self, request: Request) -> str:
        number = re.search(r"number (\d+)", "".join(map(chr, request.ids)))
        assert number
        return "0" if int(number[1]) < self.right else "1"


Answering = Callable[[dict[str, int]], list[tuple[str, ...]]]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Has the model of each folder answer so many questions right; gives the commands that are run."""

    def answering(right: dict[str, int]) -> list[tuple[str, ...]]:
        commands = []

        def run(*words: object) -> str:
            arguments = tuple(map(str, words))
            commands.append(arguments)
            folder = Path(arguments[1]).name
            monkeypatch.setattr(
                "infer.predict.predict.__kwdefaults__", {**defaults, "load": lambda *_: Knows(right[folder])}
            )
            done = CliRunner().invoke(infer.cli.main, arguments, catch_exceptions=False)
            if done.exit_code:
                raise UserError(done.stderr)
            return done.stdout

        from infer.predict import predict

        defaults = dict(predict.__kwdefaults__ or {})
        monkeypatch.setattr("infer.predict.settings", lambda folder: Settings("cpu", "float32", 2000, 4))
        monkeypatch.setattr("finetune.wise_ft.infer", run)
        return commands

    return answering


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_base, tiny_run, tmp_path_factory.mktemp("trained") / "run", rank=2)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def questions(write_run: WriteRun, tmp_path: Path) -> Path:
    return write_run(tmp_path / "asked", QUESTIONS[:1], QUESTIONS)


def test_the_questions_choose_the_share(run: Path, questions: Path, answering: Answering) -> None:
    answering({"wise-ft-0": 10, "wise-ft-0.5": 50, "wise-ft-1": 30})
    command = ["wise-ft", str(run), "--alpha", "0,0.5,1", "--questions", str(questions)]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.stdout.splitlines()[-1] == str(run / "wise-ft-0.5")
    assert re.search(r"^0\.5 \* +0\.833 \[0\.7\d, 0\.9\d\] +0\.833", result.stdout, re.MULTILINE)
    assert "warning" not in result.stderr
    folder = run / "sweep-asked"
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "compare.html").is_file()
    told = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    assert (told["best"], told["warnings"]) == (0.5, [])
    assert told["scores"]["1"]["overall"]["score"] == 0.5
    assert [path.name for path in run.glob("*wise-ft*")] == ["wise-ft-0.5"]
    assert f"the models of alpha 0, 1 are removed; finetune wise-ft {run} --alpha writes" in result.stderr


def test_a_gain_that_may_be_chance_is_told(run: Path, questions: Path, answering: Answering) -> None:
    answering({"wise-ft-0": 10, "wise-ft-0.5": 32, "wise-ft-1": 30})
    found = sweep(run, [1, 0.5, 0], questions, None, lambda line: None)
    assert found.best == 0.5
    [warning] = found.warnings
    assert re.match(
        r"alpha 0\.5 cannot be told from the whole training \(alpha 1\): \+0\.033 \[\+0\.000, ", warning
    )


def test_of_equal_scores_the_one_nearest_to_the_base_is_chosen(
    run: Path, questions: Path, answering: Answering
) -> None:
    answering({"wise-ft-0": 10, "wise-ft-0.5": 30, "wise-ft-1": 30})
    assert sweep(run, [0, 0.5, 1], questions, None, lambda line: None).best == 0.5


def test_a_sweep_goes_on_where_it_stopped(run: Path, questions: Path, answering: Answering) -> None:
    commands = answering({"wise-ft-0": 10, "wise-ft-1": 30})
    with pytest.raises(KeyError):  # at the share in the middle
        sweep(run, [0, 0.5, 1], questions, 9, lambda line: None)
    folder = run / "sweep-asked-9"
    assert [path.name for path in run.glob("wise-ft-*")] == ["wise-ft-0.5"]
    answers = next((folder / "alpha-0" / "answers").iterdir())
    written = answers.stat().st_mtime_ns
    later = answering({"wise-ft-0.5": 20, "wise-ft-1": 30})
    found = sweep(run, [0, 0.5, 1], questions, 9, lambda line: None)
    assert set(found.scores) == {0, 0.5, 1}
    assert found.warnings[0].startswith("9 questions of 1 tasks are few: true intervals are wider")
    assert answers.stat().st_mtime_ns == written
    asked = [Path(words[1]).name for words in later if words[0] == "run"]
    assert asked == ["wise-ft-0.5", "wise-ft-1"]  # the first model is gone, and not missed
    assert commands[0][4:6] == ("--limit", "9")


@pytest.mark.parametrize("alphas", ["0,1.5", "0,nan", "0,half"])
def test_what_is_no_share_is_refused_before_anything_is_written(
    run: Path, questions: Path, alphas: str
) -> None:
    command = ["wise-ft", str(run), "--alpha", alphas]
    for further in ([], ["--questions", str(questions)]):
        result = CliRunner().invoke(main, [*command, *further])
        assert result.exit_code in (1, 2)
        assert re.search(r"a share of what was learnt is|--alpha: `half` is no number", result.stderr)
    assert not any(run.glob("*wise-ft*"))


def test_models_that_were_there_before_are_kept(run: Path, questions: Path, answering: Answering) -> None:
    answering({"wise-ft-0": 10, "wise-ft-0.5": 20, "wise-ft-1": 30})
    ours = wise_ft(run, 0)
    sweep(run, [0, 0.5, 1], questions, None, lambda line: None)
    assert {path.name for path in run.glob("wise-ft-*")} == {ours.name, "wise-ft-1"}
    found = sweep(run, [0.5, 0], questions, None, lambda line: None)  # the one chosen before is kept, too
    assert (found.best, found.removed) == (0.5, [])
    assert {path.name for path in run.glob("wise-ft-*")} == {"wise-ft-0", "wise-ft-0.5", "wise-ft-1"}


def test_answers_to_other_questions_do_not_count(
    run: Path, questions: Path, answering: Answering, write_run: WriteRun
) -> None:
    answering({"wise-ft-0": 10, "wise-ft-1": 30})
    sweep(run, [0, 1], questions, None, lambda line: None)
    shutil.rmtree(questions)
    write_run(questions, QUESTIONS[:1], QUESTIONS[:50])
    for _ in range(2):
        with pytest.raises(UserError, match="questions"):
            sweep(run, [0, 1], questions, None, lambda line: None)


def test_a_disk_without_room_is_told_before_the_first(
    run: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = SimpleNamespace(free=50_000)
    monkeypatch.setattr("datagen.storage.files.shutil.disk_usage", lambda folder: room)
    with pytest.raises(UserError, match=r"and its disk has 0.0 GB left"):
        sweep(run, [0, 1], questions, None, lambda line: None)
    assert not any(run.glob("wise-ft-*"))


def test_several_shares_without_questions_are_written(run: Path) -> None:
    result = CliRunner().invoke(main, ["wise-ft", str(run), "--alpha", "0,0.25"])
    assert result.stdout == f"{run / 'wise-ft-0'}\n{run / 'wise-ft-0.25'}\n"


def test_questions_that_cannot_choose_are_told_before_anything_is_written(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.jsonl: no such file or folder. Name a JSON"):
        sweep(run, [1], tmp_path / "gone.jsonl", None, lambda line: None)
    (tmp_path / "open.jsonl").write_text('{"input_field": "Why?"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"open.jsonl: no question has a right answer"):
        sweep(run, [1], tmp_path / "open.jsonl", None, lambda line: None)
    assert not any(run.glob("wise-ft-*"))


def test_an_infer_that_fails_is_told(run: Path, questions: Path) -> None:
    with pytest.raises(UserError, match=r"`infer run .*wise-ft-1 .*` failed, as told above. The same"):
        sweep(run, [1], questions, -1, lambda line: None)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("vllm"), reason="needs the extra `infer` or `infer-cpu`")
def test_a_kill_costs_no_answer(write_run: WriteRun, tmp_path: Path) -> None:
    data = write_run(tmp_path / "asked", QUESTIONS[:4], QUESTIONS)
    run = train(write_model(tmp_path / "base"), data, tmp_path / "run", rank=2)
    command = [*FINETUNE, "wise-ft", str(run), "--alpha", "0,1", "--questions", str(data)]
    folder = run / "sweep-asked"
    with at_work(command, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is not None or any((folder / "alpha-1").glob("answers/*")))
        os.killpg(process.pid, signal.SIGKILL)
    kept: dict[Path, Any] = {file: file.stat().st_mtime_ns for file in folder.glob("*/answers/*")}
    assert kept
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)
    assert done.returncode == 0, done.stderr
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert (folder / "sweep.json").is_file()
    assert done.stdout.splitlines()[-1].startswith(str(run / "wise-ft-"))
