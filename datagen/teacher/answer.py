"""Texts that a teacher writes about a row: the gates that they pass, the best of several, and their judge."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rapidfuzz.fuzz import partial_ratio, ratio

from datagen.prompts.language import likeliest
from datagen.tasks import generation
from datagen.teacher.ask import object_schema
from datagen.teacher.data_message import texts

JUDGE_SCHEMA = object_schema({"score": {"type": "integer", "enum": [1, 2, 3, 4, 5]}})
GOOD = 4
"""Score from which a judge finds an answer good."""

JUDGE_FORM = 'Reply with one JSON object: {"score": 4}, where 5 is best and 1 is worst, and nothing else.'

COPIED = 0.92
"""Likeness of an answer and a text of its row from which the former is a copy."""

RUN = 6
"""Words in a row that an answer and a text of its row have in common where the one copies the other."""

SIGNS_A_WORD = 2.5
"""Of Japanese, which sets no blanks between words."""

SURE = 0.5

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"[^\W\d_][\w&'’-]*")
_BEFORE = re.compile(r"(?:^|[.!?:;。！？])[\s\"'“”‘’(«„*-]*$")
_ITSELF = re.compile(
    r"\bas an? (?:ai|language model)\b|\bi(?:'m| am) (?:sorry|unable)\b|\bi can(?:'t|not)\b|\bjson\b"
    r"|</?data>|[{}]"
    r"|\bhere(?:'s| is| are)\b|\bsure[,!]|\bcertainly[,!]|\bof course[,!]"
    r"|\bthe (?:data|user|text) (?:says|asks|names|has|holds)\b|\bthe answer is\b",
    re.IGNORECASE,
)
_OF_ANY_TEXT = frozenset(("I", "It", "They", "You", "We", "A", "The", "This", "These"))


def problem(
    text: str, data: Mapping[str, Any], language: str, words: tuple[int, int], instruction: str = ""
) -> str:
    """Why an answer is not kept; empty where it is. `words` are the fewest and the most.

    An answer that copies its instruction says nothing of the row.
    """
    shown = texts(data)
    if not text:
        return "empty_reply"
    length = len(text) / SIGNS_A_WORD if language == "ja" else len(text.split())
    if not words[0] <= length <= words[1]:
        return "answer_length"
    if _repeats(text):
        return "answer_repeats"
    if _ITSELF.search(text):
        return "answer_about_itself"
    if not _is_in(language, text):
        return "answer_in_other_language"
    if any(_is_copy(text, other) for other in (*shown, instruction)):
        return "answer_copied"
    numbers = {_plain(number) for other in shown for number in _NUMBER.findall(other)}
    numbers |= {_plain(str(value)) for value in data.values() if isinstance(value, int | float)}
    if not {_plain(number) for number in _NUMBER.findall(text)} <= numbers:
        return "unfounded_number"
    if _names(text, language) - {word.casefold() for other in shown for word in _NAME.findall(other)}:
        return "unfounded_name"
    return ""


def best(answers: Sequence[str]) -> int:
    """The place of the answer that agrees best with the others, by the mean ROUGE-L; the first of equals."""
    if len(answers) < 2:
        return 0

    def agreement(place: int) -> float:
        return sum(
            generation.score(answers[place], other, "rougel")
            for at, other in enumerate(answers)
            if at != place
        )

    return max(range(len(answers)), key=lambda place: (agreement(place), -place))


def _repeats(text: str) -> bool:
    """Whether one word of some length is a third of the text, as of a model that goes in a circle."""
    words = re.findall(r"\w+", text.casefold())
    often = Counter(word for word in words if len(word) > 3).most_common(1)
    return bool(often) and often[0][1] > 2 and often[0][1] * 3 >= len(words)


def _is_in(language: str, text: str) -> bool:
    if language == "ja":
        return re.search("[\u3040-\u30ff]", text) is not None
    found, score = likeliest(" ".join(text.split())[:300])
    return found == language or score < SURE


def _is_copy(text: str, other: str) -> bool:
    if len(other) < 20:
        return False
    if _runs(text) & _runs(other):
        return True
    return ratio(text, other) >= COPIED * 100 or (
        len(other) >= len(text) > 20 and partial_ratio(text, other) >= COPIED * 100
    )


def _runs(text: str) -> set[tuple[str, ...]]:
    """All runs of so many words as nobody writes alike by chance."""
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[place : place + RUN]) for place in range(len(words) - RUN + 1)}


def _plain(number: str) -> str:
    return number.replace(",", ".").rstrip("0").rstrip(".") if re.search("[.,]", number) else number


def _names(text: str, language: str) -> set[str]:
    """Words with a capital inside a sentence; in German, where every noun has one, those with two."""
    found = set()
    for word in _NAME.finditer(text):
        letters = word[0].removesuffix("'s").removesuffix("’s")
        capitals = sum(letter.isupper() for letter in letters)
        inside = not _BEFORE.search(text[max(0, word.start() - 10) : word.start()])
        named = capitals > 1 or (capitals and letters[0].isupper() and inside and language != "de")
        if named and letters not in _OF_ANY_TEXT:
            found.add(letters.casefold())
    return found
