"""The driver: what a submission is given, what its clocks do, and what is kept where it fails."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from datagen.errors import UserError
from datagen.shopbench.questions import Asked, read_questions
from datagen.storage.files import sha256
from datagen.storage.folder_lock import held
from infer import drive as driver
from infer.answers import read_answers
from infer.cli import main
from infer.drive import drive
from infer.drive_report import summary

ENTRY = """
import json, os, pathlib, sys, time

class UserModel:
    def get_batch_size(self):
        return {size}

    def batch_predict(self, batch, is_multiple_choice):
        print("loud")
        prompts = batch["prompt"]
        with open({seen!r}, "a") as file:
            file.write(json.dumps([sorted(batch), len(prompts), is_multiple_choice]) + "\\n")
        {body}
"""


def submission(folder: Path, body: str = 'return ["1" for _ in prompts]', size: object = 4) -> Path:
    """A folder with a class that needs no model."""
    folder.mkdir()
    text = ENTRY.format(size=size, seen=str(folder.parent / "seen"), body=body)
    (folder / "user_config.py").write_text(text)
    (folder / "submission.json").write_text('{"model": "none", "track": "all"}')
    (folder / "SHA256SUMS").write_text(f"{sha256(folder / 'user_config.py')}  user_config.py\n")
    return folder


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Six of multiple choice and five texts, in turn."""
    rows = []
    for number in range(11):
        choice = number % 2 == 0
        options = "".join(f"\n{option}. {word}" for option, word in enumerate(["lamp", "mug"]))
        rows.append(
            {
                "input_field": f"Which is number {number}?{options}\nAnswer: "
                if choice
                else f"Explain {number}.",
                "output_field": 1 if choice else "1",
                "task_name": "pick" if choice else "explain",
                "task_type": "multiple-choice" if choice else "generation",
                "metric": "accuracy" if choice else "rougel",
                "is_multiple_choice": choice,
            }
        )
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def asked(questions: Path) -> list[Asked]:
    return read_questions(questions)


def run(folder: Path, asked: list[Asked], seconds: float = 60) -> dict[str, Any]:
    return drive(folder, asked, folder.parent / "run", "all", seconds)


def test_it_gets_prompts_of_one_flag_in_batches_of_its_size(tmp_path: Path, asked: list[Asked]) -> None:
    done = run(submission(tmp_path / "sub"), asked)
    seen = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    assert seen == [[["prompt"], n, flag] for n, flag in [(4, True), (2, True), (4, False), (1, False)]]
    assert (done["answered"], done["left"], done["late"], done["finished"]) == (11, 0, 0, True)
    assert read_answers(tmp_path / "run", asked).texts == ("1",) * 11
    assert "loud" in (tmp_path / "run/log.txt").read_text()


def test_answers_that_do_not_parse_are_counted_by_type(tmp_path: Path, asked: list[Asked]) -> None:
    done = run(submission(tmp_path / "sub", 'return ["x"] * len(prompts)'), asked)
    assert done["unparsed"] == {"generation": 0, "multiple_choice": 6}
    assert "multiple_choice 6" in summary(done, tmp_path)


def test_what_the_limit_did_to_answers_is_told(tmp_path: Path, asked: list[Asked]) -> None:
    body = (
        'self.problems = ["time_up" if is_multiple_choice else "answer_shortened"] * len(prompts); '
        'return ["1"] * len(prompts)'
    )
    folder = submission(tmp_path / "sub", body)
    (folder / "submission.json").write_text(
        '{"model": "none", "track": "concepts", "minutes": 70, "questions": {"multiple_choice": 11130}}'
    )
    done = drive(folder, asked, tmp_path / "run")
    assert (done["shortened"], done["by_rule"]) == (5, 6)
    assert (
        "answers that are shortened: 5; by rule, without the model: 6, as 11,130 questions are to come in "
        "70 minutes, by submission.json. --time-limit gives these alone so long\n"
    ) in summary(done, tmp_path)
    told = {row["problem"] for row in pq.read_table(tmp_path / "run" / "answers").to_pylist()}
    assert told == {"time_up", "answer_shortened"}


@pytest.mark.parametrize("said", ["'late'", "['late']", "[1] * len(prompts)", "{}"])
def test_what_another_class_calls_problems_is_passed_over(
    tmp_path: Path, asked: list[Asked], said: str
) -> None:
    body = f'self.problems = {said}; return ["1"] * len(prompts)'
    done = run(submission(tmp_path / "sub", body, 3), asked)
    assert (done["shortened"], done["by_rule"], done["late"]) == (0, 0, 0)


def test_of_a_track_that_takes_too_long_it_is_told_how_many_go_by_rule(tmp_path: Path) -> None:
    limit = {"minutes": 70, "questions": {"multiple_choice": 11130}}
    of = {"rows": 11}
    done = {"answered": 11, "questions": of, "seconds": 9.0, "loading_seconds": 0, "slowest_batch": None}
    done |= {"late": 0, "left": 0, "unparsed": {}, "shortened": 0, "by_rule": 0}
    pace = {"seconds_a_question": {"multiple_choice": 0.7, "other": 0.7}}
    text = summary({**done, **pace, "track": "concepts", "limit": limit}, tmp_path)
    assert text.endswith(
        "at this pace the 11,130 questions of concepts take 2.2 hours, and it has 70 minutes: answers would "
        "be shortened, and where that does not do up to 5,430 of them be by rule"
    )


def test_a_batch_over_its_time_counts_as_empty(
    tmp_path: Path, asked: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SECONDS_A_QUESTION", 0.2)
    body = 'time.sleep(0 if is_multiple_choice else 0.9); return ["1"] * len(prompts)'
    done = run(submission(tmp_path / "sub", body), asked)
    assert (done["late"], done["answered"]) == (5, 11)
    assert read_answers(tmp_path / "run", asked).texts == ("1", "") * 5 + ("1",)


def test_what_was_answered_before_the_limit_is_kept(tmp_path: Path, asked: list[Asked]) -> None:
    body = 'time.sleep(0 if is_multiple_choice else 60); return ["1"] * len(prompts)'
    done = run(submission(tmp_path / "sub", body), asked, 4)
    assert (done["answered"], done["left"], done["finished"]) == (6, 5, False)
    assert done["seconds"] < 30
    assert read_answers(tmp_path / "run", asked).missing == 5


@pytest.mark.parametrize(
    ("body", "size", "message"),
    [
        ("os._exit(3)", 4, r"its process ended by itself \(exit code 3\): .*, after 0 of 11 questions"),
        ("raise ValueError('no')", 4, r"exit code 1\): ValueError: no, after 0 of 11"),
        ("return prompts[1:]", 4, r"batch_predict\(\) of 4 prompts gave .* not a list of 4 texts"),
        ("return [1] * len(prompts)", 4, "not a list of 4 texts"),
        (
            "os.write(int(os.listdir('/proc/self/fd')[3]), b'[1\\n')",
            4,
            "wrote to a file that it did not open",
        ),
        ("return None", 17, r"get_batch_size\(\) gave 17, which is no number from 1 to 16"),
    ],
)
def test_a_submission_that_fails_is_told_of(
    tmp_path: Path, asked: list[Asked], body: str, size: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(submission(tmp_path / "sub", body, size), asked)
    assert json.loads((tmp_path / "run/run.json").read_text())["died"]


def test_answers_so_far_are_kept_where_it_dies(tmp_path: Path, asked: list[Asked]) -> None:
    body = 'is_multiple_choice or os._exit(1); return ["1"] * len(prompts)'
    with pytest.raises(UserError, match="after 6 of 11 questions"):
        run(submission(tmp_path / "sub", body), asked)
    assert len(pq.read_table(tmp_path / "run/answers")) == 6


def test_nothing_of_a_checkout_can_be_imported(tmp_path: Path, asked: list[Asked]) -> None:
    with pytest.raises(UserError, match="No module named 'infer'"):
        run(submission(tmp_path / "sub", "import infer"), asked)


def test_a_folder_that_was_changed_or_is_none_is_refused(tmp_path: Path, asked: list[Asked]) -> None:
    with pytest.raises(UserError, match=r"no submission: .* Write one by: finetune submit MODEL"):
        run(tmp_path, asked)
    folder = submission(tmp_path / "sub")
    (folder / "user_config.py").write_text("pass")
    with pytest.raises(UserError, match=r"user_config.py: not the file that SHA256SUMS lists"):
        run(folder, asked)


def test_other_answers_are_not_replaced_and_a_drive_is(tmp_path: Path, asked: list[Asked]) -> None:
    folder = submission(tmp_path / "sub")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text("{}")
    with pytest.raises(UserError, match="holds something else than a drive's answers"):
        run(folder, asked)
    (tmp_path / "run/run.json").write_text('{"driven": true}')
    assert run(folder, asked)["finished"]


def test_the_command_says_what_it_took(tmp_path: Path, questions: Path) -> None:
    folder = submission(tmp_path / "sub")
    words = ["drive", str(folder), "--questions", str(questions), "--runs", str(tmp_path / "runs")]
    found = CliRunner().invoke(main, [*words, "--track", "concepts"], catch_exceptions=False)
    assert found.exit_code == 0
    assert "11 of 11 questions answered in" in found.stdout
    assert "the 11,130 questions of concepts take" in found.stdout
    assert (tmp_path / "runs/sub-questions-drive/run.json").is_file()
    wrong = CliRunner().invoke(main, [*words, "--time-limit", "soon"])
    assert (wrong.exit_code, "`soon` is no time above 0: write 70m, 90s or 1.5h" in wrong.stderr) == (2, True)


def test_the_folders_own_limit_counts(tmp_path: Path, asked: list[Asked]) -> None:
    folder = submission(tmp_path / "sub", "return [os.environ['SHOPTALK_LIMIT']] * len(prompts)")
    own = {"minutes": 0.5, "questions": {"ranking": 7}}
    (folder / "submission.json").write_text(json.dumps({"track": "all", **own}))
    done = drive(folder, asked, tmp_path / "run")
    assert (done["limit"], done["track"]) == (own, "all")
    assert json.loads(read_answers(tmp_path / "run", asked).texts[0]) == own
    done = drive(folder, asked, tmp_path / "run", "reasoning")
    assert done["limit"] == {"minutes": 20, "questions": {"multiple_choice": 6, "generation": 5}}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{}", "submission.json: `track` is None, and not one of concepts,"),
        ('{"track": "nonsense"}', "`track` is 'nonsense'"),
        ('{"track": "all"}', "submission.json: no time limit: KeyError"),
        (
            '{"track": "all", "minutes": "soon", "questions": {}}',
            "submission.json: no time limit: ValueError",
        ),
    ],
)
def test_a_submission_json_that_is_none_is_refused(
    tmp_path: Path, asked: list[Asked], said: str, message: str
) -> None:
    folder = submission(tmp_path / "sub")
    (folder / "submission.json").write_text(said)
    with pytest.raises(UserError, match=message):
        drive(folder, asked, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_drive_at_a_time_answers_into_a_run(tmp_path: Path, asked: list[Asked]) -> None:
    folder = submission(tmp_path / "sub")
    run(folder, asked)
    before = sorted((tmp_path / "run").rglob("*"))
    with held(tmp_path / "run", "it is answered into"), pytest.raises(UserError, match="answered into by"):
        run(folder, asked)
    assert sorted((tmp_path / "run").rglob("*")) == before
    assert run(folder, asked[:2])["answered"] == 2
    assert len(read_questions(tmp_path / "run")) == 2


def test_numpys_numbers_are_numbers(tmp_path: Path, asked: list[Asked]) -> None:
    assert run(submission(tmp_path / "sub", size="__import__('numpy').int64(11)"), asked)["finished"]


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/../../out", "."])
@pytest.mark.parametrize("command", ["run", "drive"])
def test_a_name_that_leads_out_of_all_runs_is_refused(
    tmp_path: Path, questions: Path, command: str, name: str
) -> None:
    words = [command, str(tmp_path), "--questions", str(questions), "--name", name]
    found = CliRunner().invoke(main, [*words, "--runs", str(tmp_path / "runs")])
    assert (found.exit_code, f"--name {name}: not below" in found.stderr) == (2, True)
