"""The law of all five types: what is built parses back, scores 1.0 and is admitted by its constraint.

Rows are drawn in two ways. Wild ones hold nulls, odd characters and wrong counts: each is a question
that keeps the law, or a reject with a known reason. Fair ones must never be rejected, so that the
law isn't kept by rejecting everything.
"""

import copy
import random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import Reject
from datagen.schema import TaskType
from datagen.tasks import TASKS, TaskModule, generation, gold_problem, multiple_choice
from datagen.tasks.question import Question, one_line

REASONS = {
    TaskType.MULTIPLE_CHOICE: {
        *("missing_value", "too_few_options", "too_many_options", "empty_option", "repeated_option"),
        "answer_out_of_range",
    },
    TaskType.RANKING: {
        *("missing_value", "too_few_options", "too_many_options", "empty_option", "repeated_option"),
        *("gains_do_not_match_options", "gain_out_of_range", "no_order"),
    },
    TaskType.RETRIEVAL: {
        *("missing_value", "too_many_options", "empty_option", "repeated_option"),
        *("too_few_positives", "too_many_positives", "too_few_negatives", "positive_among_negatives"),
    },
    TaskType.NAMED_ENTITY_RECOGNITION: {
        *("missing_value", "no_entity", "empty_entity", "entity_with_comma", "entity_not_in_text"),
        *("entity_inside_word", "repeated_entity", "entity_reads_as_list"),
    },
    TaskType.GENERATION: {
        *("missing_value", "empty_reference", "reference_too_long", "reference_of_several_lines"),
        *("reference_too_short_for_bleu", "reference_without_ascii_words"),
    },
}
"""Every reason that a type may reject a row for."""

TEXT = st.text(st.sampled_from("aB1 ,.[]'\"\\\n\u3000\u200e²٣赤ßİ")) | st.text(max_size=20)
MAYBE = st.none() | TEXT
SOME = st.none() | st.lists(MAYBE, max_size=12)
GAIN = st.none() | st.sampled_from([0, 0.01, 0.1, 1]) | st.floats()


@st.composite
def cited(draw: st.DrawFn) -> dict[str, Any]:
    """A text, with entities that are cut out of it anywhere."""
    text = draw(TEXT)
    place = st.integers(0, len(text))
    ends = [sorted(draw(st.tuples(place, place))) for _ in range(draw(st.integers(0, 3)))]
    return {"text": text, "entities": [text[start:end] for start, end in ends]}


WILD = {
    TaskType.MULTIPLE_CHOICE: st.fixed_dictionaries({"correct": MAYBE, "distractors": SOME})
    | st.fixed_dictionaries({"options": SOME, "answer": st.none() | st.integers(-2, 12)}),
    TaskType.RANKING: st.fixed_dictionaries({"candidates": SOME, "gains": st.none() | st.lists(GAIN)})
    | st.lists(st.tuples(TEXT, GAIN), min_size=2, max_size=5).map(
        lambda pairs: {"candidates": [text for text, _ in pairs], "gains": [gain for _, gain in pairs]}
    ),
    TaskType.RETRIEVAL: st.fixed_dictionaries({"positives": SOME, "negatives": SOME})
    | st.fixed_dictionaries(
        {"positives": st.lists(TEXT, max_size=4), "negatives": st.lists(TEXT, max_size=21)}
    ),
    TaskType.NAMED_ENTITY_RECOGNITION: cited() | st.fixed_dictionaries({"text": MAYBE, "entities": SOME}),
    TaskType.GENERATION: st.fixed_dictionaries(
        {"reference": MAYBE, "metric": st.none() | st.sampled_from(generation.METRICS)}
    ),
}

TITLES = st.lists(
    TEXT.map(lambda text: f"{text}x"),
    min_size=4,
    max_size=20,
    unique_by=lambda text: one_line(text).casefold(),
)
WORD = st.text(st.sampled_from("abcdefgh赤財布ñ"), min_size=1, max_size=8)
WORDS = st.lists(WORD, min_size=4, max_size=20, unique=True)


def ranked(titles: list[str], gains: list[float]) -> dict[str, Any]:
    """Up to five candidates; the first is the best."""
    gains = [1.0, *gains][: len(titles)]
    return {"candidates": titles[: len(gains)], "gains": gains}


FAIR = {
    TaskType.MULTIPLE_CHOICE: TITLES.map(lambda titles: {"correct": titles[0], "distractors": titles[1:10]}),
    TaskType.RANKING: st.builds(
        ranked, TITLES, st.lists(st.sampled_from([0.0, 0.01, 0.1]), min_size=1, max_size=4)
    ),
    TaskType.RETRIEVAL: st.builds(
        lambda titles, right: {"positives": titles[:right], "negatives": titles[right:]},
        TITLES,
        st.integers(1, 3),
    ),
    TaskType.NAMED_ENTITY_RECOGNITION: st.builds(
        lambda words, count: {"text": "  ".join(words), "entities": words[:count]}, WORDS, st.integers(1, 4)
    ),
    TaskType.GENERATION: st.builds(
        lambda words, metric: {"reference": " ".join(["mug", *words]), "metric": metric},
        WORDS,
        st.sampled_from(generation.METRICS),
    ),
}


def question_or_reason(task: TaskModule, row: dict[str, Any], seed: int) -> Question | str:
    """What becomes of a row: its question, or why it was rejected."""
    try:
        return task.build(row, random.Random(seed))
    except Reject as reject:
        return reject.reason


each_type = pytest.mark.parametrize("task_type", TASKS)


def test_every_task_type_has_its_module() -> None:
    assert set(TASKS) == set(TaskType) == set(REASONS) == set(WILD) == set(FAIR)


@each_type
@given(data=st.data(), seed=st.integers(0, 9))
def test_a_wild_row_keeps_the_law_or_is_rejected(task_type: TaskType, data: st.DataObject, seed: int) -> None:
    task, row = TASKS[task_type], data.draw(WILD[task_type])
    before = copy.deepcopy(row)
    built = question_or_reason(task, row, seed)
    if isinstance(built, str):
        assert built in REASONS[task_type]
    else:
        assert gold_problem(task, built) is None
    assert repr(row) == repr(before)  # the row is still the query's; repr, since NaN equals nothing


@each_type
@given(data=st.data(), seed=st.integers(0, 9))
def test_a_fair_row_is_kept(task_type: TaskType, data: st.DataObject, seed: int) -> None:
    task, row = TASKS[task_type], data.draw(FAIR[task_type])
    question = task.build({"key": "1", "query": "mug", **row}, random.Random(seed))
    assert gold_problem(task, question) is None
    assert question.slots["query"] == "mug"
    assert set(task.SLOTS) <= set(question.slots)
    assert question.metric in task.METRICS
    answers = {name for form in task.COLUMNS for name in form} - set(task.SLOTS)
    assert not answers & set(question.slots)


@each_type
@given(data=st.data())
def test_the_gold_text_does_not_depend_on_the_order(task_type: TaskType, data: st.DataObject) -> None:
    task, row = TASKS[task_type], data.draw(FAIR[task_type])
    texts = {task.gold_text(task.build(row, random.Random(seed))) for seed in range(4)}
    assert len(texts) == 1


@each_type
@given(text=st.text(st.characters()) | TEXT)
def test_parsing_takes_any_text(task_type: TaskType, text: str) -> None:
    task = TASKS[task_type]
    read = task.parse(text)
    assert type(read) is type(task.parse(""))
    padded = text.ljust(5000, "-")
    assert task.parse(padded + "1,2") == task.parse(padded)  # nothing is read past 5,000 characters


@each_type
@given(data=st.data(), text=st.text(max_size=30) | TEXT)
def test_every_response_has_a_score(task_type: TaskType, data: st.DataObject, text: str) -> None:
    task = TASKS[task_type]
    question = task.build(data.draw(FAIR[task_type]), random.Random(0))
    if "sent-transformer" in question.metric:
        text = question.target  # no model where none is needed
    score = task.score(task.parse(text), question.target, question.metric)
    assert score >= 0.0
    assert score <= 1.0 or task_type is TaskType.RANKING  # NDCG's number 0 can name the last gain twice
    assert task.overall([task.parse(text)], [question.target], question.metric) == score


def test_a_broken_law_is_named() -> None:
    wrong = Question({}, -2, "accuracy", ["a", "b"])  # `-` parses as nothing
    assert gold_problem(multiple_choice, wrong) == "gold_scores_below_one"
    beyond = Question({}, 5, "accuracy", ["a", "b"])
    assert gold_problem(multiple_choice, beyond) == "gold_not_admitted"


@pytest.mark.parametrize(
    ("task_type", "row"),
    [
        (TaskType.MULTIPLE_CHOICE, {"correct": None, "distractors": None}),
        (TaskType.MULTIPLE_CHOICE, {"options": None, "answer": None}),
        (TaskType.RANKING, {"candidates": None, "gains": None}),
        (TaskType.RETRIEVAL, {"positives": None, "negatives": None}),
        (TaskType.NAMED_ENTITY_RECOGNITION, {"text": None, "entities": None}),
        (TaskType.GENERATION, {"reference": None}),
    ],
)
def test_a_row_of_nulls_is_rejected(task_type: TaskType, row: dict[str, None]) -> None:
    with pytest.raises(Reject, match="missing_value"):
        TASKS[task_type].build(cast("dict[str, Any]", row), random.Random(0))
