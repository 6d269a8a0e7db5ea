"""The question that every task type builds, the constraint on its answer, and the rules that types share.

A task type's module builds a `Question` from a row of its query and says with a `Constraint` what may
answer it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from datagen.errors import Reject, UserError

RESPONSE_LENGTH = 5000
"""Characters of a response that ShopBench's parsers read; the rest is cut away."""

RESERVED = frozenset({"key", "side", "split", "groups", "language", "metric", "explanation"})
"""Columns of any query that belong to the pipeline; no template prints them."""

Columns = dict[str, pa.DataType]
"""Names and Arrow types of the columns that a query must return."""


class Shuffler(Protocol):
    """A source of random choices; `random.Random` is one."""

    def shuffle(self, items: list[Any], /) -> None:
        """Put the items in a random order, in place."""


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

    At most one of the three is set; a free text has none. `max_tokens` is the longest useful answer
    in tokens, where a digit or a comma is a token of its own.
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


def hidden(*forms: Columns) -> frozenset[str]:
    """Columns that `free_slots` keeps from templates: reserved ones and those that hold the answer."""
    return RESERVED.union(*forms)


def free_slots(row: dict[str, Any], without: frozenset[str]) -> dict[str, Any]:
    """The row's further columns, which templates print as they are."""
    return {name: value for name, value in row.items() if name not in without}


def present(row: dict[str, Any], name: str) -> Any:
    """The value of a required column. Raises Reject where it is null."""
    value = row[name]
    if value is None:
        raise Reject("missing_value")
    return value


def one_line(text: str) -> str:
    """`text` with every run of whitespace, line breaks included, folded to one space."""
    return " ".join(text.split())


def is_blank(line: str) -> bool:
    """Whether a folded line shows nothing: it is empty or all invisible, as a lone U+200E is."""
    return not any(map(str.isprintable, line.replace(" ", "")))


def options(texts: list[str]) -> list[str]:
    """Candidates as they are listed: on one line each.

    Raises Reject where one is null or blank, or where two are the same but for case and spacing.
    """
    if None in texts:
        raise Reject("missing_value")
    lines = [  # a build spends much of its time here; most texts are one line already, which is told faster
        text if text.isprintable() and "  " not in text and text.strip() == text else one_line(text)
        for text in texts
    ]
    for line in lines:
        if not line[:1].isalnum() and is_blank(line):
            raise Reject("empty_option")
    if len(set(map(str.casefold, lines))) < len(lines):
        raise Reject("repeated_option")
    return lines


def numbered(lines: list[str], first: int) -> str:
    """The candidates as a template's `listing`: `0. text`, one a line, counted from `first`."""
    return "\n".join([f"{number}. {line}" for number, line in enumerate(lines, first)])


def numbers(response: str) -> Iterator[int]:
    """The numbers that ShopBench reads in a ranking or a retrieval response.

    All but numeric characters, commas and spaces is dropped, and what stands between commas is an
    int or nothing: `1 2` is nothing, `a1b2` is 12, `²` is numeric but no int, Arabic digits are ints.
    """
    kept = "".join([c for c in response[:RESPONSE_LENGTH] if c.isnumeric() or c in ", "])
    for part in kept.split(","):
        try:
            yield int(part)
        except ValueError:  # also: more digits than Python converts
            continue


def check_metric(metric: str, known: tuple[str, ...]) -> None:
    """Raises UserError where a question names a metric that its task type does not have."""
    if metric not in known:
        raise UserError(f"metric {metric!r}: not one of this task type's, which are {', '.join(known)}")


def mean(scores: list[float]) -> float:
    """The score of a task: the mean over its questions, 0.0 where there are none."""
    return sum(scores) / len(scores) if scores else 0.0
