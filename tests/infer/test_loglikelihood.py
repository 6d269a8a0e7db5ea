"""Choice by log-likelihood: the text that the question makes likelier, as a number that the grader reads."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.prompts.cloze import CHOICES, unlisted
from datagen.schema import TaskType
from datagen.shopbench.questions import read_questions
from datagen.tasks import TASKS
from infer.serve.loglikelihood import LONGEST
from infer.serve.prepare import guessed, prepare

CHOICE = "Which one is bright?\n0. a mug\n1. a lamp\n2. a chair\nAnswer:"
RANKING = (
    "The query is 'lamp'. Rank these, best first, by their numbers, with commas.\n1. x\n2. y\n3. z\nOutput:"
)
RETRIEVAL = "Select 3 snippets from the list. Output three numbers.\n" + "\n".join(
    f"{number}. snippet {word}" for number, word in enumerate("abcde", 1)
)


@pytest.mark.parametrize(
    ("prompt", "kind", "after", "alone", "answer"),
    [
        (CHOICE, TaskType.MULTIPLE_CHOICE, [-9, -4, -6], [-5, -5, -5], "1"),
        (
            CHOICE,
            TaskType.MULTIPLE_CHOICE,
            [-9, -4, -6],
            [-9, -1, -5],
            "0",
        ),  # what is likely anyhow gains nothing
        (CHOICE.replace("bright", "out of place"), TaskType.MULTIPLE_CHOICE, [-9, -4, -6], [-5] * 3, "0"),
        (RANKING, TaskType.RANKING, [-9, -4, -6], [-5, -5, -5], "2,3,1"),
        (RETRIEVAL, TaskType.RETRIEVAL, [-1, -5, -2, -4, -3], [0] * 5, "1,3,5"),
    ],
)
def test_what_the_question_makes_likelier_comes_first(
    tokenizer: Any, prompt: str, kind: TaskType, after: list[float], alone: list[float], answer: str
) -> None:
    weighed = prepare(tokenizer, prompt, guessed(prompt, None), 1024, choose="text").weighed
    assert weighed is not None
    assert weighed.task_type is kind
    assert weighed.answer([*after, *alone]) == answer
    assert TASKS[kind].parse(answer) == (
        int(answer) if "," not in answer else [int(n) for n in answer.split(",")]
    )


def test_each_option_is_weighed_after_the_question_without_its_list_and_after_none(tokenizer: Any) -> None:
    prepared = prepare(tokenizer, CHOICE, guessed(CHOICE, True), 1024, choose="text")
    assert prepared.weighed is not None
    assert (prepared.request, prepared.constraint, prepared.problem) == (None, "text", None)
    asked = unlisted(CHOICE, TaskType.MULTIPLE_CHOICE)
    assert asked is not None
    for text, option in zip(prepared.weighed.texts, asked.texts * 2, strict=True):
        assert tokenizer.decode(text.ids[text.start :]) == option
    question, nothing = (tokenizer.decode(text.ids[: text.start]) for text in prepared.weighed.texts[::3])
    assert "Which one is bright?\n\nAnswer:" in question
    assert "bright" not in nothing


def test_only_numbers_that_the_grader_reads_are_chosen_from(tokenizer: Any) -> None:
    eleven = "Which one?\n" + "\n".join(f"{number}. item {number}" for number in range(12))
    weighed = prepare(tokenizer, eleven, guessed(eleven, True), 4096, choose="text").weighed
    assert weighed is not None
    assert weighed.numbers == tuple(range(10))
    assert weighed.answer([0.0] * 20) == "0"


@pytest.mark.parametrize("prompt", ["Is a lamp bright? Answer 0 for no and 1 for yes.", "Explain the lamp."])
def test_without_a_list_the_model_answers_itself(tokenizer: Any, prompt: str) -> None:
    prepared = prepare(tokenizer, prompt, guessed(prompt, None), 1024, choose="text")
    assert prepared.weighed is None
    assert prepared.request is not None


def test_long_and_hostile_options_fit_and_keep_the_chat_as_it_is(tokenizer: Any) -> None:
    prompt = f"Which one? {'long ' * 900}\n0. <|im_end|> a lamp\n1. {'chair ' * 900}\nAnswer:"
    prepared = prepare(tokenizer, prompt, guessed(prompt, True), 1024, choose="text")
    assert prepared.problem == "prompt_cut"
    assert prepared.weighed is not None
    for text in prepared.weighed.texts:
        assert len(text.ids) < 1024
        assert 0 < len(text.ids) - text.start <= LONGEST
        assert not set(text.ids[text.start :]) & set(tokenizer.all_special_ids)


def test_an_option_that_is_cut_is_told_and_weighed(tokenizer: Any) -> None:
    def problem(option: str) -> str | None:
        prompt = f"Which one?\n0. a lamp\n1. {option}\nAnswer:"
        prepared = prepare(tokenizer, prompt, guessed(prompt, True), 1024, choose="text")
        assert prepared.weighed is not None
        assert len(prepared.weighed.texts) == 4
        return prepared.problem

    assert problem("x" * LONGEST) is None
    assert problem("x" * (LONGEST + 1)) == problem("\ud800" * (LONGEST + 1)) == "option_cut"
    assert problem("x" * 2**15) == "prompt_cut"


def test_an_option_leaves_half_of_a_small_context_to_its_question(tokenizer: Any) -> None:
    prompt = f"Which one?\n0. a lamp\n1. {'chair ' * 900}\nAnswer:"
    prepared = prepare(tokenizer, prompt, guessed(prompt, True), 384, choose="text")
    assert prepared.problem == "option_cut"
    assert prepared.weighed is not None
    assert all(len(text.ids) < 384 for text in prepared.weighed.texts)
    assert max(len(text.ids) - text.start for text in prepared.weighed.texts) == 192


def test_rules_read_the_ends_of_a_megabyte_and_what_they_raise_is_its_own_problem(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt, read = CHOICE + "0: " * 300_000, []

    def broken(text: str, task_type: TaskType) -> None:
        read.append(text)
        raise RecursionError

    guess = guessed(CHOICE, True)
    monkeypatch.setattr("infer.serve.prepare.unlisted", broken)
    assert prepare(tokenizer, prompt, guess, 1024, choose="text").problem == "failed: RecursionError: "
    assert len(read[0]) < 40_000


PIECES = st.sampled_from(
    (
        *(
            "0. ",
            "1. ",
            "2) ",
            "(3) ",
            "A. ",
            "B) ",
            "(C) ",
            "- ",
            "\n",
            "\n\n",
            " ",
            "Options:\n",
            "Answer: ",
        ),
        *("Which one", "Rank, best first, with commas", "Select three numbers", "a lamp", "17", "<|im_end|>"),
    )
)


@given(st.lists(PIECES, max_size=25).map("".join), st.sampled_from([True, False, None]))
def test_whatever_is_listed_is_weighed_by_the_numbers_of_the_guess(
    tokenizer: Any, prompt: str, flag: bool | None
) -> None:
    guess = guessed(prompt, flag)
    prepared = prepare(tokenizer, prompt, guess, 1024, choose="text")
    assert not (prepared.problem or "").startswith("failed")
    if (weighed := prepared.weighed) is None:
        return
    assert guess.task_type in CHOICES
    assert set(weighed.numbers) <= set(guess.numbers)
    answer = TASKS[guess.task_type].parse(weighed.answer([0.0] * len(weighed.texts)))
    assert (answer if isinstance(answer, list) else [answer])[0] == weighed.numbers[0]


def test_real_questions_are_weighed_by_the_numbers_of_the_guess(real: Path, tokenizer: Any) -> None:
    count = 0
    for asked in read_questions(real / "shopbench" / "development-half.jsonl"):
        guess = guessed(asked.prompt, asked.is_multiple_choice)
        weighed = prepare(tokenizer, asked.prompt, guess, 4096, choose="text").weighed
        if weighed:
            assert weighed.numbers == guess.numbers
            assert not weighed.unfit
            count += 1
    assert count > 30
