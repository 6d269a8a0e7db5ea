"""The texts of evaluation sets, as decontamination compares rows with them.

FILE.jsonl, .json    questions in ShopBench's form
data.zip             Shopping MMLU
questions.parquet    the questions of a run of infer
FILE.txt             plain text: a question is what stands between blank lines; without any, a line
"""

import re
from pathlib import Path
from typing import Any

from datagen.dedup.decontaminate import Evaluation
from datagen.errors import UserError
from datagen.prompts.instruction import split
from datagen.prompts.options import Listed, listed
from datagen.schema import TaskType
from datagen.shopbench.questions import read_questions


def read_evaluation(path: Path, name: str) -> list[Evaluation]:
    """The questions of a file, as those of `name`.

    Raises UserError where there are none, or where it cannot be read.
    """
    if path.is_dir():
        raise UserError(
            f"{path}: a folder. Name a file of evaluation questions, such as {path}/questions.jsonl"
        )
    if path.suffix != ".txt":
        return [
            parsed(one.prompt, f"{name}:{one.id}", one.task_type, one.target) for one in read_questions(path)
        ]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}). Save the file in UTF-8") from None
    blocks = re.split(r"\n[^\S\n]*\n", text)
    blocks = blocks if len(blocks) > 1 else text.split("\n")
    found = [
        parsed(block, f"{name}:{number}") for number, block in enumerate(blocks, start=1) if block.strip()
    ]
    if not found:
        raise UserError(f"{path}: holds no text")
    return found


def parsed(prompt: str, place: str, task_type: TaskType | None = None, target: Any = None) -> Evaluation:
    """A question with its parts told apart; its type and target, where known, tell the right answers."""
    found = listed(prompt)
    instruction, passages = split(found.outside)
    answers = _answers(found, task_type, target)
    if task_type in (TaskType.GENERATION, TaskType.NAMED_ENTITY_RECOGNITION):  # what they list is no choice
        return Evaluation(place, prompt, instruction, (*passages, *found.texts), (), answers)
    return Evaluation(place, prompt, instruction, tuple(passages), found.texts, answers)


def _answers(found: Listed, task_type: TaskType | None, target: Any) -> tuple[str, ...]:
    """The texts of the right answers; none for a ranking, which has all of its candidates for an answer."""
    given = target if isinstance(target, list) else [] if target is None else [target]
    if task_type in (TaskType.MULTIPLE_CHOICE, TaskType.RETRIEVAL):
        first = 0 if task_type is TaskType.MULTIPLE_CHOICE else 1
        numbers = found.numbers or tuple(range(first, first + len(found.texts)))
        by_number = dict(zip(numbers, found.texts, strict=False))
        return tuple(by_number[number] for number in given if isinstance(number, int) and number in by_number)
    if task_type is TaskType.RANKING:
        return ()
    return tuple(text for text in given if isinstance(text, str))
