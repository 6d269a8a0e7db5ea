"""The comparison of runs: one table and one page with their scores beside the best trivial answers.

Runs are compared on the questions that all of them were asked. Differences are judged on the same
resamples of questions (a paired bootstrap): two runs differ where 95 of 100 differences have one sign.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from datagen.console.text import table as aligned
from datagen.errors import UserError
from datagen.shopbench.questions import COPY, Asked, read_questions
from datagen.storage.files import full_disk
from infer import run_file
from infer.answers import Answers, read_answers
from infer.scoring.baselines import Trivial, best
from infer.scoring.score import Interval, Plan, Scores, plan, scores

SHOWN = 8
"""Questions on the page where the first run beats another, and as many where it is beaten."""
OF_A_TASK = 2
FEWEST = 10
"""Of fewer questions no difference is marked: resamples of two equal scores are all equal."""

_MARGIN = 0.5
"""A question's score differs so much where one run is called right and the other wrong."""
_LONGEST = 1200
"""Characters of a prompt on the page."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its name, what its `run.json` says, and its answers to the questions compared."""

    name: str
    about: dict[str, Any]
    answers: Answers


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison: the best trivial answers' score and each run's."""

    group: str
    name: str
    questions: int
    note: str
    trivial: Interval
    runs: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that the table and the page show."""

    planned: Plan
    runs: tuple[Run, ...]
    scores: tuple[Scores, ...]
    trivial: Trivial
    rows: tuple[Row, ...]
    only_some: int

    @property
    def heads(self) -> list[str]:
        """The heads of the columns: the best trivial answers, then each run."""
        return ["best trivial", *(run.name for run in self.runs)]


def compare(folders: Sequence[Path], grader: str = "shopbench") -> Comparison:
    """Score runs on their common questions, beside the best trivial answers.

    Raises UserError where a folder is no run, or where runs have no question in common.
    """
    each = [_asked(folder) for folder in folders]
    common = [question for question in each[0].values() if all(question.id in other for other in each[1:])]
    for folder, other in zip(folders, each, strict=True):
        if any(other[question.id].prompt != question.prompt for question in common):
            raise UserError(f"{folder} was asked other questions under the same ids than {folders[0]}")
    if not common:
        raise UserError(
            f"{' and '.join(map(str, folders))} have no question in common. "
            "Have them answer the same --questions"
        )
    planned = plan(common)
    names = _names(folders)
    runs = tuple(
        Run(name, run_file.read(folder), read_answers(folder, common))
        for name, folder in zip(names, folders, strict=True)
    )
    found = tuple(scores(planned, [run.answers.texts for run in runs], grader))
    trivial = best(planned, grader)
    only_some = max(map(len, each)) - len(common)
    return Comparison(planned, runs, found, trivial, tuple(_rows(planned, found, trivial)), only_some)


def _asked(folder: Path) -> dict[str, Asked]:
    if not (folder / COPY).is_file():
        raise UserError(f"{folder}: not a run of infer, as there is no {COPY} in it. `infer run` makes one")
    return {question.id: question for question in read_questions(folder)}


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, with as many of their parents as tell them apart."""
    paths = [folder.resolve().parts[1:] for folder in folders]
    tried = [["/".join(path[-length:]) for path in paths] for length in range(1, max(map(len, paths)) + 1)]
    return next((names for names in tried if len(set(names)) == len(names)), tried[0])


def _rows(planned: Plan, found: Sequence[Scores], trivial: Trivial) -> Iterator[Row]:
    def row(group: str, name: str, note: str, pick: Any, among: Sequence[Any]) -> Row:
        questions = sum(len(task.places) for task in among)
        return Row(group, name, questions, note, pick(trivial.scores), tuple(pick(each) for each in found))

    tasks = planned.tasks
    yield row("over all", "over all", f"{len(tasks)} tasks", lambda of: of.overall, tasks)
    for name in found[0].tracks:
        among = [task for task in tasks if task.track == name]
        yield row("track", name, f"{len(among)} tasks", lambda of, name=name: of.tracks[name], among)
    for name in found[0].task_types:
        among = [task for task in tasks if task.kind.value == name]
        how = trivial.how[name]
        yield row("task type", name, f"trivial: {how}", lambda of, name=name: of.task_types[name], among)
    for task in tasks:
        yield row("task", task.name, task.metric, lambda of, name=task.name: of.tasks[name], [task])


def differs(one: Interval, other: Interval) -> int:
    """1 where `other` is surely above `one`, -1 where it is below, 0 where the resamples do not agree."""
    low, high = np.percentile(other.draws - one.draws, [2.5, 97.5])
    return int(low > 0) - int(high < 0)


def verdicts(found: Comparison) -> list[str]:
    """The verdicts in words: against the trivial answers, and against the first run."""
    overall, *_ = found.rows
    lines = []
    for place, run in enumerate(found.runs):
        value = overall.runs[place]
        sign = differs(overall.trivial, value)
        verb = {1: "beats", 0: "does not beat", -1: "is worse than"}[sign]
        weak = [
            row.name
            for row in found.rows
            if row.group == "task type"
            and row.questions >= FEWEST
            and differs(row.trivial, row.runs[place]) < 1
        ]
        lines.append(
            f"{run.name} {verb} the best trivial answers over all: {brief(value)} "
            f"against {brief(overall.trivial)}"
            + (f"; it does not beat them in {', '.join(weak)}" if weak else "")
        )
    for place, run in enumerate(found.runs[1:], start=1):
        verb = {1: "is better than", 0: "cannot be told from", -1: "is worse than"}[
            differs(overall.runs[0], overall.runs[place])
        ]
        lines.append(
            f"{run.name} {verb} {found.runs[0].name} over all: "
            f"{brief(change(overall.runs[0], overall.runs[place]), sign=True)}"
        )
    return lines


def change(one: Interval, other: Interval) -> Interval:
    """How much `other` is above `one`, on the same resamples."""
    return Interval(other.score - one.score, other.draws - one.draws)


def brief(interval: Interval, sign: bool = False) -> str:
    """A score with its interval: `0.353 [0.29, 0.42]`."""
    plus = "+" if sign else ""
    return f"{interval.score:{plus}.3f} [{interval.low:{plus}.2f}, {interval.high:{plus}.2f}]"


def notices(found: Comparison) -> list[str]:
    """Notices for the reader: questions left out, answers that are missing."""
    lines = []
    if found.only_some:
        lines.append(
            f"compared on the {len(found.planned.asked):,} questions that all were asked; "
            f"some had {found.only_some:,} more"
        )
    for run in found.runs:
        if run.answers.missing:
            lines.append(
                f"{run.name}: {run.answers.missing:,} questions have no answer: each counts as empty"
            )
    for reason, tasks in found.planned.left_out.items():
        names = ", ".join(f"{name} ({count:,})" for name, count in tasks.items())
        lines.append(f"not scored: {names}, as {reason}")
    overall, tasks_scored = found.rows[0], len(found.planned.tasks)
    if overall.questions < FEWEST * tasks_scored:
        lines.append(
            f"{overall.questions:,} questions of {tasks_scored} tasks are few: true intervals are wider"
        )
    return lines


def table(found: Comparison) -> str:
    """The comparison as text; `+` and `-` mark what is above and below the first run, `=` what is no better
    than the trivial answers."""
    rows: list[list[Any]] = []
    group = "over all"
    for row in found.rows:
        if row.group != group:
            rows.append([])
            group = row.group
        runs = [f"{brief(value)} {mark(row, place)}" for place, value in enumerate(row.runs)]
        rows.append([row.name, row.questions, brief(row.trivial), *runs])
    lines = [aligned(["", "n", *found.heads], rows)]
    lines += ["", "= no better than the best trivial answers"]
    if len(found.runs) > 1:
        lines[-1] += f"; + better, - worse than {found.runs[0].name}"
    lines[-1] += f" (not marked where there are fewer than {FEWEST} questions)"
    return "\n".join([*lines, "", *verdicts(found)])


def as_object(found: Comparison) -> dict[str, Any]:
    """The comparison as one JSON object, unrounded: by name, the best trivial answers and each run.

    `changes` is how much a run scores over all above each of the others, on the same resamples.
    """

    def interval(of: Interval) -> dict[str, float]:
        return {"score": of.score, "low": of.low, "high": of.high}

    every = [found.trivial.scores, *found.scores]
    return {
        name: {
            "overall": interval(of.overall),
            "tracks": {track: interval(value) for track, value in of.tracks.items()},
            "task_types": {kind: interval(value) for kind, value in of.task_types.items()},
            "tasks": {
                task.name: {**interval(of.tasks[task.name]), "n": len(task.places), "metric": task.metric}
                for task in found.planned.tasks
            },
            "changes": {
                other: interval(change(than.overall, of.overall))
                for other, than in zip(found.heads, every, strict=True)
                if other != name
            },
        }
        for name, of in zip(found.heads, every, strict=True)
    }


def mark(row: Row, place: int) -> str:
    """How a run's score stands to the trivial answers' and to the first run's."""
    if row.questions < FEWEST:
        return ""
    against_first = {1: "+", 0: "", -1: "-"}[differs(row.runs[0], row.runs[place])] if place else ""
    return against_first + ("=" if differs(row.trivial, row.runs[place]) < 1 else "")


def page(found: Comparison) -> str:
    """The comparison as one page of HTML that needs nothing else."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"words": lambda name: name.replace("_", " "), "count": "{:,}".format}
    source = (Path(__file__).parent / "compare.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        runs=found.runs,
        rows=found.rows,
        names=found.heads,
        verdicts=verdicts(found),
        notices=notices(found),
        fewest=FEWEST,
        mark=mark,
        brief=brief,
        pairs=[_pair(found, place) for place in range(1, len(found.runs))],
    )


def write_page(found: Comparison, place: Path) -> None:
    """Write the page. Raises UserError where that cannot be done."""
    text = page(found)
    try:
        with full_disk(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{place}: cannot be written ({error.strerror}). Name another place by --page"
        ) from None


def _pair(found: Comparison, place: int) -> dict[str, Any]:
    """Questions that only the first run or only another answers right: their number, and some examples."""
    gap = found.scores[place].values - found.scores[0].values
    sides = []
    for title, of in (
        (f"{found.runs[0].name} right, {found.runs[place].name} wrong", -gap),
        (f"{found.runs[place].name} right, {found.runs[0].name} wrong", gap),
    ):
        places = [
            int(at) for at in np.argsort(-np.nan_to_num(of, nan=-1.0), kind="stable") if of[at] >= _MARGIN
        ]
        sides.append({"title": title, "count": len(places), "shown": _shown(found, places)})
    return {"name": found.runs[place].name, "sides": sides}


def _shown(found: Comparison, places: Sequence[int]) -> list[dict[str, Any]]:
    task_of = {int(at): task for task in found.planned.tasks for at in task.places}
    seen: dict[str, int] = {}
    shown: list[dict[str, Any]] = []
    for at in places:
        name = task_of[at].name
        seen[name] = seen.get(name, 0) + 1
        if seen[name] <= OF_A_TASK and len(shown) < SHOWN:
            asked = found.planned.asked[at]
            cut = asked.prompt if len(asked.prompt) <= _LONGEST else asked.prompt[:_LONGEST] + " ..."
            answers = [
                (run.name, run.answers.texts[at], float(of.values[at]))
                for run, of in zip(found.runs, found.scores, strict=True)
            ]
            gold = (
                asked.target
                if isinstance(asked.target, str)
                else json.dumps(asked.target, ensure_ascii=False)
            )
            shown.append({"id": asked.id, "task": name, "prompt": cut, "gold": gold, "answers": answers})
    return shown
