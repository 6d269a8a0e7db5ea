"""The parsers of responses: ShopBench's own, and those of its public release, Shopping MMLU.

ShopBench's are the task types' own (`datagen.tasks`). Shopping MMLU's leaderboard reads the same response
differently; the metrics are the same.

    multiple choice   without the spaces around it, the first character if it is a digit 0 to 9
    ranking           of the first line, what stands between commas, each as a number
    retrieval         of the whole text, the same; the first three
    entities          of the first line that isn't empty, what stands between commas, blanks included
    text              without the whitespace around it
"""

from collections.abc import Callable
from typing import Any

from datagen.schema import TaskType
from datagen.tasks import TASKS, generation, multiple_choice, retrieval

Parser = Callable[[str], Any]


def _choice(response: str) -> int:
    first = response.strip(" ")[:1]
    return int(first) if first in tuple("0123456789") else multiple_choice.UNREADABLE


def _numbers(text: str) -> list[int]:
    """What stands between commas, as Python's int reads it; nothing is made of what it can't read."""
    found = []
    for part in text.strip().split(","):
        try:
            found.append(int(part))
        except ValueError:
            continue
    return [number for number in found if number >= 0]  # the metric would count them from the list's end


def _ranking(response: str) -> list[int]:
    return _numbers(response.strip().split("\n")[0])


def _retrieval(response: str) -> list[int]:
    return _numbers(response)[: retrieval.READ]


def _entities(response: str) -> list[str]:
    return response.lstrip("\n").split("\n")[0].split(",")


GRADERS: dict[str, dict[TaskType, Parser]] = {
    "shopbench": {kind: module.parse for kind, module in TASKS.items()},
    "shopping_mmlu": {
        TaskType.MULTIPLE_CHOICE: _choice,
        TaskType.RANKING: _ranking,
        TaskType.RETRIEVAL: _retrieval,
        TaskType.NAMED_ENTITY_RECOGNITION: _entities,
        TaskType.GENERATION: generation.parse,
    },
}
