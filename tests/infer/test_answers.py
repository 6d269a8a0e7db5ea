"""The matching of answers to questions: each finds its own; what is missing or left over is counted."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.errors import UserError
from datagen.shopbench.questions import COPY, Asked, to_table
from infer.answers import read_answers


def asked(*prompts: str) -> list[Asked]:
    return [
        Asked(str(number), prompt, None, "", None, "", "", None, None)
        for number, prompt in enumerate(prompts)
    ]


def written(path: Path, *rows: Any) -> Path:
    path.write_text(
        "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8"
    )
    return path


def test_a_files_answers_belong_to_questions_by_their_text(tmp_path: Path) -> None:
    file = written(
        tmp_path / "a.jsonl",
        {"input_field": "b", "answer": "B"},
        {"input_field": "a", "answer": 2},
        {"input_field": "x", "answer": "X"},
    )
    found = read_answers(file, asked("a", "b", "c"))
    assert found.texts == ("2", "B", "")
    assert (found.missing, found.unknown, found.surplus) == (1, 1, 0)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("3.0", "3"),
        ("1e3", "1000"),
        ("-0.0", "0"),
        ("0.5", "0.5"),
        ('"3.0"', "3.0"),
        ('"3,1"', "3,1"),
        ("1" * 300, "1" * 300),
    ],
)
def test_a_number_that_was_in_a_table_of_floats_is_the_number(tmp_path: Path, answer: str, text: str) -> None:
    file = written(tmp_path / "a.jsonl", f'{{"input_field": "a", "answer": {answer}}}')
    assert read_answers(file, asked("a")).texts == (text,)


@pytest.mark.parametrize("nothing", ["NaN", "null"])
def test_what_a_table_holds_for_nothing_is_no_answer(tmp_path: Path, nothing: str) -> None:
    rows = f'{{"input_field": "a", "answer": {nothing}}}', {"input_field": "b", "answer": "1"}
    found = read_answers(written(tmp_path / "a.jsonl", *rows), asked("a", "b"))
    assert (found.texts, found.missing) == (("", "1"), 1)


def test_answers_beyond_the_first_are_counted(tmp_path: Path) -> None:
    rows = [
        {"input_field": text, "answer": text.upper() + str(number)} for number in (1, 2) for text in "abx"
    ]
    found = read_answers(written(tmp_path / "a.jsonl", *rows), asked("a", "b", "b"))
    assert found.texts == ("A1", "B1", "B2")
    assert (found.missing, found.unknown, found.surplus) == (0, 2, 1)


def test_half_a_surrogate_pair_in_an_answer_is_read_as_in_a_question(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", {"input_field": "a", "answer": "shoe \ud83d"})
    assert read_answers(file, asked("a")).texts == ("shoe ?",)


def test_a_question_asked_twice_takes_its_answers_in_turn(tmp_path: Path) -> None:
    one = {"input_field": "a", "answer": "1"}
    assert read_answers(written(tmp_path / "a", one), asked("a", "a")).texts == ("1", "1")
    two = {"input_field": "a", "answer": "2"}
    assert read_answers(written(tmp_path / "b", one, two), asked("a", "a", "a")).texts == ("1", "2", "2")


def test_a_runs_answers_belong_to_questions_by_id(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.mkdir()
    pq.write_table(pa.table({"id": ["1", "9"], "raw": ["B", "X"]}), folder / "00000.parquet")
    pq.write_table(pa.table({"id": ["0", "2"], "raw": ["A", None]}), folder / "00001.parquet")
    found = read_answers(tmp_path, asked("a", "b", "c"))
    assert found.texts == ("A", "B", "")
    assert (found.missing, found.unknown) == (1, 1)


def test_an_answer_to_something_else_of_the_same_id_is_refused(tmp_path: Path) -> None:
    (tmp_path / "answers").mkdir()
    pq.write_table(pa.table({"id": ["0", "1"], "raw": ["A", "B"]}), tmp_path / "answers" / "00000.parquet")
    pq.write_table(to_table(asked("a", "b")), tmp_path / COPY)
    assert read_answers(tmp_path, asked("a", "b", "c")).texts == ("A", "B", "")
    with pytest.raises(UserError, match="was asked something else than '1' of these questions"):
        read_answers(tmp_path, asked("a", "x"))


def test_answers_that_are_cut_off_or_no_answers_are_named(tmp_path: Path) -> None:
    (tmp_path / "answers").mkdir()
    file = tmp_path / "answers" / "00000.parquet"
    pq.write_table(pa.table({"id": ["0"], "text": ["A"]}), file)
    with pytest.raises(UserError, match="cannot be read as answers"):
        read_answers(tmp_path, asked("a"))
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match="cannot be read as answers"):
        read_answers(tmp_path, asked("a"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"a\.jsonl:1: not JSON"),
        ("[" * 100_000, r"a\.jsonl:1: not JSON"),
        ({"input_field": "a"}, r"a\.jsonl:1: has not both"),
        ({"answer": "a"}, r"a\.jsonl:1: has not both"),
        ({"input_field": "a", "answer": True}, r"a\.jsonl:1: the answer True is no text"),
        ({"input_field": "a", "answer": float("inf")}, r"a\.jsonl:1: the answer inf is no text"),
        ({"input_field": "a", "answer": [3.0, 1.0]}, r"a\.jsonl:1: the answer \[3\.0, 1\.0\] is no text"),
        ('{"input_field": "a", "answer": ' + "9" * 5000 + "}", r"a\.jsonl:1: not JSON \(Exceeds the limit"),
        ({"input_field": "a", "answer": [1, 2]}, r"a\.jsonl:1: the answer \[1, 2\] is no text"),
        ({"input_field": "other", "answer": "1"}, "none of its 1 answers belongs to one of the 1 questions"),
    ],
)
def test_what_cannot_be_an_answer_is_named(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_answers(written(tmp_path / "a.jsonl", line), asked("a"))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no answers/\*\.parquet"):
        read_answers(tmp_path, asked("a"))
    with pytest.raises(UserError, match="no such file or folder"):
        read_answers(tmp_path / "none", asked("a"))
