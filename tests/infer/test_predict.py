"""Runs: saved batch by batch, resumed to the same answers, with a count of what was left out.

The fast tests put a counter in vLLM's place; the slow one kills the real command.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from datagen.errors import UserError
from datagen.hf.checkpoint import ORIGIN
from datagen.prompts.chat import chat
from datagen.schema import TaskType
from datagen.shopbench.questions import Asked, read_questions
from infer.cli import main
from infer.predict import ANSWER_ROW, Report, predict, run_name
from infer.run_file import summary
from infer.serve.engine import Request, Response, Settings, Text
from tests.conftest import write_model_files

OPTIONS = "\n0. a lamp\n1. a chair\n2. a mug\nAnswer: "


class Letters:
    """A tokenizer of one token a character."""

    added_tokens_decoder: dict[int, Any] = {}  # noqa: RUF012
    eos_token_id = 0

    def apply_chat_template(self, conversation: list[dict[str, str]], /, **_: Any) -> str:
        return "\n".join(message["content"] for message in conversation)

    def encode(self, text: str, /, **_: Any) -> list[int]:
        return list(map(ord, text))


class Counter:
    """In vLLM's place: gives something that each constraint admits; after `calls`, Ctrl-C is pressed."""

    def __init__(self, calls: int = 10**9, clock: "Clock | None" = None) -> None:
        self.tokenizer, self.asked, self.weighed = Letters(), [], []  # type: ignore[var-annotated]
        self.calls, self.clock = calls, clock

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        if not self.calls:
            raise KeyboardInterrupt
        self.calls -= 1
        self.asked += requests
        if self.clock:
            self.clock.now += 1.0 * len(requests)
        return [Response(self._text(request), len(request.ids), 2, "stop") for request in requests]

    def likelihoods(self, texts: Sequence[Text]) -> list[float]:
        self.weighed += texts
        return [-float(len(text.ids) - text.start) for text in texts]

    def _text(self, request: Request) -> str:
        choices = request.constraint.choices
        return choices[len(request.ids) % len(choices)] if choices else "a text"


class Clock:
    """Seconds that pass when told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that sends four questions together, whatever this one is."""
    monkeypatch.setattr("infer.predict.settings", lambda folder: Settings("cpu", "float32", 2000, batch=4))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with the files of a model; nobody loads it."""
    return write_model_files(tmp_path / "models" / "mine")


def choice(number: int) -> Asked:
    prompt = f"Which of these is in picture {number}{'!' * (number % 3)}?{OPTIONS}"
    return Asked(f"c{number}", prompt, True, "choices", TaskType.MULTIPLE_CHOICE, "", "accuracy", 1, "en")


def text(number: int) -> Asked:
    prompt = f"Explain the product type lamp {number}."
    return Asked(f"t{number}", prompt, False, "texts", TaskType.GENERATION, "", "rougel", "a lamp", "en")


QUESTIONS = [*map(choice, range(18)), *map(text, range(6))]


def rows(run: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((run / "answers").iterdir()) for row in pq.read_table(path).to_pylist()]


def answers(run: Path) -> list[tuple[Any, ...]]:
    """All that an answer is, but for the time it took."""
    return [tuple(value for name, value in row.items() if name != "seconds") for row in rows(run)]


def ask(
    run: Path, model: Path, counter: Counter, asked: Sequence[Asked] = QUESTIONS, **how: Any
) -> dict[str, Any]:
    return predict(asked, str(model), run, load=lambda folder, settings: counter, **how)


def test_options_are_chosen_by_text_where_the_model_was_trained_so(tmp_path: Path, model: Path) -> None:
    (model / ORIGIN).write_text('{"choose": "text"}')
    counter = Counter()
    done = ask(tmp_path / "run", model, counter)
    assert done["choose"] == "text"
    assert len(counter.asked) == 6  # the texts to write
    assert len(counter.weighed) == 18 * 3 * 2  # each option after its question, and after none
    chosen = [row for row in rows(tmp_path / "run") if row["task_type"] == "multiple_choice"]
    assert {(row["raw"], row["constraint"], row["tokens"]) for row in chosen} == {("0", "text", 0)}
    assert all(row["prompt_tokens"] > 100 for row in chosen)
    with pytest.raises(UserError, match='choose: there "text", now "number"'):
        ask(tmp_path / "run", model, Counter(), choose="number")


def test_every_question_has_one_answer_and_the_run_says_how_it_went(tmp_path: Path, model: Path) -> None:
    done = ask(tmp_path / "run", model, Counter())
    assert sorted(row["id"] for row in rows(tmp_path / "run")) == sorted(q.id for q in QUESTIONS)
    assert done["finished"] is True
    assert (done["answered"], done["left"], done["problems"]) == (24, 0, {})
    assert done["parsed"] == {"generation": 1.0, "multiple_choice": 1.0}
    assert done["guessed_right"] == 1.0
    assert done["peak_memory_gib"] > 0
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == done
    assert read_questions(tmp_path / "run" / "questions.parquet") == QUESTIONS
    for path in (tmp_path / "run" / "answers").iterdir():
        assert pq.read_schema(path).equals(ANSWER_ROW)
    by_id = {row["id"]: row for row in rows(tmp_path / "run")}
    assert by_id["t0"]["raw"] == "a text"
    assert by_id["t0"]["value"] == '"a text"'
    assert by_id["c0"]["value"] == by_id["c0"]["raw"]
    assert by_id["c0"]["constraint"] == "choice"


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_a_stopped_run_asks_for_what_is_missing_and_ends_the_same(
    tmp_path: Path, model: Path, calls: int
) -> None:
    ask(tmp_path / "whole", model, Counter())
    stopped, second = Counter(calls), Counter()
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path / "run", model, stopped)
    done = ask(tmp_path / "run", model, second)
    assert len(stopped.asked) + len(second.asked) == len(QUESTIONS)
    assert answers(tmp_path / "run") == answers(tmp_path / "whole")
    assert done["finished"] is True


def test_answers_that_are_cut_off_are_named_and_given_again(tmp_path: Path, model: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        ask(run, model, Counter(calls=2))
    file = run / "answers" / "00000.parquet"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(
        UserError, match=rf"{file}: not a whole Parquet file\. Remove it and run the same again"
    ):
        ask(run, model, Counter())
    file.unlink()
    assert ask(run, model, Counter())["answered"] == 24


def test_answers_that_are_in_files_of_another_release_s_batches_are_not_taken(
    tmp_path: Path, model: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        ask(run, model, Counter(calls=2))
    first, second = (run / "answers" / f"{number:05}.parquet" for number in range(2))
    first.rename(second)
    with pytest.raises(UserError, match=rf"{second}: answers to other questions .* Remove {run}/answers "):
        ask(run, model, Counter())


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_a_time_limit_that_is_no_time_is_refused(tmp_path: Path, model: Path, minutes: float) -> None:
    with pytest.raises(UserError, match=r"a time limit of .* minutes: give one above 0"):
        ask(tmp_path / "run", model, Counter(), minutes=minutes)


def test_a_full_disk_is_told_in_one_line(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(table: object, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("infer.predict.write_parquet", full)
    with pytest.raises(UserError, match=rf"{tmp_path}/run: the disk is full\. What is done is kept"):
        ask(tmp_path / "run", model, Counter())


def test_a_finished_run_is_not_asked_again(tmp_path: Path, model: Path) -> None:
    done = ask(tmp_path / "run", model, Counter())
    again, said = Counter(calls=0), []  # type: ignore[var-annotated]
    report = Report(say=said.append, progress=lambda done, total: None)
    assert ask(tmp_path / "run", model, again, report=report) == done
    assert again.asked == []
    assert said == [f"{tmp_path}/run is answered already"]


def test_answers_that_were_removed_from_a_finished_run_are_given_again(tmp_path: Path, model: Path) -> None:
    run = tmp_path / "run"
    done = ask(run, model, Counter())
    before = answers(run)
    (run / "answers" / "00001.parquet").unlink()
    assert ask(run, model, Counter(calls=1))["answered"] == done["answered"]
    assert answers(run) == before


def test_another_model_setting_or_question_under_the_same_name_is_refused(
    tmp_path: Path, model: Path
) -> None:
    run = tmp_path / "run"
    ask(run, model, Counter())
    before = answers(run)
    with pytest.raises(UserError, match="constrained: there true, now false"):
        ask(run, model, Counter(), constrained=False)
    with pytest.raises(UserError, match=r'questions: there \{"rows": 24'):
        ask(run, model, Counter(), [replace(QUESTIONS[0], prompt="Which?"), *QUESTIONS[1:]])
    (model / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"(?s)--name.*model: there"):
        ask(run, model, Counter())
    assert answers(run) == before


def test_a_model_that_was_moved_is_the_same(tmp_path: Path, model: Path) -> None:
    done = ask(tmp_path / "run", model, Counter())
    moved = model.rename(model.with_name("elsewhere"))
    assert ask(tmp_path / "run", moved, Counter(calls=0)) == done


def test_a_run_tells_where_its_model_is_but_no_path_of_the_machine(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(name: str, run: str) -> str:
        path: str = predict(QUESTIONS[:1], name, tmp_path / run, load=lambda folder, settings: Counter())[
            "model"
        ]["path"]
        return path

    monkeypatch.chdir(tmp_path)
    assert told(str(model), "below") == told("models/mine", "relative") == "models/mine"
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert told(str(model), "absolute") == told("../models/mine", "beside") == "mine"
    monkeypatch.setattr("infer.predict.model_folder", lambda name: model)  # as the hub's cache gives it
    assert told("nobody/mine", "hub") == "nobody/mine"


def test_odd_questions_are_counted_and_take_nobody_with_them(tmp_path: Path, model: Path) -> None:
    odd = [
        replace(text(90), id="empty", prompt=" "),
        replace(text(91), id="long", prompt="word " * 20_000),
        replace(text(92), id="half", prompt="Explain \ud800."),
    ]
    done = ask(tmp_path / "run", model, Counter(), [*odd, *QUESTIONS])
    problems = {row["id"]: row["problem"] for row in rows(tmp_path / "run") if row["problem"]}
    assert problems == {"empty": "empty_prompt", "long": "prompt_cut", "half": "characters_replaced"}
    assert done["problems"] == dict.fromkeys(problems.values(), 1)
    assert done["answered"] == 27


def test_a_question_that_rules_cannot_read_is_counted(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(prompt: str, flag: bool | None) -> None:
        raise RecursionError("too\ndeep")

    monkeypatch.setattr("infer.serve.prepare.classify", broken)
    done = ask(tmp_path / "run", model, Counter())
    assert done["unread"] == {"questions": 24, "first": "RecursionError: too deep"}
    assert "24 questions could not be read for their task type" in summary(done, tmp_path)
    assert summary(done, tmp_path).count("RecursionError: too deep") == 1


def test_the_system_message_is_of_the_guessed_type_and_not_of_the_files(tmp_path: Path, model: Path) -> None:
    lying = replace(choice(1), task_type=TaskType.GENERATION)
    counter = Counter()
    done = ask(tmp_path / "run", model, counter, [lying])
    sent = "".join(map(chr, counter.asked[0].ids))
    assert sent == "\n".join(m["content"] for m in chat(TaskType.MULTIPLE_CHOICE, lying.prompt))
    assert done["guessed_right"] == 0.0


def test_a_time_limit_is_told_at_once_and_leaves_no_question_out(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, said = Clock(), []  # type: ignore[var-annotated]
    monkeypatch.setattr("infer.predict.time", clock)
    report = Report(say=said.append, progress=lambda done, total: None)
    done = ask(tmp_path / "run", model, Counter(clock=clock), minutes=14 / 60, report=report)
    assert said[0].endswith(
        "questions: answers are shortened, and where that does not do, those that take longest are by rule"
    )
    assert sum("the time limit leaves" in line for line in said) == 1
    assert clock.now - 1000 <= 14
    assert (done["answered"], done["left"], done["finished"]) == (24, 0, True)
    assert 8 <= done["problems"]["time_up"] <= 14
    assert f"not asked as they are: time_up {done['problems']['time_up']}" in summary(done, tmp_path)
    assert all(row["value"] in "012" for row in rows(tmp_path / "run") if row["id"].startswith("c"))


def test_a_limit_that_suffices_says_no_more_than_how_long(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, said = Clock(), []  # type: ignore[var-annotated]
    monkeypatch.setattr("infer.predict.time", clock)
    report = Report(say=said.append, progress=lambda done, total: None)
    done = ask(tmp_path / "run", model, Counter(clock=clock), minutes=1, report=report)
    assert said == ["16 questions to go, about 16 seconds"]
    assert done["finished"] is True


def test_unconstrained_asks_for_free_answers(tmp_path: Path, model: Path) -> None:
    counter = Counter()
    ask(tmp_path / "run", model, counter, constrained=False)
    assert not any(r.constraint.choices or r.constraint.regex or r.constraint.favoured for r in counter.asked)


def test_names_tell_model_questions_and_how_they_are_asked() -> None:
    assert run_name("finetune/runs/mine/merged", Path("runs/esci_mcq"), None, False) == "mine-esci_mcq"
    assert run_name("org/Model", Path("dev.jsonl"), 50, True) == "Model-dev-50-unconstrained"


@pytest.mark.parametrize("by_make", [False, True])
def test_the_next_step_is_told_where_nobody_takes_it(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, by_make: bool
) -> None:
    monkeypatch.setattr("infer.predict.predict", partial(predict, load=lambda folder, settings: Counter()))
    if by_make:
        monkeypatch.setenv("MAKELEVEL", "1")
    else:
        monkeypatch.delenv("MAKELEVEL", raising=False)
    (tmp_path / "q.jsonl").write_text('{"input_field": "Explain lamp."}\n')
    run = ["run", str(model), "--questions", str(tmp_path / "q.jsonl"), "--runs", str(tmp_path)]
    result = CliRunner().invoke(main, run, catch_exceptions=False)
    assert result.stdout.startswith(f"{tmp_path}/mine-q: 1 of 1 questions answered in ")
    told = f"Next: infer score {tmp_path}/q.jsonl --answers {tmp_path}/mine-q\n"
    assert result.stdout.endswith(told) is not by_make
    few = CliRunner().invoke(main, [*run, "--limit", "1"], catch_exceptions=False).stdout
    assert (
        few.endswith(f"Next: infer score {tmp_path}/mine-q-1 --answers {tmp_path}/mine-q-1\n") is not by_make
    )


def test_a_folder_that_is_no_model_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"input_field": "Explain lamp."}\n')
    result = CliRunner().invoke(main, ["run", str(tmp_path), "--questions", str(tmp_path / "q.jsonl")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {tmp_path}: no model: it has no config.json")


@pytest.mark.slow
def test_the_command_goes_on_after_kill_9(tmp_path: Path, tiny_model: Path, with_vllm: None) -> None:
    source = tmp_path / "questions.jsonl"
    lines = [{"input_field": q.prompt, "is_multiple_choice": q.is_multiple_choice} for q in QUESTIONS * 20]
    source.write_text("\n".join(map(json.dumps, lines)))
    infer = Path(sys.executable).with_name("infer")
    command: list[str | Path] = [infer, "run", tiny_model, "--questions", source, "--runs"]
    subprocess.run([*command, tmp_path / "whole"], check=True, capture_output=True, timeout=300)
    killed = subprocess.Popen(
        [*command, tmp_path / "runs"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    run, whole = tmp_path / "runs" / "tiny-questions", tmp_path / "whole" / "tiny-questions"
    deadline = time.monotonic() + 200
    while len(list(run.glob("answers/*.parquet"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    there = len(list(run.glob("answers/*.parquet")))
    assert 2 <= there < len(list(whole.glob("answers/*.parquet")))
    again = subprocess.run(
        [*command, tmp_path / "runs"], check=True, capture_output=True, text=True, timeout=300
    )
    assert answers(run) == answers(whole)
    assert "480 of 480 questions answered" in again.stdout
