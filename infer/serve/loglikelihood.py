"""Choice by log-likelihood: the option whose text the question makes likelier, rather than a decoded number.

A text counts by how much likelier it is after the question than after one that asks nothing, so that it
does not win by being common or short (domain-conditional PMI, https://arxiv.org/abs/2104.08315).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datagen.prompts.chat import prompt_ids
from datagen.prompts.cloze import UNANSWERED, Unlisted
from datagen.schema import TaskType
from datagen.tasks import multiple_choice, ranking, retrieval
from infer.serve.engine import Text

LONGEST = 256
"""Tokens of an option that are weighed, at most."""

MOST = 100
"""Options that are weighed, at most: a list of thousands would hold up the whole batch."""

_GIVEN = {TaskType.MULTIPLE_CHOICE: 1, TaskType.RANKING: ranking.MOST, TaskType.RETRIEVAL: retrieval.READ}
"""Numbers of an answer: the grader reads no more."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """The texts to weigh for one question: each option after the question, then each after UNANSWERED.

    `numbers` are the options' numbers. `unfit` is true where the least likely is asked for.
    """

    task_type: TaskType
    numbers: tuple[int, ...]
    texts: tuple[Text, ...]
    unfit: bool

    def answer(self, likelihoods: Sequence[float]) -> str:
        """The answer as the grader reads it, from the log-likelihood of each of `texts`."""
        count = len(self.numbers)
        gains = [after - alone for after, alone in zip(likelihoods[:count], likelihoods[count:], strict=True)]
        order = sorted(range(count), key=lambda i: gains[i] if self.unfit else -gains[i])
        return ",".join(str(self.numbers[i]) for i in order[: _GIVEN[self.task_type]])


def weighed(
    tokenizer: Any, task_type: TaskType, question: list[int], asked: Unlisted, options: list[list[int]]
) -> Weighed:
    """The texts to weigh, from the tokens of a question and of its options."""
    readable = {TaskType.MULTIPLE_CHOICE: multiple_choice.MOST - 1, TaskType.RANKING: ranking.MOST}
    kept = [i for i, number in enumerate(asked.numbers) if number <= readable.get(task_type, number)]
    nothing = prompt_ids(tokenizer, task_type, UNANSWERED)
    texts = [Text(before + options[i], len(before)) for before in (question, nothing) for i in kept]
    return Weighed(task_type, tuple(asked.numbers[i] for i in kept), tuple(texts), asked.unfit)
