"""The batches of a run: questions of one guessed task type, taken evenly from all tasks.

Batches depend on the questions alone, so a killed run finds its own again. The first of them, however many,
are a fair sample of all.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datagen.classify.task_type import Guess
from datagen.schema import TaskType
from datagen.shopbench.questions import ANSWERS_FOLDER, Asked
from infer.serve.prepare import guessed


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions that are sent together, all of one guessed type, in the order of their prompts."""

    path: Path
    asked: list[Asked]
    guesses: list[Guess]

    @property
    def task_type(self) -> TaskType:
        """The type that was guessed for all of them."""
        return self.guesses[0].task_type


def balanced(asked: Sequence[Asked], count: int) -> list[Asked]:
    """The first `count` questions of every task in turn, so that a small part still has all tasks.

    A larger part holds the smaller one.
    """
    return _in_turns(asked, lambda question: question.task)[:count]


def schedule(run: Path, asked: Sequence[Asked], size: int) -> list[Batch]:
    """The batches of a run in the order in which they are asked: one of each type, then evenly."""
    by_type: dict[TaskType, list[tuple[Asked, Guess]]] = defaultdict(list)
    for question in _in_turns(asked, lambda question: question.task):
        guess = guessed(question.prompt, question.is_multiple_choice)
        by_type[guess.task_type].append((question, guess))
    parts = []
    for kind, pairs in by_type.items():
        cut = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        for number, part in enumerate(cut):
            part.sort(key=lambda pair: (pair[0].prompt, pair[0].id))  # neighbours share a prefix
            parts.append((number > 0, (number + 0.5) / len(cut), kind.value, part))
    parts.sort(key=lambda part: part[:3])
    return [
        Batch(run / ANSWERS_FOLDER / f"{number:05}.parquet", [q for q, _ in part], [g for _, g in part])
        for number, (*_, part) in enumerate(parts)
    ]


def _in_turns(asked: Sequence[Asked], group: Callable[[Asked], str]) -> list[Asked]:
    """The first of each group, then the second of each, and so on; groups in the order of their first."""
    seen: Counter[str] = Counter()
    turns = []
    for question in asked:
        turns.append(seen[group(question)])
        seen[group(question)] += 1
    return [question for _, question in sorted(zip(turns, asked, strict=True), key=lambda pair: pair[0])]
