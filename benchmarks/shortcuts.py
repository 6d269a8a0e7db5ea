"""What answers others' questions without skill: the shortcuts that a build measures, of files of questions.

    make bench NAME=shortcuts QUESTIONS="questions.jsonl runs/esci_mcq"

Beside a build's own figures it tells whether a task gives away more than real questions do. By task, and by
task type ("all"). Lists are read off the prompts; questions are left out where that fails. With few questions
the best of many shortcuts is well above chance by luck alone. The last line is JSON.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from datagen.console.text import table
from datagen.errors import UserError
from datagen.prompts.cloze import CHOICES
from datagen.prompts.options import listed
from datagen.reports.shortcuts import FAMILIES, Measured, measured
from datagen.schema import TaskType
from datagen.shopbench.questions import Asked, read_questions
from datagen.tasks import TASKS, generation


def shortcuts_of(asked: list[Asked]) -> tuple[Measured | None, int]:
    """The shortcuts of questions of one type and metric, and how many of these were left out."""
    kind, metric = asked[0].task_type, asked[0].metric
    if kind is None or metric not in TASKS[kind].METRICS or generation.embeds(metric):
        return None, len(asked)
    outside: list[str] = []
    choices: list[list[str]] = []
    targets: list[str] = []
    for question in asked:
        found = listed(question.prompt)
        target = _as_counted(kind, found.numbers, question.target) if kind in CHOICES else question.target
        if target is not None:
            outside.append(found.outside if kind in CHOICES else question.prompt)
            choices.append(list(found.texts) if kind in CHOICES else [])
            targets.append(json.dumps(target, ensure_ascii=False))
    if not outside:
        return None, len(asked)
    texts = pa.chunked_array([choices], pa.list_(pa.string()))
    found_here = measured(kind, metric, outside, texts, pa.chunked_array([targets], pa.string()))
    return found_here, len(asked) - len(outside)


def _as_counted(kind: TaskType, numbers: tuple[int, ...], target: Any) -> Any:
    """The target for a list that is numbered as ours are; None where it names what is not listed."""
    if kind is TaskType.RANKING:
        return target if len(target) == len(numbers) > 1 and max(target) > 0 else None
    named = target if isinstance(target, list) else [target]
    if not named or not all(type(number) is int and number in numbers for number in named):
        return None
    places = [numbers.index(number) for number in named]
    return places[0] if kind is TaskType.MULTIPLE_CHOICE else [place + 1 for place in places]


def report(place: str, asked: list[Asked]) -> dict[str, float]:
    """Print a table of one file; the best score of each of its tasks and types."""
    groups = defaultdict(list)
    for question in asked:
        if question.task_type is not None:
            groups[question.task, question.task_type, question.metric].append(question)
            groups["all", question.task_type, question.metric].append(question)
    rows, best = [], {}
    for (task, kind, metric), of_group in sorted(groups.items()):
        found, left_out = shortcuts_of(of_group)
        if found is None:
            rows.append([task, metric, 0, left_out, "", "", *[""] * len(FAMILIES)])
            continue
        by_family = {shortcut.family: shortcut for shortcut in found.found}
        cells = [
            f"{of.score:.2f} {of.how[:28]}" if (of := by_family.get(family)) else "" for family in FAMILIES
        ]
        options = "-".join(map(str, sorted(set(found.options)))) if kind in CHOICES else ""
        chance = f"{found.chance:.2f}" if found.chance else ""
        rows.append([task, metric, found.rows, left_out, options, chance, *cells])
        best[f"{task}, {metric}"] = found.found[0].score
    print(place)
    print(table(["task", "metric", "rows", "left out", "options", "chance", *FAMILIES], rows))
    return best


def main() -> None:
    """Measure each file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", action="append", type=Path, required=True, metavar="FILE")
    try:
        found = {
            str(place): report(str(place), read_questions(place)) for place in parser.parse_args().questions
        }
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
