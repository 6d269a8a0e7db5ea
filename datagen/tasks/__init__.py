"""The five task types, and the contract with ShopBench's grader that each of their modules keeps.

A module builds a question from a seed row, writes its gold answer, reads an answer as ShopBench's
parser does, scores it as ShopBench's metric does, and says what a decoder may emit. Training,
inference and scoring all use this one set.
"""

from typing import Any, Protocol

from datagen.schema import TaskType
from datagen.tasks import generation, multiple_choice, named_entity_recognition, ranking, retrieval
from datagen.tasks.question import Columns, Constraint, Question, Shuffler

__all__ = ["TASKS", "Constraint", "Question", "TaskModule", "gold_problem"]


class TaskModule(Protocol):
    """The names that every task type's module has."""

    COLUMNS: tuple[Columns, ...]
    """What a query must return beside `key`: one of these forms."""
    SLOTS: tuple[str, ...]
    """Names that the type gives to templates, beside the query's further columns."""
    METRICS: tuple[str, ...]
    """ShopBench's metrics for the type, the default first."""

    def build(self, row: dict[str, Any], rng: Shuffler) -> Question:
        """The question of one row. Raises Reject where it could not be a fair one."""

    def answer(self, question: Question) -> str:
        """The gold answer, as a model is trained to say it."""

    def gold_text(self, question: Question) -> str:
        """The gold answer as content, whatever the order of candidates: what duplicates are compared by."""

    def parse(self, text: str) -> Any:
        """What ShopBench's parser reads in a response. Never raises."""

    def score(self, value: Any, target: Any, metric: str) -> float:
        """ShopBench's score of one parsed response, from 0 to 1; 0.0 where it did not parse."""

    def overall(self, values: list[Any], targets: list[Any], metric: str) -> float:
        """ShopBench's score of a whole task."""

    def constraint(self, question: Question) -> Constraint:
        """What a decoder may emit; needs the question's candidates or text alone."""


TASKS: dict[TaskType, TaskModule] = {
    TaskType.MULTIPLE_CHOICE: multiple_choice,
    TaskType.RANKING: ranking,
    TaskType.RETRIEVAL: retrieval,
    TaskType.NAMED_ENTITY_RECOGNITION: named_entity_recognition,
    TaskType.GENERATION: generation,
}


def gold_problem(task: TaskModule, question: Question) -> str | None:
    """Why a question breaks the project's law, None where it keeps it.

    The law: the gold answer parses back and scores 1.0, and the constraint admits it.
    """
    text = task.answer(question)
    if task.score(task.parse(text), question.target, question.metric) != 1.0:
        return "gold_scores_below_one"
    if not task.constraint(question).admits(text):
        return "gold_not_admitted"
    return None
