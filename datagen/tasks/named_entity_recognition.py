"""Named entity recognition: the entities of a text, copied from it and separated by commas.

The grader splits an answer at commas unless it reads as a Python list, so no entity holds a comma.
"""

import ast
import warnings
from typing import Any

import pyarrow as pa

from datagen.errors import Reject
from datagen.tasks.question import (
    RESPONSE_LENGTH,
    Columns,
    Constraint,
    Question,
    Shuffler,
    check_metric,
    free_slots,
    hidden,
    is_blank,
    one_line,
    present,
)

COLUMNS: tuple[Columns, ...] = ({"text": pa.string(), "entities": pa.list_(pa.string())},)
SLOTS: tuple[str, ...] = ("text",)
METRICS: tuple[str, ...] = ("micro f1",)

LONGEST_ANSWER = 32  # tokens: some five entities; more costs precision and time
_HIDDEN = hidden(*COLUMNS)


def build(row: dict[str, Any], rng: Shuffler) -> Question:
    """The question of one row: its text on one line, its entities in the order in which they stand there.

    Raises Reject.
    """
    text, entities = one_line(present(row, "text")), present(row, "entities")
    if not entities:
        raise Reject("no_entity")
    if None in entities:
        raise Reject("missing_value")
    cited = [one_line(entity) for entity in entities]
    for entity in cited:
        _check(entity, text)
    if len({entity.lower() for entity in cited}) < len(cited):
        raise Reject("repeated_entity")
    cited.sort(key=lambda entity: (text.find(entity), len(entity)))
    if parse(", ".join(cited)) != cited:
        raise Reject("entity_reads_as_list")
    return Question({**free_slots(row, _HIDDEN), "text": text}, cited, METRICS[0], text=text)


def answer(question: Question) -> str:
    """The entities as they are written in the text."""
    return ", ".join(question.target)


def gold_text(question: Question) -> str:
    """The entities in alphabetical order."""
    return "\n".join(sorted(question.target))


def parse(text: str) -> list[str]:
    """The items of a Python list of strings as they are, else what stands between commas, stripped."""
    response = text[:RESPONSE_LENGTH]
    if "[" in response:  # nothing else can be a list
        items = _literal(response)
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return items
    return [part.strip() for part in response.split(",") if part.strip()]


def score(value: list[str], target: list[str], metric: str) -> float:
    """F1 of one question, as `overall` counts it."""
    return overall([value], [target], metric)


def overall(values: list[list[str]], targets: list[list[str]], metric: str) -> float:
    """Micro F1: hits, predictions and truths are counted over all of a task's questions.

    A prediction is lower-cased and stripped, a truth only lower-cased. Hits are counted once, but
    lengths are not: a prediction said twice is a false positive.
    """
    check_metric(metric, METRICS)
    hits = sum(_hits(value, target) for value, target in zip(values, targets, strict=True))
    if not hits:
        return 0.0
    precision = hits / sum(map(len, values))
    recall = hits / sum(map(len, targets))
    return 2 * precision * recall / (precision + recall)


def constraint(question: Question) -> Constraint:
    """Any text, with a bias to the words of the text that is cited."""
    return Constraint(max_tokens=LONGEST_ANSWER, favoured=question.text)


def _check(entity: str, text: str) -> None:
    if is_blank(entity):
        raise Reject("empty_entity")
    if "," in entity:
        raise Reject("entity_with_comma")
    if entity not in text:
        raise Reject("entity_not_in_text")
    if not _stands_alone(entity, text):
        raise Reject("entity_inside_word")


def _stands_alone(entity: str, text: str) -> bool:
    """Whether the text has the entity somewhere without cutting a word: no `ring` out of `string`."""
    start = text.find(entity)
    while start >= 0:
        end = start + len(entity)
        if not (_is_word(text[start - 1 : start] + entity[0]) or _is_word(entity[-1] + text[end : end + 1])):
            return True
        start = text.find(entity, start + 1)
    return False


def _is_word(pair: str) -> bool:
    """Whether two neighbours are of one word; only ASCII tells, as Japanese has no spaces between words."""
    return len(pair) == 2 and pair.isascii() and pair.isalnum()


def _hits(value: list[str], target: list[str]) -> int:
    return len({item.lower().strip() for item in value} & {item.lower() for item in target})


def _literal(response: str) -> Any:
    """What the response means as a Python literal, None where it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd literals warn
        try:
            return ast.literal_eval(response)
        except Exception:  # the grader's own rule; the parser has many ways to fail
            return None
