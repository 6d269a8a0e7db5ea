"""The `infer` command as people use it: every subcommand's help, output and exit code."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from click import BadParameter
from click.testing import CliRunner, Result

from infer.cli import _Time, main
from tests.conftest import write_model_files


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [
        {
            "input_field": f"Which is {number}?\n0. a\n1. b\nAnswer:",
            "output_field": number % 2,
            "task_name": "pick",
            "task_type": "multiple-choice",
            "metric": "accuracy",
            "is_multiple_choice": True,
            "track": "amazon-kdd-cup-24-user-behavior-alignment",
        }
        for number in range(20)
    ]
    rows.append(
        {
            "input_field": "Same? Answer yes or no.",
            "output_field": "no",
            "task_name": "judge",
            "task_type": "multiple-choice",
            "metric": "bool",
        }
    )
    return written(tmp_path / "questions.jsonl", rows)


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def answers(questions: Path, tmp_path: Path) -> Path:
    rows = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    given = [{"input_field": row["input_field"], "answer": "0"} for row in rows[:15]]
    return written(tmp_path / "answers.jsonl", [*given, {"input_field": "another", "answer": "0"}])


def test_classify_prints_a_line_for_each_question(questions: Path) -> None:
    result = run("classify", questions)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["id"] for row in rows] == [str(number) for number in range(1, 22)]
    assert rows[0]["task_type"] == "multiple_choice"
    assert rows[0]["numbers"] == [0, 1]
    assert set(rows[0]) == {"id", "task_type", "numbers", "text", "language"}


def test_classify_takes_whatever_a_prompt_holds(tmp_path: Path) -> None:
    hostile = [r"Extract the brand.\nTitle: nike \ud800 shoe", " 'a" * 50_000, r"\n1. a" * 100_000]
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(f'{{"input_field": "{prompt}"}}' for prompt in hostile), encoding="utf-8")
    start = time.monotonic()
    result = run("classify", file)
    assert time.monotonic() - start < 20
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["1", "2", "3"]
    assert json.loads(result.stdout.splitlines()[0])["text"] == "nike ? shoe"


def test_the_module_is_the_command() -> None:
    told = subprocess.run([sys.executable, "-m", "infer.cli", "--help"], capture_output=True, text=True)
    assert "infer run finetune/runs/mine/merged" in told.stdout


def test_score_as_json_is_not_rounded(questions: Path, answers: Path) -> None:
    result = run("score", questions, "--answers", answers, "--json")
    assert json.loads(result.stdout) == {
        "overall": 8 / 20,
        "tracks": {"user_behavior_alignment": 8 / 20},
        "tasks": {"pick": {"score": 8 / 20, "n": 20, "metric": "accuracy"}},
    }


def test_score_says_what_is_missing_and_left_out(questions: Path, answers: Path) -> None:
    result = run("score", questions, "--answers", answers)
    assert re.search(r"^over all +0\.400 +0\.\d\d to 0\.\d\d +20 +1 tasks$", result.stdout, re.MULTILINE)
    assert "6 of 21 questions have no answer: each counts as empty" in result.stderr
    assert "1 answers belong to none of the questions" in result.stderr
    assert "not scored: judge (1), as metric bool is none of multiple_choice's" in result.stderr


def test_the_other_grader_reads_otherwise(tmp_path: Path, questions: Path) -> None:
    rows = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    given = written(tmp_path / "a", [{"input_field": row["input_field"], "answer": "\n0"} for row in rows])
    for grader, overall in (("shopbench", 0.5), ("shopping_mmlu", 0.0)):
        result = run("score", questions, "--answers", given, "--grader", grader, "--json")
        assert json.loads(result.stdout)["overall"] == overall


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["classify", "none.jsonl"], 1, "error: none.jsonl: no such file or folder"),
        (["score", "none.jsonl", "--answers", "x"], 1, "error: none.jsonl: no such file or folder"),
        (["score", "none.jsonl"], 2, "Missing option '--answers'"),
        (["compare", "none"], 1, "error: none: not a run of infer"),
        (["run", "m", "--questions", "q", "--runs", __file__], 2, "is a file"),
        (["compare", "m", "--page", str(Path(__file__).parent)], 2, "is a directory"),
        (["compare"], 2, "Missing argument 'RUN...'"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(arguments: list[str], code: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model_files(tmp_path / "mine")


def test_serve_says_at_once_what_cannot_be(model: Path, questions: Path) -> None:
    result = run("serve", model, "--plain", "--questions", questions)
    assert result.exit_code == 2
    assert "--plain has no page" in result.stderr
    result = run("serve", model / "none")
    assert result.exit_code == 1
    assert "no such model folder" in result.stderr


@pytest.mark.parametrize("how", [[], ["--plain"]])
def test_serve_says_that_a_port_is_taken_before_it_loads_the_model(model: Path, how: list[str]) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra `infer` or `infer-cpu`")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("serve", model, "--port", str(port), *how)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"error: port {port} of this machine can't be had (Address already in use). Name another by --port\n"
    )


def test_a_teacher_is_served_plainly(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[object, ...]] = []
    monkeypatch.setattr("infer.serve.openai_server.serve", lambda *given: served.append(given))
    result = run("serve", model, "--name", "mine", "--port", "8123", "--plain")
    assert served == [(model, "mine", "127.0.0.1", 8123)]
    assert "make data RECIPE=reworded TEACHER='mine' BASE_URL=http://127.0.0.1:8123/v1" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("ended", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_what_was_asked_before_its_end(
    tiny_model: Path, with_vllm: None, questions: Path, ended: signal.Signals
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words: list[str | Path] = [sys.executable, "-m", "infer.cli", "serve", tiny_model, "--port", str(port)]
    server = subprocess.Popen(
        [*words, "--questions", questions], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert server.stdout
    assert server.stdout.readline().startswith(f"tiny answers at http://127.0.0.1:{port} (")
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)

    def ask(text: str) -> Any:
        return client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": text}])

    first = ask("Which is 1?\n0. a\n1. b\nAnswer:")
    assert first.choices[0].message.content in ("0", "1")
    assert first.shoptalk["grade"]["score"] in (0, 1)
    with ThreadPoolExecutor(20) as clients:
        asked = [clients.submit(ask, f"Explain lamp {number}.") for number in range(20)]
        time.sleep(0.5)
        server.send_signal(ended)
        assert all(one.result().choices[0].finish_reason for one in asked)
    told = server.communicate(timeout=60)[1]
    client.close()
    assert server.returncode == 0
    assert "stopped. Questions answered: 21" in told


@pytest.mark.parametrize(("text", "minutes"), [("70m", 70), ("70", 70), ("1.5h", 90), ("30s", 0.5)])
def test_times_are_read_in_minutes(text: str, minutes: float) -> None:
    assert _Time()(text) == minutes


@pytest.mark.parametrize("text", ["", "m", "0", "0s", "-1m", "1d", "nan", "9" * 50])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="no time above 0"):
        _Time()(text)
