"""The classifier of questions: task type, listed numbers and the number of answers, read off the text.

ShopBench hides the task type. Two things tell it, and neither alone: what is listed, and what the
instruction asks for (a number, several, an order, words of a text, a text of one's own). These are rules
without a model; the phrases are in `phrases.py`.
"""

import re
from dataclasses import dataclass

from datagen.classify import phrases
from datagen.prompts.instruction import passages, second, split
from datagen.prompts.language import detector
from datagen.prompts.options import Listed, listed
from datagen.schema import TaskType
from datagen.tasks import ranking

LANGUAGES = ("en", "de", "es", "fr", "it", "ja")
"""ShopBench's; the detector alone takes one title in thirty for Polish, Esperanto or the like."""


_ASKS = (
    *(phrases.PICK, phrases.ORDER, phrases.SEVERAL, phrases.REASONING, phrases.TEXT, phrases.YES_OR_NO),
    *(phrases.RATING, phrases.ENTITY, phrases.QUOTE, phrases.KIND_IN_TEXT),
)
"""What says, of a list, more than that a number is wanted."""


@dataclass(frozen=True, slots=True)
class Guess:
    """The answer that a question wants, as far as its text tells.

    `numbers` are those of the listed options or candidates, as listed; letters and marks count from 0
    for options and from 1 for candidates, as the grader does; a scale's are its grades. They are empty
    where nothing is listed. `text` is what entities are cited from, empty for other task types.
    `language` is the one of LANGUAGES that most of what is asked about is in, as an ISO 639-1 code.
    `problem` says why the text could not be read, which is then taken for generation; None: it was read.
    """

    task_type: TaskType
    numbers: tuple[int, ...]
    text: str
    language: str
    problem: str | None = None


def classify(prompt: str, is_multiple_choice: bool | None) -> Guess:
    """The guess for a prompt; `is_multiple_choice` is ShopBench's own flag, where it is known."""
    found = listed(prompt)
    said, data = split(found.outside)
    if found.texts and not any(cue.search(said) for cue in _ASKS):  # it stands on a line with other things
        said = "\n".join([*map(second, data), said, second(found.texts[-1])])
    kind = _task_type(found, said, is_multiple_choice)
    numbers = _numbers(found, kind, said)
    return Guess(
        task_type=kind,
        numbers=numbers,
        text=_cited(prompt) if kind is TaskType.NAMED_ENTITY_RECOGNITION else "",
        language=_language("\n".join([*data, *found.texts]) or prompt),
    )


def _task_type(found: Listed, said: str, is_multiple_choice: bool | None) -> TaskType:
    if is_multiple_choice:
        return TaskType.MULTIPLE_CHOICE
    count = len(found.texts)
    if count > 1 and _is_choice(found, said):
        several = is_multiple_choice is False or phrases.COMMAS.search(said) or phrases.SEVERAL.search(said)
        if (
            len(found.texts) <= ranking.MOST
            and phrases.ORDER.search(said)
            and (several or found.numbers[:1] != (0,))
        ):
            return TaskType.RANKING
        return TaskType.RETRIEVAL if several else TaskType.MULTIPLE_CHOICE
    if is_multiple_choice is None and not found.numbers and _is_closed(said):
        return TaskType.MULTIPLE_CHOICE
    if phrases.ENTITY.search(said) or phrases.KIND_IN_TEXT.search(said):
        return TaskType.NAMED_ENTITY_RECOGNITION
    if phrases.QUOTE_KIND.search(said) or (phrases.QUOTE.search(said) and phrases.COMMAS.search(said)):
        return TaskType.NAMED_ENTITY_RECOGNITION  # else it is one passage
    return TaskType.GENERATION


def _is_choice(found: Listed, said: str) -> bool:
    """Whether the listed items are there to choose from, rather than to read."""
    if phrases.REASONING.search(said):
        return False
    if phrases.NUMBER.search(said):
        return True
    if found.marks == "line":
        return False  # features and descriptions have such lines too
    if found.marks == "option":
        return bool(phrases.PICK.search(said) or phrases.ORDER.search(said) or not phrases.TEXT.search(said))
    if phrases.PICK.search(said) or phrases.ORDER.search(said):
        return True
    return found.numbers[:1] == (0,) and not phrases.TEXT.search(
        said
    )  # options count from 0, features from 1


def _is_closed(said: str) -> bool:
    """Whether the answer is yes or no, or a grade of a scale."""
    return bool(phrases.YES_OR_NO.search(said) or (phrases.RATING.search(said) and _scale(said)))


def _numbers(found: Listed, kind: TaskType, said: str) -> tuple[int, ...]:
    if kind is TaskType.MULTIPLE_CHOICE:
        return found.numbers or tuple(range(len(found.texts))) or _scale(said)
    if kind in (TaskType.RANKING, TaskType.RETRIEVAL):
        return found.numbers or tuple(range(1, len(found.texts) + 1))
    return ()


def _scale(said: str) -> tuple[int, ...]:
    """The grades of a scale, as in `on a scale of 1 to 5`; empty where none is named."""
    for low, high in phrases.RANGE.findall(said):
        if int(low) <= 1 and int(high) - int(low) >= 2:
            return tuple(range(int(low), int(high) + 1))
    return ()


def _cited(prompt: str) -> str:
    """What entities are cited from: the longest labelled line, quote or line that is no instruction."""
    for texts in (*passages(prompt), prompt.split("\n")):
        found = [text for text in texts if len(text) > 1 and not _says_what(text)]
        if found:
            return max(found, key=len)
    return prompt


def _says_what(text: str) -> bool:
    return any(cue.search(text) for cue in (phrases.ENTITY, phrases.QUOTE, phrases.KIND_IN_TEXT))


def _language(text: str) -> str:
    if re.search("[\u3040-\u30ff]", text):  # kana; the detector takes short titles in them for Chinese
        return "ja"
    found = detector().detect(text.replace("\n", " ")[:1000], k=20)
    return next((each["lang"] for each in found if each["lang"] in LANGUAGES), LANGUAGES[0])
