"""Retrieval: hit rate worked out by hand, the parser's quirks, the shape of an answer."""

import random
import re
from collections import Counter
from typing import Any

import pytest

from datagen.errors import Reject
from datagen.tasks import retrieval as task
from datagen.tasks.question import Question


def build(row: dict[str, Any], seed: int = 0) -> Question:
    return task.build(row, random.Random(seed))


def test_a_question_asks_for_exactly_the_right_candidates() -> None:
    row = {"key": "7", "query": "mug", "positives": ["red mug", "cup"], "negatives": ["lamp", "sofa", "hat"]}
    question = build(row)
    assert set(question.slots) == {"query", *task.SLOTS}
    assert (question.slots["count"], question.slots["asked"]) == (5, 2)
    assert question.slots["listing"].startswith("1. ")
    assert {question.candidates[number - 1] for number in question.target} == {"red mug", "cup"}
    assert task.answer(question) == ",".join(map(str, sorted(question.target)))
    assert task.gold_text(question) == "cup\nred mug"


def test_right_candidates_stand_everywhere_equally_often() -> None:
    rng = random.Random(2024)
    row = {"positives": ["a"], "negatives": list("bcdefghij")}
    places = Counter(task.build(row, rng).target[0] for _ in range(10_000))
    assert len(places) == 10
    assert sum((count - 1000) ** 2 / 1000 for count in places.values()) < 27.9  # 9 degrees, p = 0.001


@pytest.mark.parametrize(
    ("positives", "negatives", "reason"),
    [
        (None, ["b"], "missing_value"),
        (["a"], None, "missing_value"),
        (["a", None], ["b", "c"], "missing_value"),
        (["a"], ["b", "c", None], "missing_value"),
        ([], list("bcde"), "too_few_positives"),
        (list("abcd"), list("efgh"), "too_many_positives"),
        (["a"], ["b", "c"], "too_few_negatives"),  # naming all three would always be right
        (["a", "b", "c"], [], "too_few_negatives"),
        (["a"], [f"n{number}" for number in range(20)], "too_many_options"),
        (["a"], ["b", "c", " "], "empty_option"),
        (["a", "A"], ["b", "c"], "repeated_option"),
        (["a"], ["b", "c", "B"], "repeated_option"),
        (["a"], ["b", "c", "A"], "positive_among_negatives"),
    ],
)
def test_an_unfair_row_is_rejected_with_its_reason(positives: Any, negatives: Any, reason: str) -> None:
    with pytest.raises(Reject) as caught:
        build({"positives": positives, "negatives": negatives})
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("response", "read"),
    [
        ("3,8,9", [3, 8, 9]),
        ("3, 8, 9, 12", [3, 8, 9]),
        ("3,3,8", [3, 3, 8]),  # a repeat is kept, and takes a place
        ("15", [15]),
        ("1234,0", [1234, 0]),  # no limit on the value
        ("3 8 9", []),
        ("x,3", [3]),
        ("²,٣", [3]),
        ("", []),
    ],
)
def test_the_first_three_numbers_are_read(response: str, read: list[int]) -> None:
    assert task.parse(response) == read


@pytest.mark.parametrize(
    ("value", "target", "rate"),
    [
        ([3, 8, 9], [9, 3, 8], 1.0),
        ([3, 8, 1], [3, 8, 9], 2 / 3),
        ([3, 3, 3], [3, 8, 9], 1 / 3),
        ([4], [4], 1.0),
        ([1, 2, 4], [4], 1.0),  # a recall: wrong numbers cost nothing
        ([1, 2, 3, 4], [4], 0.0),
        ([5, 8, 10], [5, 8, 10, 12], 0.75),  # the fourth right candidate is out of reach
        ([12, 1, 2], [5, 8, 10, 12], 0.25),
        ([], [4], 0.0),
        ([1], [], 0.0),
    ],
)
def test_hit_rate_by_hand(value: list[int], target: list[int], rate: float) -> None:
    assert task.score(value, target, "hit rate@3") == rate


def test_a_task_scores_the_mean() -> None:
    assert task.overall([[1], [2]], [[1], [1]], "hit rate@3") == 0.5


def test_the_decoder_may_emit_one_to_three_of_the_numbers() -> None:
    twelve = task.constraint(Question({}, None, "hit rate@3", ["x"] * 12))
    assert twelve.max_tokens == len("10,11,12")
    for answer in ("1", "12", "3,8,9", "10,11,12", "1,2"):
        assert twelve.admits(answer)
    for answer in ("", "0", "13", "1, 2", "1,", ",1", "1,2,3,4", "01", "3,8,13"):
        assert not twelve.admits(answer)
    unknown = task.constraint(Question({}, None, "hit rate@3"))
    assert re.fullmatch(unknown.regex, "18,19,20")
