"""Ranking: NDCG worked out by hand, the parser's quirks, ties."""

import random
from collections import Counter
from math import log2, nan
from typing import Any

import pytest

from datagen.errors import Reject
from datagen.tasks import gold_problem
from datagen.tasks import ranking as task
from datagen.tasks.question import Question


def build(row: dict[str, Any], seed: int = 0) -> Question:
    return task.build(row, random.Random(seed))


def test_a_question_lists_candidates_and_keeps_their_gains() -> None:
    row = {"key": "7", "query": "mug", "candidates": ["lamp", "red mug", "cup"], "gains": [0, 1, 0.1]}
    question = build(row)
    gains = dict(zip(question.candidates, question.target, strict=True))
    assert gains == {"lamp": 0.0, "red mug": 1.0, "cup": 0.1}
    assert set(question.slots) == {"query", *task.SLOTS}
    assert question.slots["listing"].startswith("1. ")
    best_first = [question.candidates[int(number) - 1] for number in task.answer(question).split(",")]
    assert best_first == ["red mug", "cup", "lamp"]
    assert task.gold_text(question) == "1.0 red mug\n0.1 cup\n0.0 lamp"


def test_equal_gains_stand_in_listed_order_and_score_one() -> None:
    question = Question({}, [1, 0.01, 0.1, 1, 0], "ndcg", list("abcde"))
    assert task.answer(question) == "1,4,3,2,5"
    assert gold_problem(task, question) is None


def test_candidates_are_listed_in_every_order() -> None:
    rng = random.Random(2024)
    row = {"candidates": ["a", "b", "c"], "gains": [1, 0.1, 0]}
    orders = Counter(tuple(task.build(row, rng).candidates) for _ in range(6000))
    assert len(orders) == 6
    assert sum((count - 1000) ** 2 / 1000 for count in orders.values()) < 20.5  # 5 degrees, p = 0.001


@pytest.mark.parametrize(
    ("candidates", "gains", "reason"),
    [
        (None, [1, 0], "missing_value"),
        (["a", "b"], None, "missing_value"),
        (["a", None], [1, 0], "missing_value"),
        (["a", "b"], [1, None], "missing_value"),
        (["a"], [1], "too_few_options"),
        ([], [], "too_few_options"),
        (list("abcdef"), [1, 0, 0, 0, 0, 0], "too_many_options"),
        (["a", "b"], [1], "gains_do_not_match_options"),
        (["a", "b"], [1, -0.5], "gain_out_of_range"),
        (["a", "b"], [1, nan], "gain_out_of_range"),
        (["a", "b"], [1, float("inf")], "gain_out_of_range"),
        (["a", "b"], [1, 2000], "gain_out_of_range"),
        (["a", "b"], [0.1, 0.1], "no_order"),
        (["a", "b"], [0, 1e-18], "no_order"),  # 2^gain - 1 is 0 for both
        (["a", ""], [1, 0], "empty_option"),
        (["a", "A "], [1, 0], "repeated_option"),
    ],
)
def test_an_unfair_row_is_rejected_with_its_reason(candidates: Any, gains: Any, reason: str) -> None:
    with pytest.raises(Reject) as caught:
        build({"candidates": candidates, "gains": gains})
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("response", "read"),
    [
        ("4,1,3,2,5", [4, 1, 3, 2, 5]),
        ("4, 1, 3, 2, 5.", [4, 1, 3, 2, 5]),
        ("Answer: [2, 1]", [2, 1]),
        ("1,2,2", []),  # a repeat voids everything
        ("1,2,3,4,5,1", [1, 2, 3, 4, 5]),  # but not after the fifth
        ("7,2,6,1", [2, 1]),  # above five is skipped
        ("0,1", [0, 1]),
        ("1 2 3", []),
        ("1\n2", []),  # 12
        ("٢,١", [2, 1]),
        ("", []),
    ],
)
def test_up_to_five_different_numbers_are_read(response: str, read: list[int]) -> None:
    assert task.parse(response) == read


THIRD = 1 / log2(3)  # the weight of the second rank


@pytest.mark.parametrize(
    ("value", "target", "ndcg"),
    [
        ([1, 2], [1, 0], 1.0),
        ([2, 1], [1, 0], THIRD),
        ([3, 2, 1], [2, 1, 0], (THIRD + 3 / 2) / (3 + THIRD)),
        ([1], [1, 1], 1 / (1 + THIRD)),  # what is not named counts nothing
        ([2, 1, 3, 4], [0, 1], 1.0),  # as many as there are gains are read
        ([4, 1, 2], [0, 1], 0.0),
        ([3, 1], [1, 0], THIRD),  # past the end: nothing
        ([0, 1], [0, 1], 1.0),  # 0 wraps to the last gain
        ([0, 2], [0, 1], 1 + THIRD),  # so that a score can pass 1: ShopBench's own
        ([], [1, 0], 0.0),
        ([1, 2], [0, 0], 0.0),
        ([1], [], 0.0),
    ],
)
def test_ndcg_by_hand(value: list[int], target: list[float], ndcg: float) -> None:
    assert task.score(value, target, "ndcg") == pytest.approx(ndcg, abs=1e-12)


def test_a_task_scores_the_mean_and_leaves_its_targets_alone() -> None:
    targets = [[0.0, 1.0], [0.0, 1.0]]
    assert task.overall([[2, 1], []], targets, "ndcg") == 0.5
    assert targets == [[0.0, 1.0], [0.0, 1.0]]


def test_the_decoder_may_emit_every_order_and_nothing_else() -> None:
    three = task.constraint(Question({}, None, "ndcg", ["a", "b", "c"]))
    assert sorted(three.choices) == ["1,2,3", "1,3,2", "2,1,3", "2,3,1", "3,1,2", "3,2,1"]
    assert three.max_tokens == 5
    unknown = task.constraint(Question({}, None, "ndcg"))
    assert len(unknown.choices) == 120
    assert all(len(task.parse(order)) == 5 for order in unknown.choices)
