"""Batches: every question once, one guessed type each, and the first ones a fair sample of all."""

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from datagen.schema import TaskType
from datagen.shopbench.questions import Asked
from infer.batches import balanced, schedule

OPTIONS = "\n0. a lamp\n1. a chair\n2. a mug\nAnswer: "


def question(name: str, task: str, is_multiple_choice: bool) -> Asked:
    prompt = f"Which one is {name}?{OPTIONS}" if is_multiple_choice else f"Explain the product type {name}."
    return Asked(name, prompt, is_multiple_choice, task, None, "", "", None, None)


def questions(counts: dict[str, int]) -> list[Asked]:
    return [
        question(f"{task}{number}", task, task.startswith("choice"))
        for task, count in counts.items()
        for number in range(count)
    ]


COUNTS = st.dictionaries(
    st.sampled_from(["choice1", "choice2", "choice3", "text1", "text2"]), st.integers(1, 30), min_size=1
)


@given(counts=COUNTS, size=st.integers(1, 16))
def test_every_question_is_in_one_batch_of_its_type(counts: dict[str, int], size: int) -> None:
    asked = questions(counts)
    batches = schedule(Path("run"), asked, size)
    assert Counter(q.id for batch in batches for q in batch.asked) == Counter(q.id for q in asked)
    for batch in batches:
        assert {guess.task_type for guess in batch.guesses} == {batch.task_type}
        assert len(batch.asked) == len(batch.guesses) <= size
    assert len({batch.path for batch in batches}) == len(batches)


def test_each_type_comes_first_once_then_all_evenly() -> None:
    batches = schedule(Path("run"), questions({"choice1": 80, "text1": 20}), 10)
    kinds = [batch.task_type for batch in batches]
    assert set(kinds[:2]) == {TaskType.MULTIPLE_CHOICE, TaskType.GENERATION}
    assert kinds.index(TaskType.GENERATION, 2) in range(5, 9)


def test_a_batch_has_all_tasks_of_its_type() -> None:
    first, *_ = schedule(Path("run"), questions({"choice1": 40, "choice2": 40, "choice3": 5}), 12)
    assert Counter(q.task for q in first.asked) == {"choice1": 4, "choice2": 4, "choice3": 4}


@given(counts=COUNTS, fewer=st.integers(1, 20), more=st.integers(0, 20))
def test_a_limit_takes_tasks_in_turn_and_a_larger_one_holds_the_smaller(
    counts: dict[str, int], fewer: int, more: int
) -> None:
    asked = questions(counts)
    small, large = balanced(asked, fewer), balanced(asked, fewer + more)
    assert large[: len(small)] == small
    assert len(small) == min(fewer, len(asked))
    taken = Counter(q.task for q in small)
    for task, count in counts.items():
        assert taken[task] >= min(count, max(taken.values()) - 1)
