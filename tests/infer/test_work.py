"""The work of questions: tokens that are given, computed, and said."""

import string
from collections.abc import Sequence
from typing import Any

from datagen.classify.task_type import Guess
from datagen.schema import TaskType
from datagen.shopbench.questions import Asked
from datagen.tasks import Constraint
from infer.serve.engine import Request
from infer.serve.prepare import Prepared
from infer.work import Load, load, loads

GUESS = Guess(TaskType.MULTIPLE_CHOICE, (0, 1), "", "en")


def prepared(*prompts: Sequence[int], says: int = 1) -> list[Prepared]:
    return [Prepared(GUESS, request=Request(list(ids), Constraint(says))) for ids in prompts]


def test_what_begins_alike_is_computed_once_in_whole_blocks() -> None:
    first, second = [*range(10), 50, 51], [*range(10), 60, 61, 62]
    found = load(prepared(first, second), block=4)
    assert (found.questions, found.sequences, found.given) == (2, 2, 25)
    assert found.read == 12 + (13 - 8)
    assert load(prepared(first, second), block=16).read == 25


def test_the_last_token_is_always_computed() -> None:
    assert load(prepared(range(8), range(8)), block=4).read == 8 + 4


def test_a_block_is_known_only_behind_the_same_beginning() -> None:
    assert load(prepared([1, 1, 2, 2, 9], [3, 3, 2, 2, 9]), block=2).read == 10


def test_the_longest_counts_with_its_answer() -> None:
    assert load(prepared(range(7), range(3), says=5), block=4).longest == 12
    assert load(prepared(range(7), range(3), says=5), block=4).said == 10


def test_what_cannot_be_asked_makes_no_work() -> None:
    assert load([Prepared(GUESS, problem="empty_prompt")], block=4) == Load(questions=1)


class Letters:
    """A tokenizer whose tokens are letters."""

    added_tokens_decoder: dict[int, Any] = {}  # noqa: RUF012
    eos_token_id = 0

    def apply_chat_template(self, conversation: list[dict[str, str]], /, **_: Any) -> str:
        return "".join(turn["content"] for turn in conversation)

    def encode(self, text: str, /, **_: Any) -> list[int]:
        return [string.printable.find(letter) for letter in text]


def asked(number: int) -> Asked:
    question = f"Which of these is lamp {number}?\n0. chair\n1. lamp\n2. mug\nAnswer:"
    return Asked(str(number), question, True, "task", None, "", "", None, None)


def test_all_questions_are_worked_on_by_number_and_by_text() -> None:
    questions = [asked(number) for number in range(10)]
    by_number = sum(loads(questions, Letters(), 4096, 4, 16, "number"), Load())
    assert (by_number.questions, by_number.sequences, by_number.said, by_number.weighed) == (10, 10, 10, 0)
    assert by_number.read < by_number.given
    by_text = sum(loads(questions, Letters(), 4096, 4, 16, "text"), Load())
    assert (by_text.said, by_text.read, by_text.questions) == (0, 0, 10)
    assert by_text.sequences > 30
    assert 0 < by_text.weighed <= by_text.given
