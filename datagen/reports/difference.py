"""The difference of two runs: their rows by task, and by what these are made of, side by side."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datagen.console.text import heading, table
from datagen.recipe.model import Recipe
from datagen.reject_reasons import left_out
from datagen.reports.report import shares


def difference(runs: tuple[Path, Path], recipes: tuple[Recipe, Recipe], manifests: tuple[Any, Any]) -> str:
    """Tables of the tasks whose rows, rejects or best shortcuts differ, and of all shares."""
    names = [str(run) for run in runs]
    tasks = list(dict.fromkeys([*manifests[0]["tasks"], *manifests[1]["tasks"]]))
    facts = [[_facts(manifest["tasks"].get(task)) for manifest in manifests] for task in tasks]
    unlike = [(task, *_beside(*pair)) for task, pair in zip(tasks, facts, strict=True) if pair[0] != pair[1]]
    lines = [heading(f"{names[0]} beside {names[1]}")]
    if unlike:
        headers = ["task", "kept", "then", "left out", "then", "best shortcut", "then"]
        lines.append(table(headers, unlike))
    same = len(tasks) - len(unlike)
    lines.append(f"{same:,} of {len(tasks):,} tasks have the same numbers in both.")
    made = [shares(run, recipe) for run, recipe in zip(runs, recipes, strict=True)]
    for name in made[0]:
        lines.append(table([name, "rows", "then", "share", "then"], _shared(made[0][name], made[1][name])))
    return "\n\n".join(lines)


def _facts(task: Mapping[str, Any] | None) -> tuple[int, int, float | str]:
    """Rows kept, rows left out (not spare ones), best shortcut; nothing of a task that a run has not."""
    if task is None:
        return 0, 0, ""
    scores = [found["score"] for found in (task["shortcuts"] or {"found": []})["found"]]
    return sum(task["kept"].values()), left_out(task["rejected"]), max(scores, default="")


def _beside(ones: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    return [value for pair in zip(ones, others, strict=True) for value in pair]


def _shared(one: Mapping[str, int], other: Mapping[str, int]) -> list[list[Any]]:
    """Each label's rows in both, and their share of all, the most frequent first."""
    totals = [sum(counts.values()) or 1 for counts in (one, other)]
    labels = sorted({*one, *other}, key=lambda label: (-max(one.get(label, 0), other.get(label, 0)), label))
    rows: list[list[Any]] = []
    for label in labels:
        counts = [one.get(label, 0), other.get(label, 0)]
        rows.append(
            [label, *counts, *(f"{count / total:.1%}" for count, total in zip(counts, totals, strict=True))]
        )
    return rows
