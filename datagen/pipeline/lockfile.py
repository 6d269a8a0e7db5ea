"""The lockfile of a run, `recipe.lock.yaml`: everything that shapes it.

It holds the recipe with every default, and hashes of its templates, seeds and evaluation files. Comparing
these tells whether the same run can be built again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from datagen.errors import UserError
from datagen.recipe.load import resolved
from datagen.recipe.model import Answer, Common, Extract, Loaded, Task, Teacher
from datagen.sources import SOURCES

LOCK = "recipe.lock.yaml"


def read_lock(run: Path) -> dict[str, Any]:
    """The content of a run's lockfile. Raises UserError where there is none, or one that cannot be read."""
    path = run / LOCK
    try:
        lock: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        recipe_of(lock)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Build the run again") from None
    except (yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not as the build wrote it ({str(error).splitlines()[0]}). Build the run again"
        ) from None
    return lock


def recipe_of(lock: Mapping[str, Any]) -> Loaded:
    """The recipe in the lockfile; a mixture comes resolved to its tasks."""
    data, teacher = lock["recipe"], lock.get("teacher") or {}
    common = Common.model_validate({name: data[name] for name in Common.model_fields if name in data})
    asked = Teacher(**{name: teacher[name] for name in ("model", "base_url", "judge") if name in teacher})
    return Loaded.model_construct(
        **(dict(common) | {"teacher": asked}),
        extract={name: Extract.model_validate(step) for name, step in data.get("extract", {}).items()},
        answer={name: Answer.model_validate(step) for name, step in data.get("answer", {}).items()},
        sources={
            name: SOURCES[name].Options.model_validate(options) for name, options in data["sources"].items()
        },
        tables=data.get("tables", {}),
        tasks={name: Task.model_validate(task) for name, task in data["tasks"].items()},
        groups=lock.get("groups", {}),
        left_out=lock.get("left_out", {}),
        replays=True,
    )


def changes(lock: Mapping[str, Any], seeds: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The templates and seeds that differ from those the run was built from, in words.

    `seeds` are hashes as `Seeds.hashes` gives them. Raises UserError where a template is gone.
    """
    return _other_files(lock, resolved(recipe_of(lock), seeds))


def replaces(run: Path, manifest: Mapping[str, Any] | None, lock: Mapping[str, Any]) -> str:
    """A warning: which run a build with this lock will replace, and why.

    `manifest` is that of the run that is there, None where it cannot be read.
    """
    rows = "its rows"
    if manifest is not None:
        rows = f"its {sum(sum(task['kept'].values()) for task in manifest['tasks'].values()):,} rows"
    try:
        why = "; ".join(_differences(read_lock(run), lock))
    except UserError:
        why = f"its {LOCK} cannot be read"
    return (
        f"{run}: {rows} are replaced when this build ends ({why}). "
        f"To keep them, stop it by Ctrl-C and build elsewhere: `datagen build {run.name} --runs try`"
    )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = []
    were, are = (sum(task["rows"] for task in lock["recipe"]["tasks"].values()) for lock in (old, new))
    if were != are:
        found.append(f"{were:,} were asked for, now {are:,}")
    if old.get("left_out") != new.get("left_out"):
        found.append("other sources or licences are left out")
    elif _without_rows(old["recipe"]) != _without_rows(new["recipe"]):
        found.append("the recipe has changed")
    found += _other_files(old, new)
    if (old.get("teacher") or {}) != (new.get("teacher") or {}):
        found.append("the teacher has written something else")
    if any(old.get(name) != new.get(name) for name in ("shoptalk", "made_with")):
        found.append("shoptalk or a library has changed")
    return found or ["its tasks share the rows otherwise"]


def _without_rows(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {**recipe, "tasks": {name: {**task, "rows": 0} for name, task in recipe["tasks"].items()}}


def _other_files(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The templates and seeds that differ between the two locks, in words."""
    found = [
        f"templates/{name} has changed"
        for name, digest in new["templates"].items()
        if digest != old["templates"].get(name, digest)
    ]
    found += [
        f"{name} has changed"
        for name, digest in new["evaluation"].items()
        if digest != old.get("evaluation", {}).get(name, digest)
    ]
    for source, tables in new["seeds"].items():
        built_from = old["seeds"].get(source, tables)
        both = sorted(tables.keys() | built_from.keys())  # a table may have lost its file, or got one
        others = [table for table in both if tables.get(table) != built_from.get(table)]
        if others:
            found.append(f"the seeds of {source} are others ({', '.join(others)})")
    return found
