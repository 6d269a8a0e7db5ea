"""The accuracy of the task-type classifier: a confusion matrix for each file, told and untold.

    make bench NAME=classifier QUESTIONS="questions.jsonl runs/esci_ner"

Told is as ShopBench asks: it says which questions are multiple choice. Untold is the text alone. The last
line is JSON: the share of right types of each file, both ways.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from datagen.classify.task_type import classify
from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.questions import Asked, read_questions

SHORT = {
    TaskType.MULTIPLE_CHOICE: "choice",
    TaskType.RANKING: "ranking",
    TaskType.RETRIEVAL: "retrieval",
    TaskType.NAMED_ENTITY_RECOGNITION: "entities",
    TaskType.GENERATION: "text",
}
MISSES = 5
"""Misses of a file that are printed."""


def measure(asked: list[Asked], told: bool) -> tuple[Counter[tuple[TaskType, TaskType]], list[str]]:
    """How often each type was taken for each, and the prompts that were taken for another."""
    matrix: Counter[tuple[TaskType, TaskType]] = Counter()
    missed = []
    for question in asked:
        if question.task_type is None:
            continue
        guess = classify(question.prompt, question.is_multiple_choice if told else None).task_type
        matrix[question.task_type, guess] += 1
        if guess is not question.task_type:
            missed.append(f"{question.id}: {SHORT[question.task_type]}, taken for {SHORT[guess]}")
    return matrix, missed


def report(place: str, asked: list[Asked], told: bool) -> float:
    """Print one matrix; the share of right types."""
    matrix, missed = measure(asked, told)
    total = matrix.total()
    if not total:
        raise UserError(f"{place}: no question tells its task type, so there is nothing to compare with")
    right = total - len(missed)
    print(f"{place}, {'told' if told else 'untold'}: {right:,} of {total:,} right ({right / total:.2%})")
    print(" " * 12 + "".join(f"{name:>11}" for name in SHORT.values()))
    for truth, name in SHORT.items():
        if any(matrix[truth, guess] for guess in SHORT):
            print(f"{name:12}" + "".join(f"{matrix[truth, guess]:>11,}" for guess in SHORT))
    for line in missed[:MISSES]:
        print(f"  {line}")
    print()
    return right / total


def main() -> None:
    """Measure each file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", action="append", type=Path, required=True, metavar="FILE")
    places = parser.parse_args().questions
    accuracy = {}
    try:
        for place in places:
            asked = read_questions(place)
            accuracy[str(place)] = {
                "told": report(str(place), asked, told=True),
                "untold": report(str(place), asked, told=False),
                "questions": len(asked),
            }
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    print(json.dumps(accuracy))


if __name__ == "__main__":
    main()
