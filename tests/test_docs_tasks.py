"""`docs/tasks.md` against the recipes: what every task asks, where from, and what of ShopBench it covers.

It is written from the recipes, docs/coverage.csv and a build of every task on the sample. After a change:

    REGENERATE=1 python -m pytest tests/test_docs_tasks.py
"""

import csv
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from datagen.recipe.load import load
from datagen.recipe.model import Recipe, Task
from datagen.recipe.narrow import steps_by_task
from datagen.schema import TaskType, Track
from datagen.storage.manifest import read_manifest
from tests.conftest import all_tasks

ROOT = Path(__file__).parents[1]
PAGE, COVERAGE = ROOT / "docs" / "tasks.md", ROOT / "docs" / "coverage.csv"

LONGEST = 700
"""Characters of an example's prompt."""


def covered() -> list[dict[str, str]]:
    """ShopBench's tasks, as its paper names them, each with the tasks that cover it or what is missing."""
    with COVERAGE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [list(headers), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return [f"| {' | '.join(line)} |" for line in lines]


def reasons(recipe: str) -> dict[str, str]:
    """Why a task's answers are right: the comment above it in the recipe's file."""
    text = (ROOT / "recipes" / f"{recipe}.yaml").read_text(encoding="utf-8")
    found = re.findall(r"((?:^  # ?.*\n)+)  (\w+):\n", text, re.MULTILINE)
    return {name: " ".join(line.strip(" #") for line in comment.splitlines()) for comment, name in found}


def page(recipe: Recipe, run: Path) -> str:
    """The page in Markdown."""
    manifest = read_manifest(run)["tasks"]
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in pq.read_table(run / "data").to_pylist():
        rows[row["task"]].append(row)
    lines = [
        "# The tasks",
        "",
        "Written by `tests/test_docs_tasks.py`, which also checks it. Rows and shortcuts are",
        "those of a small build from the sample, which is made up: they show the form, not a skill.",
        "",
        f"{len(recipe.tasks)} tasks in {len({name.partition('.')[0] for name in recipe.tasks})} recipes.",
        "",
        "## Types against tracks",
        "",
        *matrix(recipe),
        "",
        "## ShopBench's 57 tasks",
        "",
        *shopbench(),
    ]
    for name in dict.fromkeys(task.partition(".")[0] for task in recipe.tasks):
        lines += ["", f"## `{name}`", ""]
        why = reasons(name)
        for task, model in recipe.tasks.items():
            if task.startswith(f"{name}."):
                own = task.partition(".")[2]
                lines += [
                    "",
                    f"### {task}",
                    "",
                    why.get(own, ""),
                    "",
                    *told(task, model, manifest[task], rows[task]),
                ]
    lines += [
        *("", "## On a teacher's tables", ""),
        "These tasks join where a teacher or a ledger is at hand; [teacher.md](teacher.md) tells more.",
    ]
    for task, model in taught().items():
        name, _, own = task.partition(".")
        facts = f"{model.type.replace('_', ' ')}; {model.track.replace('_', ' ')}."
        lines += ["", f"### {task}", "", reasons(name)[own], "", facts]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def taught() -> dict[str, Task]:
    """The tasks that stand on tables of a teacher's."""
    names = [path.stem for path in sorted((ROOT / "recipes").glob("*.yaml"))]
    parts = [
        load(name) for name in names if "\ninclude:" not in (ROOT / "recipes" / f"{name}.yaml").read_text()
    ]
    return {
        f"{part.name}.{name}": task
        for part in parts
        for name, task in part.tasks.items()
        if steps_by_task(part)[name]
    }


def matrix(recipe: Recipe) -> list[str]:
    counts = Counter((task.type, task.track) for task in recipe.tasks.values())
    body = [
        [kind.replace("_", " "), *(str(counts[kind, track] or "") for track in Track)] for kind in TaskType
    ]
    return table(["", *(track.replace("_", " ") for track in Track)], body)


def shopbench() -> list[str]:
    body = []
    for row in covered():
        links = ", ".join(f"[{name}](#{name.replace('.', '')})" for name in row["covered_by"].split())
        body.append([row["skill"], row["task"], row["type"].replace("_", " "), links or "-", row["missing"]])
    done = [row for row in covered() if row["covered_by"]]
    whole = sum(not row["missing"] for row in done)
    by_teacher = sum({*row["covered_by"].split()} <= taught().keys() for row in done)
    head = (
        f"{whole} of {len(covered())} are covered, {len(done) - whole} more in part:"
        f" {len(done) - by_teacher} by tasks whose answers the seeds carry,"
        f" {by_teacher} by tasks on a teacher's tables alone."
    )
    return [head, "", *table(["skill", "task", "type", "covered by", "missing"], body)]


def told(name: str, task: Any, counted: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    """A task in some lines: what it is made of, and one of its rows."""
    sources = sorted({source for row in rows for source in row["source"]})
    languages = sorted({row["language"] for row in rows})
    found = (counted["shortcuts"] or {"found": []})["found"]
    score = max((shortcut["score"] for shortcut in found), default=None)
    example = min((row for row in rows if row["language"] == languages[0]), key=lambda row: row["id"])
    prompt = example["prompt"][-1]["content"]
    prompt = prompt if len(prompt) <= LONGEST else f"{prompt[:LONGEST].rstrip()} ..."
    facts = [
        task.type.replace("_", " "),
        task.track.replace("_", " "),
        f"from {', '.join(sources)}",
        f"in {', '.join(languages)}",
        f"best shortcut {score:.2f}" if score is not None else "shortcuts not scored",
    ]
    return ["; ".join(facts) + ".", "", "```text", prompt, f"=> {example['completion'][0]['content']}", "```"]


def test_the_page_is_that_of_the_recipes(everything: Path) -> None:
    written = page(all_tasks(), everything)
    if os.environ.get("REGENERATE"):
        PAGE.write_text(written, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == written, "write it anew: REGENERATE=1"


def test_shopbench_is_covered_by_tasks_that_are_there() -> None:
    tasks = all_tasks().tasks | taught()
    assert len(covered()) == 57
    for row in covered():
        names = row["covered_by"].split()
        assert names or row["missing"], row["task"]
        for name in names:
            assert name in tasks, f"{row['task']}: {name}"
            assert tasks[name].type == row["type"], f"{row['task']}: {name}"


def test_every_task_says_why_its_answers_are_right() -> None:
    silent = [
        name
        for name in [*all_tasks().tasks, *taught()]
        if not reasons(name.partition(".")[0]).get(name.partition(".")[2])
    ]
    assert not silent
