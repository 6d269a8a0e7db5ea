"""The competition's tracks: their time limits, and how many questions of which type they have.

The counts are those of ShopBench's paper, which publishes them. A test asks about as many: enough to know
from the start what a question may take.
"""

from typing import NamedTuple

from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.tracks import NAMES

SECONDS_A_QUESTION = 10
"""What ShopBench allows a question; a batch has so much for each of its own."""


class Limit(NamedTuple):
    """A time limit, and how many questions of each type it is for."""

    seconds: float
    questions: dict[TaskType, int]


_CHOICE, _ORDER, _SEVERAL = TaskType.MULTIPLE_CHOICE, TaskType.RANKING, TaskType.RETRIEVAL
_ENTITIES, _TEXT = TaskType.NAMED_ENTITY_RECOGNITION, TaskType.GENERATION

_EACH = (
    Limit(70 * 60, {_CHOICE: 8000, _SEVERAL: 854, _ENTITIES: 361, _TEXT: 1915}),
    Limit(20 * 60, {_CHOICE: 2851, _SEVERAL: 266}),
    Limit(30 * 60, {_CHOICE: 2453, _ORDER: 150, _SEVERAL: 610, _TEXT: 760}),
    Limit(20 * 60, {_CHOICE: 1395, _ORDER: 200, _TEXT: 784}),
)
_ALL = Limit(140 * 60, {kind: sum(limit.questions.get(kind, 0) for limit in _EACH) for kind in TaskType})

TRACKS = dict(zip(NAMES, (*_EACH, _ALL), strict=True))


def as_object(limit: Limit) -> dict[str, object]:
    """The limit as JSON has it."""
    return {
        "minutes": limit.seconds / 60,
        "questions": {kind.value: count for kind, count in limit.questions.items()},
    }


def from_object(value: object, place: str) -> Limit:
    """The limit that `as_object` wrote. Raises UserError with the place where it is none."""
    try:
        minutes = float(value["minutes"])  # type: ignore[index]
        questions = {TaskType(kind): int(count) for kind, count in value["questions"].items()}  # type: ignore[index]
        if not (0 < minutes < float("inf") and all(count >= 0 for count in questions.values())):
            raise ValueError("numbers below 0")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{place}: no time limit: {type(error).__name__} {error}. It has the form "
            '{"minutes": 70, "questions": {"multiple_choice": 8000, "generation": 1915}}'
        ) from None
    return Limit(60 * minutes, questions)
