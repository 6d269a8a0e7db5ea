"""Answers by rule, in no time, for questions that the model is not asked: each parses, and some are right.

Of what is listed, that is taken which shares most words with the question. Entities are the first word of
the text that they are cited from; a text is the longest quotation of the question, the last text behind a
label, or the last line that is more than a label.
"""

import math
import re

from datagen.classify.task_type import Guess
from datagen.prompts.cloze import CHOICES, unlisted
from datagen.prompts.instruction import passages
from datagen.schema import TaskType
from datagen.tasks import multiple_choice, ranking, retrieval
from infer.serve.constraints import ENOUGH_CHARACTERS, ENOUGH_WORDS

_GIVEN = {TaskType.MULTIPLE_CHOICE: 1, TaskType.RANKING: ranking.MOST, TaskType.RETRIEVAL: retrieval.READ}
_LISTED = {
    TaskType.MULTIPLE_CHOICE: range(1),
    TaskType.RANKING: range(1, ranking.MOST + 1),
    TaskType.RETRIEVAL: range(1, retrieval.READ + 1),
}
"""The numbers to name where none can be read."""

_WORD = re.compile(r"\w+")


def ruled(prompt: str, guess: Guess) -> str:
    """The answer of the rules. Never raises; it is empty where there is nothing to cite."""
    try:
        return _ruled(prompt, guess)
    except Exception:  # one odd prompt never takes its batch with it
        return ",".join(map(str, _numbers(guess))) if guess.task_type in CHOICES else ""


def _ruled(prompt: str, guess: Guess) -> str:
    if guess.task_type in CHOICES:
        return ",".join(map(str, _order(prompt, guess)[: _GIVEN[guess.task_type]]))
    if guess.task_type is TaskType.NAMED_ENTITY_RECOGNITION:
        return " ".join(guess.text.split()[:1])
    labelled, quoted = passages(prompt)
    lines = [line.strip() for line in prompt.splitlines() if not line.strip().endswith((":", "："))]
    said = max(quoted, key=len, default="") or next(iter([*labelled[::-1], *filter(None, lines[::-1])]), "")
    return " ".join(said.split()[:ENOUGH_WORDS])[: 6 * ENOUGH_CHARACTERS]


def _order(prompt: str, guess: Guess) -> list[int]:
    """The listed numbers, by how many of their texts' words the question has; ties as they are listed."""
    asked = unlisted(prompt, guess.task_type)
    readable = _numbers(guess)
    if asked is None:
        return readable
    said = set(_WORD.findall(asked.prompt.lower()))

    def shared(text: str) -> float:
        words = set(_WORD.findall(text.lower()))
        return len(words & said) / math.sqrt(max(len(words), 1))

    pairs = sorted(
        zip(asked.numbers, asked.texts, strict=True),
        key=lambda pair: shared(pair[1]) if asked.unfit else -shared(pair[1]),
    )
    order = [number for number, _ in pairs if number in readable]
    return order + [number for number in readable if number not in order]


def _numbers(guess: Guess) -> list[int]:
    """The numbers that an answer may name."""
    most = {TaskType.MULTIPLE_CHOICE: multiple_choice.MOST - 1, TaskType.RANKING: ranking.MOST}
    numbers = [number for number in guess.numbers if number <= most.get(guess.task_type, number)]
    return numbers or list(_LISTED[guess.task_type])
