"""Constraints: they admit the right answers and no others, and what they admit names only what is listed."""

import itertools
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datagen.classify.task_type import Guess, classify
from datagen.schema import TaskType
from datagen.shopbench.questions import read_questions
from datagen.tasks import TASKS
from infer.serve.constraints import (
    ENOUGH_WORDS,
    constraint,
    finished,
    kind,
    names_listed,
    stops,
    unconstrained,
)

MULTIPLE_CHOICE, RANKING, RETRIEVAL, NER, GENERATION = (
    *(TaskType.MULTIPLE_CHOICE, TaskType.RANKING, TaskType.RETRIEVAL),
    *(TaskType.NAMED_ENTITY_RECOGNITION, TaskType.GENERATION),
)


def guess(task_type: TaskType, *numbers: int, text: str = "", language: str = "en") -> Guess:
    return Guess(task_type, numbers, text, language)


def all_texts(alphabet: str, longest: int) -> list[str]:
    return [
        "".join(text) for length in range(longest + 1) for text in itertools.product(alphabet, repeat=length)
    ]


def test_multiple_choice_admits_the_options_digits_and_nothing_else() -> None:
    limits = constraint(guess(MULTIPLE_CHOICE, 0, 1, 2, 3))
    assert [text for text in all_texts("01234 ,", 2) if limits.admits(text)] == ["0", "1", "2", "3"]
    assert limits.max_tokens == 1


def test_an_option_of_two_digits_cannot_be_chosen_as_the_parser_reads_one() -> None:
    assert constraint(guess(MULTIPLE_CHOICE, *range(1, 13))).choices == tuple("123456789")


def test_ranking_admits_every_order_and_nothing_else() -> None:
    limits = constraint(guess(RANKING, 1, 2, 3))
    admitted = [text for text in all_texts("1234,", 5) if limits.admits(text)]
    assert admitted == sorted(",".join(order) for order in itertools.permutations("123"))
    assert len(constraint(guess(RANKING, 1, 2, 3, 4, 5)).choices) == 120


def test_retrieval_admits_three_different_listed_numbers_and_nothing_else() -> None:
    limits = constraint(guess(RETRIEVAL, 1, 2, 3, 4))
    admitted = [text for text in all_texts("12345,", 5) if limits.admits(text)]
    assert admitted == sorted(",".join(three) for three in itertools.permutations("1234", 3))


def test_retrieval_admits_no_beginning_of_a_number_for_the_number() -> None:
    limits = constraint(guess(RETRIEVAL, *range(8, 13)))
    assert limits.admits("12,8,10")
    assert not any(map(limits.admits, ["1,8,10", "12,8", "12,8,10,9", "12,12,8", "13,8,9", "12, 8, 9"]))
    assert limits.max_tokens == len("12,11,10")


def test_retrieval_gives_as_many_as_are_listed_where_they_are_fewer_than_three() -> None:
    assert constraint(guess(RETRIEVAL, 1, 2)).admits("2,1")


def test_a_long_list_keeps_its_regex_small() -> None:
    limits = constraint(guess(RETRIEVAL, *range(1, 41)))
    assert len(limits.regex) < 1000
    assert limits.admits("40,1,22")
    assert not limits.admits("41,1,22")


@pytest.mark.parametrize("task_type", [MULTIPLE_CHOICE, RANKING, RETRIEVAL])
def test_where_nothing_is_listed_all_that_the_parser_reads_may_be_said(task_type: TaskType) -> None:
    limits = constraint(guess(task_type))
    assert limits.admits({MULTIPLE_CHOICE: "9", RANKING: "5,4,3,2,1", RETRIEVAL: "20,1,19"}[task_type])


@given(
    task_type=st.sampled_from([MULTIPLE_CHOICE, RANKING, RETRIEVAL]),
    numbers=st.lists(st.integers(0, 30), min_size=2, max_size=12, unique=True),
    data=st.data(),
)
def test_every_admitted_answer_parses_and_names_listed_numbers_alone(
    task_type: TaskType, numbers: list[int], data: st.DataObject
) -> None:
    if task_type is RANKING:  # the grader drops numbers above five
        numbers = [number % 6 for number in numbers[:5]]
        numbers = list(dict.fromkeys(numbers))
    said = guess(task_type, *numbers)
    limits = constraint(said)
    assume(task_type is not MULTIPLE_CHOICE or min(numbers) < 10)
    admitted = (
        st.sampled_from(limits.choices) if limits.choices else st.from_regex(limits.regex, fullmatch=True)
    )
    text = data.draw(admitted)
    assert len(text) <= limits.max_tokens
    assert names_listed(said, task_type, TASKS[task_type].parse(text))


def test_gold_answers_of_a_run_can_be_given(shop_run: Path) -> None:
    seen = set()
    for asked in read_questions(shop_run):
        said = classify(asked.prompt, asked.is_multiple_choice)
        assert said.task_type is asked.task_type
        limits = constraint(said)
        task = TASKS[said.task_type]
        if said.task_type is RETRIEVAL:
            right = asked.target
            others = [number for number in said.numbers if number not in right]
            text = ",".join(map(str, (right + others)[:3]))
        elif said.task_type is RANKING:
            order = sorted(range(len(asked.target)), key=lambda place: -asked.target[place])
            text = ",".join(str(place + 1) for place in order)
        else:
            text = str(asked.target) if said.task_type is MULTIPLE_CHOICE else "any text"
        assert limits.admits(text)
        if said.task_type in (MULTIPLE_CHOICE, RANKING, RETRIEVAL):
            assert task.score(task.parse(text), asked.target, asked.metric) == 1.0
        seen.add(said.task_type)
    assert seen == set(TaskType)


def test_entities_are_drawn_to_the_text_and_stand_on_one_line() -> None:
    said = guess(NER, text="ASUS tablette 10 pouces")
    assert constraint(said).favoured == "ASUS tablette 10 pouces"
    assert stops(said) == ["\n"]


def test_kinds_are_told_in_a_word() -> None:
    kinds = [kind(constraint(guess(task_type, 1, 2, 3, text="x"))) for task_type in TaskType]
    assert kinds == ["choice", "choice", "regex", "bias", "length"]
    assert {kind(unconstrained(guess(task_type, 1, 2, 3, text="x"))) for task_type in TaskType} == {"length"}


SENTENCE = "A lamp gives light to a room in the evening. "


def test_a_text_ends_with_the_sentence_that_says_enough() -> None:
    said = finished(guess(GENERATION), SENTENCE * 9)
    assert said.endswith("evening.")
    assert ENOUGH_WORDS < len(said.split()) <= ENOUGH_WORDS + len(SENTENCE.split())


@pytest.mark.parametrize("text", ["A lamp. It is red.", "word " * 90, "USB 3.0 " * 40, ""])
def test_what_is_short_or_no_sentence_stays(text: str) -> None:
    assert finished(guess(GENERATION), text) == text


def test_japanese_sentences_are_counted_in_characters() -> None:
    sentence = "この商品は、夜に部屋を明るくするための照明器具です。"
    said = finished(guess(GENERATION, language="ja"), sentence * 9)
    assert said.endswith("。")
    assert len(said) == 4 * len(sentence)


def test_only_texts_are_cut() -> None:
    assert finished(guess(NER), SENTENCE * 9) == SENTENCE * 9


@pytest.mark.parametrize(
    ("task_type", "value", "fine"),
    [
        (MULTIPLE_CHOICE, 2, True),
        (MULTIPLE_CHOICE, 4, False),
        (MULTIPLE_CHOICE, -1, False),
        (RANKING, [3, 1, 2], True),
        (RANKING, [], False),
        (RETRIEVAL, [1, 9], False),
        (NER, [], False),
        (GENERATION, "x", True),
    ],
)
def test_an_answer_counts_as_parsed_if_it_names_what_is_listed(
    task_type: TaskType, value: object, fine: bool
) -> None:
    assert names_listed(guess(task_type, 1, 2, 3), task_type, value) is fine
