"""A run: a model's answers to a list of questions, saved batch by batch.

infer/runs/<name>/
  questions.parquet       the questions, as shopbench.questions writes them
  run.json                model, settings and hashes from the start; counts and times at the end
  answers/NNNNN.parquet   answers of one batch, by ANSWER_ROW, renamed into place

A batch holds questions of one guessed task type, evenly from all tasks, and depends on the questions
alone. So a killed run goes on with the missing batches, to the same answers, and wherever a run ends, what
it has answered is a fair sample of all.
"""

import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from datagen.console.text import duration
from datagen.errors import UserError
from datagen.hf.checkpoint import chooses_by, model_folder
from datagen.schema import TaskType
from datagen.shopbench.limits import Limit
from datagen.shopbench.questions import ANSWERS_FOLDER, COPY, Asked, to_table
from datagen.storage.files import full_disk, write_json, write_parquet
from datagen.storage.folder_lock import held
from datagen.tasks import TASKS
from infer import fit, run_file
from infer.batches import Batch, balanced, schedule
from infer.run_file import How
from infer.serve.engine import Engine, Response, Settings, settings
from infer.serve.pace import BY_RULE, SHORTENED, Pace, ask_within
from infer.serve.prepare import Prepared, prepare, printable
from infer.serve.respond import Answerer, ask

ANSWER_ROW = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("task_type", pa.string(), metadata={"description": "as guessed from the prompt"}),
        pa.field("raw", pa.string(), metadata={"description": "the response that is handed in"}),
        pa.field(
            "value", pa.string(), metadata={"description": "what the parser of task_type reads, as JSON"}
        ),
        pa.field("prompt_tokens", pa.int32()),
        pa.field("tokens", pa.int32()),
        pa.field("seconds", pa.float32(), metadata={"description": "the batch's time, shared out evenly"}),
        pa.field("constraint", pa.string(), metadata={"description": "choice, regex, bias, length or text"}),
        pa.field(
            "problem", pa.string(), metadata={"description": "why it was not asked as it is; null: it was"}
        ),
    ]
)
"""Columns of every file in `answers/`."""


@dataclass(frozen=True, slots=True)
class Report:
    """The callbacks that report on a run: lines of text, and the questions done of all."""

    say: Callable[[str], None]
    progress: Callable[[int, int], None]


SILENT = Report(say=lambda line: None, progress=lambda done, total: None)


def predict(
    asked: Sequence[Asked],
    model: str,
    run: Path,
    *,
    constrained: bool = True,
    choose: str | None = None,
    minutes: float | None = None,
    within: float | None = None,
    report: Report = SILENT,
    load: Callable[[Path, Settings], Answerer] = Engine,
) -> dict[str, Any]:
    """Have the questions answered into the folder `run`; gives what is in its `run.json`.

    `choose` is how options are chosen, by `number` or by `text`; None: as the model was trained. What is
    answered there already is not asked again. It is done after `minutes`: for that, answers are shortened or
    left to rules, as their rows say. Where questions are to be answered `within`
    minutes, it asks as many as fit: a run chooses them once, before it asks any. Raises UserError where
    either is no time, the model cannot be used, the folder holds a run of something else, or the disk
    is full.
    """
    for limit in (minutes, within):
        if limit is not None and not 0 < limit < math.inf:  # also NaN, which passes click's range
            raise UserError(f"a time limit of {limit:g} minutes: give one above 0")
    began = time.monotonic()
    folder = model_folder(model)
    chosen = settings(folder)
    how = How(constrained, choose or chooses_by(folder) if constrained else "number")
    with full_disk(run), held(run, f"{run} is being answered into"):
        engine = None
        if within is not None:
            count = run_file.count(run)
            if count is None:
                engine = load(folder, chosen)
                count = _count(asked, engine, chosen, how, within, began, report)
            asked = balanced(asked, count)
        questions = to_table(replace(question, prompt=printable(question.prompt)) for question in asked)
        said = run_file.identity(model, folder, chosen, how, questions)
        done = run_file.begin(run, said)
        if done.get("finished") and run_file.answered(run) == done["answered"]:
            report.say(f"{run} is answered already")
            return done
        (run / ANSWERS_FOLDER).mkdir(exist_ok=True)
        write_parquet(questions, run / COPY)
        write_json(said, run / run_file.RUN)
        batches = schedule(run, asked, chosen.batch)
        run_file.check(batches)
        missing = [batch for batch in batches if not batch.path.is_file()]
        if missing:
            pace = None
            if minutes is not None:
                kinds = Counter(guess.task_type for batch in missing for guess in batch.guesses)
                pace = Pace(Limit(60 * minutes, dict(kinds)), began, time.monotonic)
            _answer(batches, missing, engine or load(folder, chosen), chosen.context, how, pace, report)
        return run_file.end(run, said, batches)


def _count(
    asked: Sequence[Asked],
    engine: Answerer,
    chosen: Settings,
    how: How,
    minutes: float,
    began: float,
    report: Report,
) -> int:
    """How many questions the engine answers in the minutes, which count from `began`."""
    report.say(f"times a few questions, to see how many fit into {minutes:g} minutes ...")
    count = fit.questions_that_fit(
        asked,
        lambda batch: _ask(batch, engine, chosen.context, how),
        chosen.batch,
        60 * minutes,
        began + 60 * minutes,
    )
    report.say(fit.told(count, len(asked), minutes))
    return count


def run_name(
    model: str, source: Path, limit: int | None, unconstrained: bool, minutes: float | None = None
) -> str:
    """The default name of a run, from its model, its questions, and how they are asked."""
    folder = Path(model)
    named = folder.parent.name if folder.name == "merged" else folder.name
    parts = [
        named,
        source.resolve().stem,
        f"{limit}" if limit else "",
        f"{minutes:g}min" if minutes else "",
        "unconstrained" if unconstrained else "",
    ]
    return "-".join(filter(None, parts))


def _answer(
    batches: list[Batch],
    missing: list[Batch],
    engine: Answerer,
    context: int,
    how: How,
    pace: Pace | None,
    report: Report,
) -> None:
    """Ask batch by batch until all are done; the first batch of each type tells how long it will take."""
    total = sum(len(batch.asked) for batch in batches)
    done = total - sum(len(batch.asked) for batch in missing)
    seconds: dict[TaskType, list[float]] = defaultdict(list)  # a question, by type
    told = short = False
    for number, batch in enumerate(missing):
        rest = missing[number:]
        if not told and all(seconds[later.task_type] for later in rest):
            told = True
            left = sum(len(later.asked) for later in rest)
            report.say(f"{left:,} questions to go, about {duration(_expected(rest, seconds))}")
        report.progress(done, total)
        start = time.monotonic()
        rows = _ask(batch, engine, context, how, pace)
        taken = (time.monotonic() - start) / len(rows)
        seconds[batch.task_type].append(taken)
        write_parquet(
            pa.Table.from_pylist([{**row, "seconds": taken} for row in rows], schema=ANSWER_ROW), batch.path
        )
        done += len(rows)
        if pace and not short and any(row["problem"] in (SHORTENED, BY_RULE) for row in rows):
            short = True
            time_left = duration(max(pace.seconds_left, 0))
            report.say(
                f"the time limit leaves {time_left} for {total - done:,} questions: "
                "answers are shortened, and where that does not do, those that take longest are by rule"
            )
    report.progress(done, total)


def _expected(batches: list[Batch], seconds: dict[TaskType, list[float]]) -> float:
    """Seconds that the batches will take; 0 for a type that was not measured yet."""
    return sum(
        len(batch.asked) * sum(seconds[batch.task_type]) / max(len(seconds[batch.task_type]), 1)
        for batch in batches
    )


def _ask(
    batch: Batch, engine: Answerer, context: int, how: How, pace: Pace | None = None
) -> list[dict[str, Any]]:
    """The rows of a batch, as ANSWER_ROW has them but for their seconds."""
    prepared = [
        prepare(engine.tokenizer, question.prompt, guess, context, how.constrained, how.choose)
        for question, guess in zip(batch.asked, batch.guesses, strict=True)
    ]
    if pace is None:
        return list(map(_row, batch.asked, prepared, ask(engine, prepared)))
    found = ask_within(engine, pace, prepared, [question.prompt for question in batch.asked])
    return [
        _row(question, one, response, problem)
        for question, one, (response, problem) in zip(batch.asked, prepared, found, strict=True)
    ]


def _row(
    question: Asked, prepared: Prepared, response: Response, problem: str | None = None
) -> dict[str, Any]:
    kind = prepared.guess.task_type
    return {
        "id": question.id,
        "task_type": kind.value,
        "raw": response.text,
        "value": json.dumps(TASKS[kind].parse(response.text), ensure_ascii=False),
        "prompt_tokens": response.prompt_tokens,
        "tokens": response.tokens,
        "constraint": prepared.constraint,
        "problem": problem or prepared.problem,
    }
