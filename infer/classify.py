"""A question's text in, what answer it wants out: task type, listed numbers, how many are asked for.

ShopBench hides the task type, so it is read off the text: rules alone, no model.
"""

import re
from dataclasses import dataclass

from datagen.schema import TaskType


@dataclass(frozen=True, slots=True)
class Guess:
    """What a question's text tells about the answer that it wants.

    `numbers` are those of the listed options or candidates, as listed; empty where none are.
    `asked` is how many answers are asked for, None where the text doesn't say. `text` is what
    entities are cited from, empty for other task types. `language` is an ISO 639-1 code.
    """

    task_type: TaskType
    numbers: tuple[int, ...]
    asked: int | None
    text: str
    language: str


_NUMBERED = re.compile(r"^\s*(\d+)\s*[.):]", re.MULTILINE)


def classify(prompt: str, is_multiple_choice: bool | None) -> Guess:
    """The kind of answer that a prompt wants; `is_multiple_choice` is ShopBench's word, if known."""
    numbers = tuple(int(number) for number in _NUMBERED.findall(prompt))
    if is_multiple_choice:
        kind = TaskType.MULTIPLE_CHOICE
    elif numbers:
        kind = TaskType.RANKING if re.search(r"\brank", prompt, re.IGNORECASE) else TaskType.RETRIEVAL
    elif re.search(r"\bentit|extract phrases", prompt, re.IGNORECASE):
        kind = TaskType.NAMED_ENTITY_RECOGNITION
    else:
        kind = TaskType.GENERATION
    return Guess(kind, numbers, None, "", "en")
