"""The trivial baselines: answers that need no model, which a model has to beat to be worth its cost.

    constant    the same answer to all questions of a task type, chosen on these very questions
    random      a legal answer to each question: one of its numbers, an order of them, a word or line of it
    quote       the longest quoted phrase of the prompt, else the name, as an answer in words
    name        the last text that a label names (`Input: Toggle Switch`), as an answer in words
    opening     the first word, or the first two, of the text that entities are cited from

The best of them is chosen for each task type by its score on these same questions. So it is an upper
bound of what needs no model, and a model below it has not shown that it reads the question. It is not
chosen for each task: with a handful of questions in each, that would reward chance.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datagen.classify.task_type import Guess
from datagen.prompts.instruction import passages
from datagen.schema import TaskType
from datagen.shopbench.questions import Asked
from datagen.tasks import multiple_choice, ranking, retrieval
from infer.scoring.score import Plan, Scores, Task, score, task_scores
from infer.serve.prepare import guessed

SEED = 2024
TRIED = 10
"""How many constants are tried for a task type; where they are words, the most frequent right answers."""


@dataclass(frozen=True, slots=True)
class Trivial:
    """The best trivial answers: their scores, how each task type's were found, and the answers themselves."""

    scores: Scores
    how: Mapping[str, str]
    answers: tuple[str, ...]


def best(planned: Plan, grader: str = "shopbench") -> Trivial:
    """For each task type the trivial answers that score best."""
    guesses = [guessed(question.prompt, question.is_multiple_choice) for question in planned.asked]
    sets = [(name, _each(planned, guesses, answer)) for name, answer in _RULES.items()]
    sets += [("constant", answers) for answers in _constants(planned)]
    found = task_scores(planned, [answers for _, answers in sets], grader)
    how, chosen = {}, [""] * len(planned.asked)
    for kind, tasks in _by_kind(planned).items():
        winner = max(range(len(sets)), key=lambda place: sum(found[place][task.name] for task in tasks))
        name, answers = sets[winner]
        for task in tasks:
            for place in task.places.tolist():
                chosen[place] = answers[place]
        how[kind.value] = f"constant {chosen[tasks[0].places[0]]!r}" if name == "constant" else name
    return Trivial(score(planned, chosen, grader), how, tuple(chosen))


def _by_kind(planned: Plan) -> dict[TaskType, list[Task]]:
    return {
        kind: [task for task in planned.tasks if task.kind is kind]
        for kind in TaskType
        if any(task.kind is kind for task in planned.tasks)
    }


def _each(planned: Plan, guesses: Sequence[Guess], answer: Callable[[Asked, Guess], str]) -> list[str]:
    return [answer(question, guess) for question, guess in zip(planned.asked, guesses, strict=True)]


def _random(asked: Asked, guess: Guess) -> str:
    rng = random.Random(f"{SEED}/{asked.id}")
    numbers = list(guess.numbers) or [0, 1, 2, 3]
    if guess.task_type is TaskType.MULTIPLE_CHOICE:
        return str(rng.choice(numbers))
    if guess.task_type is TaskType.RANKING:
        return ",".join(map(str, rng.sample(numbers, len(numbers))))
    if guess.task_type is TaskType.RETRIEVAL:
        return ",".join(map(str, rng.sample(numbers, min(retrieval.READ, len(numbers)))))
    if guess.task_type is TaskType.NAMED_ENTITY_RECOGNITION:
        return rng.choice(guess.text.split() or [""])
    return rng.choice(asked.prompt.strip().split("\n"))


def _quote(asked: Asked, guess: Guess) -> str:
    return max(passages(asked.prompt)[1], key=len, default="") or _name(asked, guess)


def _name(asked: Asked, guess: Guess) -> str:
    labelled, _ = passages(asked.prompt)
    return labelled[-1] if labelled else asked.prompt.strip().split("\n")[-1]


def _opening(words: int) -> Callable[[Asked, Guess], str]:
    return lambda asked, guess: " ".join(guess.text.split()[:words])


_RULES: dict[str, Callable[[Asked, Guess], str]] = {
    "random": _random,
    "quote": _quote,
    "name": _name,
    "first word": _opening(1),
    "first two words": _opening(2),
}


def _constants(planned: Plan) -> list[list[str]]:
    """Sets of answers that are the same within each task type."""
    sets = [[""] * len(planned.asked) for _ in range(TRIED)]
    for kind, tasks in _by_kind(planned).items():
        tried = _constants_of(kind, tasks, planned.asked)
        for number, answers in enumerate(sets):
            for task in tasks:
                for place in task.places.tolist():
                    answers[place] = tried[min(number, len(tried) - 1)]
    return sets


def _constants_of(kind: TaskType, tasks: Sequence[Task], asked: Sequence[Asked]) -> list[str]:
    """The constants to try for a task type; every task weighs the same, as in the score.

    Hit rate and NDCG are sums over the places named, so the best constant names those of the highest mean.
    """
    if kind is TaskType.MULTIPLE_CHOICE:
        return [str(number) for number in range(multiple_choice.MOST)]
    weighed = [
        (asked[place], 1 / len(task.places))
        for task in tasks
        for place in task.places.tolist()
        if asked[place].task_type is kind
    ]
    worth: dict[Any, float] = defaultdict(float)
    for question, weight in weighed:
        for part, share in _worth(question).items():
            worth[part] += weight * share
    parts = sorted(worth, key=lambda part: -worth[part])
    if kind is TaskType.RANKING:
        return [",".join(map(str, parts[: ranking.MOST]))]
    if kind is TaskType.RETRIEVAL:
        return [",".join(map(str, parts[: retrieval.READ]))]
    if kind is TaskType.NAMED_ENTITY_RECOGNITION:
        return [", ".join(parts[:count]) for count in (1, 2, 3)] + parts[1 : TRIED - 2]
    return parts[:TRIED]


def _worth(asked: Asked) -> dict[Any, float]:
    """The parts of a right answer, each with what naming it adds to the question's score."""
    target = asked.target
    if asked.task_type is TaskType.RANKING:
        gains = 2.0 ** np.array(target) - 1
        ideal = (np.sort(gains)[::-1] / np.log2(np.arange(len(gains)) + 2)).sum()
        return dict(enumerate((gains / (ideal or 1)).tolist(), start=1))
    parts = target if isinstance(target, list) else [target]
    return dict.fromkeys(parts, 1 / len(set(parts)))
