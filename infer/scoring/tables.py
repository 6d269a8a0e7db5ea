"""The table, the JSON and the notices that `infer score` prints."""

from typing import Any

from datagen.console.text import table
from infer.answers import Answers
from infer.scoring.score import Plan, Scores


def notices(planned: Plan, given: Answers) -> list[str]:
    """Notices for the reader: missing answers, answers to no question, questions left out."""
    lines = []
    if given.missing:
        lines.append(
            f"{given.missing:,} of {len(planned.asked):,} questions have no answer: each counts as empty"
        )
    if given.unknown:
        lines.append(f"{given.unknown:,} answers belong to none of the questions")
    if given.surplus:
        lines.append(
            f"{given.surplus:,} answers are not scored: their question has one further up in the file"
        )
    for reason, tasks in planned.left_out.items():
        names = ", ".join(f"{task} ({count:,})" for task, count in tasks.items())
        lines.append(f"not scored: {names}, as {reason}")
    return lines


def as_object(planned: Plan, scores: Scores) -> dict[str, Any]:
    """The scores as one JSON object, unrounded."""
    return {
        "overall": scores.overall.score,
        "tracks": {name: interval.score for name, interval in scores.tracks.items()},
        "tasks": {
            task.name: {
                "score": scores.tasks[task.name].score,
                "n": len(task.places),
                "metric": task.metric,
            }
            for task in planned.tasks
        },
    }


def scored(planned: Plan, scores: Scores) -> str:
    """The scores as a table: over all, tracks, task types, tasks."""
    lengths = {task.name: len(task.places) for task in planned.tasks}
    total = sum(lengths.values())
    rows = [("over all", scores.overall, total, f"{len(lengths)} tasks")]
    rows += [(name, interval, _questions(planned, name), "") for name, interval in scores.tracks.items()]
    rows += [(name, interval, _questions(planned, name), "") for name, interval in scores.task_types.items()]
    rows += [(task.name, scores.tasks[task.name], lengths[task.name], task.metric) for task in planned.tasks]
    breaks = {1, 1 + len(scores.tracks), 1 + len(scores.tracks) + len(scores.task_types)}
    lines: list[list[Any]] = []
    for place, (name, interval, count, note) in enumerate(rows):
        if place in breaks:
            lines.append([])
        lines.append(
            [name, f"{interval.score:.3f}", f"{interval.low:.2f} to {interval.high:.2f}", count, note]
        )
    return table(["", "score", "95 %", "questions", "metric"], lines)


def _questions(planned: Plan, group: str) -> int:
    return sum(len(task.places) for task in planned.tasks if group in (task.track, task.kind.value))
