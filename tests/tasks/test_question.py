"""The rules that the task types share: options, numbers in a response, constraints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import Reject, UserError
from datagen.tasks.question import (
    Constraint,
    check_metric,
    free_slots,
    hidden,
    is_blank,
    mean,
    numbered,
    numbers,
    one_line,
    options,
)


@pytest.mark.parametrize(
    ("response", "read"),
    [
        ("4,1,3", [4, 1, 3]),
        (" 4 , 1 ", [4, 1]),
        ("1 2,3", [3]),  # a space inside: no int
        ("a1b2,3.", [12, 3]),  # letters drop out, digits close up
        ("[3, 8, 9]", [3, 8, 9]),
        ("-3", [3]),
        ("3.5", [35]),
        ("1\n2", [12]),  # a line break is no space
        ("²,2", [2]),  # numeric, but no int
        ("½,三,2", [2]),
        ("1½,1;2", [12]),  # which spoils a number, where another sign drops out
        ("٣,٤", [3, 4]),  # Arabic digits are ints
        ("１２,3", [12, 3]),  # full-width digits too
        ("1，2", [12]),  # a full-width comma separates nothing
        ("1,,2,", [1, 2]),
        ("", []),
        ("none of them", []),
        ("9" * 4999 + ",1", []),  # more digits than Python converts, and the rest is cut away
        ("x" * 4999 + "12", [1]),  # the 5,000th character is the last one read
    ],
)
def test_numbers_are_read_as_shopbench_does(response: str, read: list[int]) -> None:
    assert list(numbers(response)) == read


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["a", None], "missing_value"),
        (["a", ""], "empty_option"),
        (["a", " \n\t"], "empty_option"),
        (["a", "\u200e"], "empty_option"),
        (["a", "\u200b \u200b"], "empty_option"),
        (["Red Mug", "red\n mug "], "repeated_option"),
        (["STRASSE", "straße"], "repeated_option"),
    ],
)
def test_options_that_cannot_stand_side_by_side_are_rejected(texts: list[str], reason: str) -> None:
    with pytest.raises(Reject) as caught:
        options(texts)
    assert caught.value.reason == reason


@given(st.lists(st.text()))
def test_an_option_is_one_visible_line(texts: list[str]) -> None:
    try:
        lines = options(texts)
    except Reject:
        return
    assert lines == [one_line(text) for text in texts]
    for line in lines:
        assert line.splitlines() == [line]
        assert not is_blank(line)


def test_a_listing_counts_from_the_first_number() -> None:
    assert numbered(["red", "blue"], first=0) == "0. red\n1. blue"
    assert numbered(["red", "blue"], first=1) == "1. red\n2. blue"


def test_templates_see_free_columns_alone() -> None:
    row = {"key": "1", "language": "en", "query": "mug", "brand": None, "correct": "a", "distractors": ["b"]}
    without = hidden({"correct": None, "distractors": None})
    assert free_slots(row, without) == {"query": "mug", "brand": None}


def test_a_constraint_admits_its_choices_its_regex_or_any_text() -> None:
    assert Constraint(1, choices=("0", "1")).admits("1")
    assert not Constraint(1, choices=("0", "1")).admits("01")
    assert Constraint(1, regex="[12]").admits("2")
    assert not Constraint(1, regex="[12]").admits("12")
    assert Constraint(1, favoured="red mug").admits("blue")
    assert not Constraint(1, favoured="red mug").admits("")


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'bool'.*accuracy"):
        check_metric("bool", ("accuracy",))


def test_a_task_without_questions_scores_nothing() -> None:
    assert mean([]) == 0.0
    assert mean([1.0, 0.5]) == 0.75
