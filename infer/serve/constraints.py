"""The constraints on decoding: which answers a question admits, so that each answer parses.

An answer in numbers can hold listed numbers alone, in a form that ShopBench's parser reads:

    multiple choice   one of the options' digits
    ranking           one of the orders of the candidates
    retrieval         three numbers, none twice

Answers that cite the question are biased towards its words; a free text is bounded in length.
"""

import functools
import itertools
import re

from datagen.classify.task_type import Guess
from datagen.schema import TaskType
from datagen.tasks import (
    Constraint,
    generation,
    multiple_choice,
    named_entity_recognition,
    ranking,
    retrieval,
)

LONGEST_TEXT = 64
"""Tokens of a generated text: nine in ten references of ShopBench's kind are shorter."""

UNCONSTRAINED = 32
"""Tokens of an answer in numbers or entities where nothing holds the model to them."""

ENOUGH_WORDS, ENOUGH_CHARACTERS = 30, 90
"""A text ends with the sentence that passes so many words, or characters where words have no spaces.

KDD Cup's winners used 15 words; of EC-Guide's 161 references that would cut 26, and 30 words cut 7.
"""

_MOST_DISTINCT = 20
"""Listed numbers of which the regex below forbids repeats: it grows with their third power, to 20 KB here."""

_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]")


def constraint(guess: Guess) -> Constraint:
    """The constraint for a guess. Where no numbers are listed, it admits those that the parser can read."""
    match guess.task_type:
        case TaskType.MULTIPLE_CHOICE:
            return _one_of(guess.numbers or tuple(range(multiple_choice.MOST)))
        case TaskType.RANKING:
            return _order_of(guess.numbers or tuple(range(1, ranking.MOST + 1)))
        case TaskType.RETRIEVAL:
            return _three_of(guess.numbers or tuple(range(1, retrieval.MOST + 1)))
        case TaskType.NAMED_ENTITY_RECOGNITION:
            return Constraint(named_entity_recognition.LONGEST_ANSWER, favoured=guess.text)
        case TaskType.GENERATION:
            return _text(guess.language)


def unconstrained(guess: Guess) -> Constraint:
    """A constraint on length alone: the model writes freely."""
    return _text(guess.language) if guess.task_type is TaskType.GENERATION else Constraint(UNCONSTRAINED)


def kind(constraint: Constraint) -> str:
    """The constraint in a word: choice, regex, bias or length."""
    return (
        "choice"
        if constraint.choices
        else "regex"
        if constraint.regex
        else "bias"
        if constraint.favoured
        else "length"
    )


def stops(guess: Guess) -> list[str]:
    """Texts at which an answer ends: entities stand on one line, a text before a second paragraph."""
    return {TaskType.NAMED_ENTITY_RECOGNITION: ["\n"], TaskType.GENERATION: ["\n\n"]}.get(guess.task_type, [])


def finished(guess: Guess, text: str) -> str:
    """The answer within a decoded text: a free text ends with the sentence that passes ENOUGH_WORDS."""
    if guess.task_type is not TaskType.GENERATION:
        return text
    one_more = next(itertools.islice(re.finditer(r"\S+", text), ENOUGH_WORDS, None), None)
    enough = one_more.start() if one_more else len(text)
    if guess.language == "ja":
        enough = min(enough, ENOUGH_CHARACTERS)
    ends = (end.end() for end in _SENTENCE_END.finditer(text))
    return text[: next((end for end in ends if end > enough), len(text))]


def names_listed(guess: Guess, task_type: TaskType, value: object) -> bool:
    """Whether a parsed answer says something, and as numbers only such as are listed.

    `task_type` is how the grader reads the answer, which the guess may have got wrong.
    """
    if task_type is TaskType.MULTIPLE_CHOICE:
        return value in guess.numbers if guess.numbers else value != multiple_choice.UNREADABLE
    if task_type in (TaskType.RANKING, TaskType.RETRIEVAL) and isinstance(value, list) and guess.numbers:
        return bool(value) and set(value) <= set(guess.numbers)
    return bool(value)


def _text(language: str) -> Constraint:
    """A text; small vocabularies spell a Japanese character in up to three tokens."""
    return Constraint(generation.LONGEST_ANSWER if language == "ja" else LONGEST_TEXT)


def _one_of(numbers: tuple[int, ...]) -> Constraint:
    """The parser reads one digit, so an option from 10 on can't be chosen."""
    return _choice(tuple(str(number) for number in numbers if number < multiple_choice.MOST) or ("0",))


@functools.cache
def _order_of(numbers: tuple[int, ...]) -> Constraint:
    """All orders of the first five; there are at most 120."""
    return _choice(tuple(map(_joined, itertools.permutations(numbers[: ranking.MOST]))))


@functools.cache
def _three_of(numbers: tuple[int, ...]) -> Constraint:
    """Three different numbers, however many are asked for.

    The grader counts right ones among the first three: a third number never lowers the score, nor
    does it count that a number is said twice.
    """
    count = min(retrieval.READ, len(numbers))
    if len(numbers) <= _MOST_DISTINCT:
        regex = _distinct(numbers, count)
    else:
        one = f"({'|'.join(map(str, numbers))})"
        regex = ",".join([one] * count)
    longest = sorted(map(len, map(str, numbers)), reverse=True)[:count]
    return Constraint(sum(longest) + count - 1, regex=regex)


def _distinct(numbers: tuple[int, ...], count: int) -> str:
    """A regex of `count` different numbers: each first one is followed by those that are left."""
    if count == 1:
        return f"({'|'.join(map(str, numbers))})"
    rest = [_distinct(tuple(n for n in numbers if n != number), count - 1) for number in numbers]
    return f"({'|'.join(f'{number},{other}' for number, other in zip(numbers, rest, strict=True))})"


def _choice(choices: tuple[str, ...]) -> Constraint:
    """One of the choices; a digit or comma is a token at most."""
    return Constraint(max(map(len, choices)), choices=choices)


def _joined(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))
