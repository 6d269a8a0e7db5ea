"""The reader of answers: one for each question, from a run or a JSON Lines file.

A run's answers belong to questions by id, a file's (`input_field` and `answer`) by the question's text.
Questions without an answer and answers without a question are counted.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.errors import UserError
from datagen.shopbench.questions import ANSWERS_FOLDER, COPY, Asked, read_questions, read_rows, whole
from infer.serve.prepare import printable

_ENDLESS = (math.inf, -math.inf)
_EXAMPLE = '{"input_field": "Which ...?", "answer": "2"}'


@dataclass(frozen=True, slots=True)
class Answers:
    """One answer for each question, empty where it has none.

    `missing` questions have no answer, `unknown` answers no question; `surplus` ones come when their question
    has its answer.
    """

    texts: tuple[str, ...]
    missing: int
    unknown: int
    surplus: int


def read_answers(source: Path, asked: Sequence[Asked]) -> Answers:
    """The answers of a run or a file, in the order of the questions.

    Raises UserError where a line cannot be read, where no answer belongs to any question, or where a run was
    asked something else under the same id.
    """
    if not source.exists():
        raise UserError(
            f"{source}: no such file or folder. Name a run of infer, or JSON Lines with `input_field` "
            "and `answer`"
        )
    if source.is_dir():
        found = _of_run(source)
        _check_asked(source, asked)
        keys = [question.id for question in asked]
    else:
        found = _of_lines(source)
        keys = [question.prompt for question in asked]
    texts, missing = [], 0
    seen: dict[str, int] = defaultdict(int)
    for key in keys:
        texts_of_key = found.get(key)
        if texts_of_key is None:
            missing += 1
            texts.append("")
        else:  # a question asked twice takes its answers in turn, the last one for all that follow
            texts.append(texts_of_key[min(seen[key], len(texts_of_key) - 1)])
            seen[key] += 1
    if missing == len(keys):
        raise UserError(
            f"{source}: none of its {len(found)} answers belongs to one of the {len(keys)} questions. "
            "Name the questions that were asked"
        )
    unknown = sum(len(texts_of_key) for key, texts_of_key in found.items() if key not in seen)
    surplus = sum(max(len(found[key]) - count, 0) for key, count in seen.items())
    return Answers(tuple(texts), missing, unknown, surplus)


def _of_run(run: Path) -> dict[str, list[str]]:
    files = sorted((run / ANSWERS_FOLDER).glob("*.parquet"))
    if not files:
        raise UserError(
            f"{run}: no {ANSWERS_FOLDER}/*.parquet in it. Name a run of infer, as in: infer/runs/mine"
        )
    try:
        tables = [pq.read_table(file).select(["id", "raw"]) for file in files]
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise UserError(
            f"{run / ANSWERS_FOLDER}: cannot be read as answers ({error}). Remove the file that is not "
            "whole: `infer run` asks its questions again"
        ) from None
    rows = pa.concat_tables(tables).to_pylist()
    return {row["id"]: [row["raw"]] for row in rows if row["raw"] is not None}


def _check_asked(run: Path, asked: Sequence[Asked]) -> None:
    """Other files count their lines from 1, too: an id alone does not make it the same question."""
    if not (run / COPY).is_file():
        return
    prompts = {question.id: question.prompt for question in read_questions(run)}
    for question in asked:
        if prompts.get(question.id, question.prompt) not in (question.prompt, printable(question.prompt)):
            raise UserError(
                f"{run}: was asked something else than {question.id!r} of these questions. "
                f"Name those that it was asked, or {run} itself"
            )


def _of_lines(source: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for number, row in read_rows(source.read_bytes(), str(source), _EXAMPLE):
        place = f"{source}:{number}"
        if not isinstance(row, dict) or not isinstance(row.get("input_field"), str) or "answer" not in row:
            raise UserError(f"{place}: has not both `input_field` (the question's text) and `answer`")
        answer = whole(row["answer"])
        if isinstance(answer, bool) or not isinstance(answer, str | int | float | None) or answer in _ENDLESS:
            raise UserError(
                f"{place}: the answer {answer!r} is no text. Write what the model said, as it said it"
            )
        if answer is not None:
            found[row["input_field"]].append(printable(str(answer)))
    return found
