"""The grade of a single answer, where the right one is known."""

from typing import Any

from datagen.errors import UserError
from datagen.shopbench.questions import Asked
from infer.scoring.score import plan, task_scores


def grade(asked: Asked, answer: str) -> dict[str, Any]:
    """The score, its metric and the right answer; where it can't be scored, the `problem`."""
    said = {"id": asked.id, "task": asked.task, "target": asked.target}
    try:
        planned = plan([asked])
        scores = task_scores(planned, [[answer]], "shopbench")[0]
    except UserError as error:
        return {**said, "metric": asked.metric or None, "score": None, "problem": str(error)}
    task = planned.tasks[0]
    return {**said, "metric": task.metric, "score": scores[task.name], "problem": None}
