"""ShopBench's scores: per task, task type and track, and over all, with bootstrap intervals.

A task's score is the mean of its questions' scores; micro F1 instead is counted over all of a task. A
track's and a task type's score is the mean of its tasks, and so is the score over all: every task weighs
the same, whatever its number of questions and its track. (ShopBench's published results fit a mean over
tasks, not one over tracks.)

An interval holds 95 of 100 bootstrap resamples: a task's questions are drawn anew with replacement, the
tasks stay. Tasks of one question are drawn among each other, as that one would always be drawn again; their
interval is rather too wide. It tells what another set of such questions might give, not what another training
might.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.questions import Asked
from datagen.tasks import TASKS, generation
from infer.scoring.parsers import GRADERS

Floats = npt.NDArray[np.float64]

RESAMPLES = 1000
SEED = 2024
POOLED = "micro f1"
_LARGEST_GAIN = 100
"""NDCG counts 2 to its power, which is no number from 1024 on."""
_LONGEST_NUMBER = 20
"""Digits of an option's number; Python refuses to convert thousands."""
_AT_ONCE = 4_000_000
"""Numbers drawn at a time: 32 MB."""


@dataclass(frozen=True, slots=True)
class Task:
    """The questions of one task that can be scored, as positions, and what they are scored by.

    `kind` is the task type of most of them; tasks of one name may mix types and metrics.
    """

    name: str
    kind: TaskType
    track: str
    metric: str
    pooled: bool
    places: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """The tasks that will be scored, and those left out: by reason, the tasks and their questions."""

    asked: Sequence[Asked]
    tasks: tuple[Task, ...]
    left_out: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Interval:
    """A score from 0 to 1 and where it lies in 95 of 100 resamples; `draws` are the resamples' scores."""

    score: float
    draws: Floats

    @property
    def low(self) -> float:
        """The 2.5th percentile of the resamples."""
        return float(np.percentile(self.draws, 2.5))

    @property
    def high(self) -> float:
        """The 97.5th percentile of the resamples."""
        return float(np.percentile(self.draws, 97.5))


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores by task, task type and track, and over all tasks; `values` are those of single questions.

    A single question of a pooled task has its own F1 as value. Values of what is not scored are NaN.
    """

    overall: Interval
    tracks: Mapping[str, Interval]
    task_types: Mapping[str, Interval]
    tasks: Mapping[str, Interval]
    values: Floats


def plan(asked: Sequence[Asked]) -> Plan:
    """Sort questions into tasks. Raises UserError where none can be scored."""
    left_out: dict[str, Counter[str]] = {}
    places: dict[str, list[int]] = {}
    no_model = _without_model({_metric(question) for question in asked if question.task_type})
    for place, question in enumerate(asked):
        name = _task(question)
        reason = _problem(question) or no_model.get(_metric(question))
        if reason:
            left_out.setdefault(reason, Counter())[name] += 1
        else:
            places.setdefault(name, []).append(place)
    if not places:
        reasons = "; ".join(f"{reason}: {sum(tasks.values())}" for reason, tasks in left_out.items())
        raise UserError(f"none of the {len(asked)} questions can be scored. {reasons}")
    names = sorted(places, key=_numbers_apart)
    return Plan(asked, tuple(_of_task(name, asked, places[name]) for name in names), left_out)


def _numbers_apart(name: str) -> list[str | tuple[int, str]]:
    """A sort key that puts `task2` before `task10`: texts and numbers in turn, numbers by their length."""
    parts = enumerate(re.split(r"([0-9]+)", name))
    return [(len(part.lstrip("0")), part.lstrip("0")) if number % 2 else part for number, part in parts]


def _task(question: Asked) -> str:
    """The task's name; where the source gives none, all questions of a type are one task."""
    return question.task or (question.task_type.value if question.task_type else "no name")


def _of_task(name: str, asked: Sequence[Asked], places: list[int]) -> Task:
    first = [asked[place] for place in places]
    kinds = Counter(question.task_type for question in first if question.task_type)
    metrics = {_metric(question) for question in first}
    return Task(
        name=name,
        kind=kinds.most_common(1)[0][0],
        track=Counter(question.track for question in first).most_common(1)[0][0],
        metric=", ".join(sorted(metrics)),
        pooled=metrics == {POOLED},
        places=np.array(places),
    )


def _metric(question: Asked) -> str:
    assert question.task_type
    return question.metric or TASKS[question.task_type].METRICS[0]


def _problem(question: Asked) -> str | None:
    """Why a question cannot be scored, None where it can."""
    if question.task_type is None:
        return "its task type is not given"
    if question.target is None:
        return "its right answer is not given"
    if _metric(question) not in TASKS[question.task_type].METRICS:
        return f"metric {question.metric} is none of {question.task_type.value}'s"
    if not _fits(question.task_type, _metric(question), question.target):
        return f"its right answer has another form than {question.task_type.value}'s"
    return None


def _fits(kind: TaskType, metric: str, target: Any) -> bool:
    if kind is TaskType.MULTIPLE_CHOICE:
        return _choice(target) is not None
    if kind is TaskType.GENERATION:
        several = "transformer" in metric and isinstance(target, list) and bool(target)
        return isinstance(target, str) or (several and all(isinstance(each, str) for each in target))
    if not (isinstance(target, list) and target):
        return False
    if kind is TaskType.RANKING:
        return all(_is_number(gain) and 0 <= gain <= _LARGEST_GAIN for gain in target)
    if kind is TaskType.RETRIEVAL:
        return all(_is_number(each) and isinstance(each, int) and each >= 0 for each in target)
    return all(isinstance(each, str) for each in target)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _choice(target: Any) -> int | None:
    """The number of the right option, which some files hold as text; -1 is how an unreadable answer reads."""
    if isinstance(target, str) and len(target) < _LONGEST_NUMBER and target.strip().isdecimal():
        return int(target)
    return target if isinstance(target, int) and not isinstance(target, bool) and target >= 0 else None


def _without_model(metrics: Iterable[str]) -> dict[str, str]:
    """The metrics whose model is not at hand, with what to do about it."""
    missing = {}
    for metric in sorted(set(metrics) & {"sent-transformer", "multilingual-sent-transformer"}):
        try:
            generation.score("a", "b", metric)
        except UserError as error:
            missing[metric] = str(error)
    return missing


def score(planned: Plan, answers: Sequence[str], grader: str = "shopbench") -> Scores:
    """Scores of one answer for each question; the missing answer is an empty text."""
    return scores(planned, [answers], grader)[0]


def task_scores(planned: Plan, sets: Sequence[Sequence[str]], grader: str) -> list[dict[str, float]]:
    """Each task's score by several sets of answers, without intervals."""
    tables = _tables(planned, sets, grader)
    found = {
        task.name: _task_score(task.pooled, tables[:, task.places].mean(axis=1)) for task in planned.tasks
    }
    return [{name: float(of_sets[place]) for name, of_sets in found.items()} for place in range(len(sets))]


def scores(planned: Plan, sets: Sequence[Sequence[str]], grader: str = "shopbench") -> list[Scores]:
    """Scores of several sets of answers, on the same resamples: draws of two may be subtracted."""
    tables = _tables(planned, sets, grader)
    found = {task.name: _intervals(task, tables[:, task.places]) for task in planned.tasks}
    return [
        Scores(
            overall=mean(planned.tasks, [found[task.name][of] for task in planned.tasks]),
            tracks=_grouped(planned.tasks, {task.name: task.track for task in planned.tasks}, found, of),
            task_types=_grouped(planned.tasks, {task.name: task.kind for task in planned.tasks}, found, of),
            tasks={task.name: found[task.name][of] for task in planned.tasks},
            values=tables[of, :, 0],
        )
        for of in range(len(sets))
    ]


def mean(tasks: Sequence[Task], intervals: Sequence[Interval]) -> Interval:
    """The mean of the tasks' scores, resampled alike."""
    scores = np.array([interval.score for interval in intervals])
    draws = np.array([interval.draws for interval in intervals])
    alone = [place for place, task in enumerate(tasks) if len(task.places) == 1]
    if len(alone) > 1:
        drawn = np.random.default_rng([SEED, len(alone)]).integers(0, len(alone), (len(alone), RESAMPLES))
        draws[alone] = scores[alone][drawn]
    return Interval(float(scores.mean()), draws.mean(axis=0))


def _grouped(
    tasks: Sequence[Task], groups: Mapping[str, str], found: Mapping[str, Sequence[Interval]], of: int
) -> dict[str, Interval]:
    members: dict[str, list[Task]] = {}
    for task in tasks:
        if groups[task.name]:
            members.setdefault(str(groups[task.name]), []).append(task)
    return {name: mean(each, [found[task.name][of] for task in each]) for name, each in members.items()}


def _tables(planned: Plan, sets: Sequence[Sequence[str]], grader: str) -> Floats:
    """For each set and question the score, and what micro F1 counts: hits, predictions, truths."""
    parsers, asked = GRADERS[grader], planned.asked
    tables = np.full((len(sets), len(asked), 4), np.nan)
    alike: dict[tuple[TaskType, str], list[int]] = {}
    for task in planned.tasks:
        for place in task.places.tolist():
            kind = asked[place].task_type
            assert kind
            alike.setdefault((kind, _metric(asked[place])), []).append(place)
    for (kind, metric), places in alike.items():
        values = [parsers[kind](answers[place]) for answers in sets for place in places]
        targets = [_target(asked[place]) for place in places] * len(sets)
        found = np.array(_values(kind, metric, values, targets))
        tables[:, places, 0] = found.reshape(len(sets), -1)
        if metric == POOLED:
            lengths = np.array(
                [(len(value), len(target)) for value, target in zip(values, targets, strict=True)]
            )
            hits = found * lengths.sum(axis=1) / 2  # a question's F1 is 2 hits / lengths
            tables[:, places, 1:] = np.column_stack([hits, lengths]).reshape(len(sets), -1, 3)
    return tables


def _target(asked: Asked) -> Any:
    return _choice(asked.target) if asked.task_type is TaskType.MULTIPLE_CHOICE else asked.target


def _values(kind: TaskType, metric: str, values: list[Any], targets: list[Any]) -> list[float]:
    if kind is TaskType.GENERATION:
        return generation.scores(values, targets, metric)
    return [TASKS[kind].score(value, target, metric) for value, target in zip(values, targets, strict=True)]


def _intervals(task: Task, tables: Floats) -> list[Interval]:
    """A task's score with its resamples, for each set of answers; `tables` is (sets, questions, 4)."""
    tables = tables if task.pooled else tables[..., :1]
    whole = _task_score(task.pooled, tables.mean(axis=1))
    count = len(task.places)
    rng = np.random.default_rng([SEED, zlib.crc32(task.name.encode())])
    draws = []
    step = max(_AT_ONCE // tables.size, 1)
    for start in range(0, RESAMPLES, step):
        drawn = rng.integers(0, count, size=(min(step, RESAMPLES - start), count))
        draws.append(_task_score(task.pooled, tables[:, drawn].mean(axis=2)))
    return [
        Interval(float(score), of) for score, of in zip(whole, np.concatenate(draws, axis=1), strict=True)
    ]


def _task_score(pooled: bool, means: Floats) -> Floats:
    """The task's score from its questions' mean counts; micro F1 is 2 hits / (predictions + truths)."""
    if not pooled:
        return means[..., 0]
    hits, predicted, truths = means[..., 1], means[..., 2], means[..., 3]
    return 2 * hits / (predicted + truths)  # there is a truth: no right answer is an empty list
