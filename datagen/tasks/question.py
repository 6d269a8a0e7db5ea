"""What the five task types share: a typed question before wording, and what may answer it."""

import re
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Question:
    """One item of a task, before it is worded.

    `slots` are the names that a template may print. `target` is the ground truth in the form of
    ShopBench's `output_field`. `candidates` are the options in the order in which they are listed,
    empty where the answer is free text. `text` is what entities are cited from (NER only).
    """

    slots: dict[str, Any]
    target: Any
    metric: str
    candidates: list[str] = field(default_factory=list)
    text: str = ""


@dataclass(slots=True, frozen=True)
class Constraint:
    """What a decoder may emit: a list of choices, a bounded regex, or a soft bias to some words.

    Exactly one of the three is set. `max_tokens` is the longest useful answer in tokens.
    """

    max_tokens: int
    choices: tuple[str, ...] = ()
    regex: str = ""
    favoured: str = ""

    def admits(self, text: str) -> bool:
        """Whether a decoder under this constraint could emit `text`."""
        if self.choices:
            return text in self.choices
        if self.regex:
            return re.fullmatch(self.regex, text) is not None
        return bool(text)  # a soft bias forbids nothing
