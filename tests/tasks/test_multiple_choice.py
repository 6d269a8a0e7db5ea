"""Multiple choice: both forms of a query, the parser's quirks, fair positions."""

import random
from collections import Counter
from typing import Any

import pytest

from datagen.errors import Reject, UserError
from datagen.tasks import multiple_choice as task
from datagen.tasks.question import Question


def build(row: dict[str, Any], seed: int = 0) -> Question:
    return task.build(row, random.Random(seed))


@pytest.mark.parametrize(
    "row",
    [
        {"key": "7", "query": "mug", "correct": "red\nmug", "distractors": ["blue mug", "lamp"]},
        {"key": "7", "query": "mug", "options": ["lamp", "red mug", "blue mug"], "answer": 1},
    ],
)
def test_both_forms_give_the_same_question(row: dict[str, Any]) -> None:
    question = build(row)
    assert sorted(question.candidates) == ["blue mug", "lamp", "red mug"]
    assert question.candidates[question.target] == "red mug"
    assert task.answer(question) == str(question.target)
    assert task.gold_text(question) == "red mug"
    assert set(question.slots) == {"query", *task.SLOTS}
    assert question.slots["count"] == 3
    assert question.slots["listing"].split("\n")[question.target] == f"{question.target}. red mug"


def test_options_keep_their_order() -> None:
    row = {"key": "7", "options": ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"], "answer": 3}
    for seed in range(20):
        question = task.build(row, random.Random(seed))
        assert question.candidates == row["options"]
        assert question.target == 3


def test_the_right_option_stands_everywhere_equally_often() -> None:
    rng = random.Random(2024)
    row = {"correct": "a", "distractors": ["b", "c", "d"]}
    rounds = 20_000
    questions = [task.build(row, rng) for _ in range(rounds)]
    orders = Counter(tuple(question.candidates) for question in questions)
    expected = rounds / 24
    chi_squared = sum((count - expected) ** 2 / expected for count in orders.values())
    assert len(orders) == 24
    assert chi_squared < 49.7  # 23 degrees of freedom, p = 0.001


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"correct": None, "distractors": ["b"]}, "missing_value"),
        ({"correct": "a", "distractors": None}, "missing_value"),
        ({"correct": "a", "distractors": ["b", None]}, "missing_value"),
        ({"options": None, "answer": 0}, "missing_value"),
        ({"options": ["a", "b"], "answer": None}, "missing_value"),
        ({"correct": "a", "distractors": []}, "too_few_options"),
        ({"options": [], "answer": 0}, "too_few_options"),
        ({"options": list("abcdefghijk"), "answer": 0}, "too_many_options"),
        ({"correct": "a", "distractors": list("bcdefghijk")}, "too_many_options"),
        ({"options": ["a", "b"], "answer": 2}, "answer_out_of_range"),
        ({"options": ["a", "b"], "answer": -1}, "answer_out_of_range"),
        ({"correct": " ", "distractors": ["b"]}, "empty_option"),
        ({"correct": "a", "distractors": ["A"]}, "repeated_option"),
    ],
)
def test_an_unfair_row_is_rejected_with_its_reason(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(Reject) as caught:
        build(row)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("response", "read"),
    [
        ("2", 2),
        (" \n2\n", 2),
        ("2. the red mug", 2),
        ("10", 1),  # one digit is read
        ("٣", 3),  # an Arabic digit is an int
        ("３", 3),
        ("²", -1),  # numeric, but no int
        ("Option 2", -1),
        ("-1", -1),
        ("(2)", -1),
        ("", -1),
        (" " * 5000 + "2", -1),  # cut away before it is stripped
    ],
)
def test_the_first_character_is_the_answer(response: str, read: int) -> None:
    assert task.parse(response) == read


def test_a_task_scores_its_share_of_right_numbers() -> None:
    assert task.score(2, 2, "accuracy") == 1.0
    assert task.score(-1, 2, "accuracy") == 0.0
    assert task.overall([2, 1, -1, 0], [2, 2, 2, 0], "accuracy") == 0.5


def test_another_metric_is_refused() -> None:
    with pytest.raises(UserError, match="accuracy"):
        task.score(1, 1, "bool")


def test_the_decoder_may_emit_one_of_the_options_digits() -> None:
    three = task.constraint(Question({}, None, "accuracy", ["a", "b", "c"]))
    assert (three.choices, three.max_tokens) == (("0", "1", "2"), 1)
    unknown = task.constraint(Question({}, None, "accuracy"))
    assert unknown.choices == tuple("0123456789")
