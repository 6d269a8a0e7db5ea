"""A finished run in, the recipe that it was built from out, and what has changed since.

`recipe.lock.yaml` holds all that shapes a run: the recipe with every default, and hashes of its
templates and seed files. Whether the same can be built again is a question of comparing these.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from datagen.errors import UserError
from datagen.recipe import resolved
from datagen.recipe_model import Common, Recipe, Task
from datagen.sources import SOURCES

LOCK = "recipe.lock.yaml"


def read_lock(run: Path) -> dict[str, Any]:
    """What the lock file of a run holds. Raises UserError where there is none, or one that cannot be read."""
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


def recipe_of(lock: Mapping[str, Any]) -> Recipe:
    """The recipe that the lock holds, a mixture as the tasks it came to."""
    data = lock["recipe"]
    common = Common.model_validate({name: data[name] for name in Common.model_fields})
    return Recipe.model_construct(
        **dict(common),
        sources={
            name: SOURCES[name].Options.model_validate(options) for name, options in data["sources"].items()
        },
        tasks={name: Task.model_validate(task) for name, task in data["tasks"].items()},
    )


def changes(lock: Mapping[str, Any], seeds: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Which templates and seeds are others than the run was built from, in words.

    `seeds` are hashes as `Seeds.hashes` gives them. Raises UserError where a template is gone.
    """
    templates = resolved(recipe_of(lock), seeds)["templates"]
    found = [
        f"templates/{name} has changed"
        for name, digest in templates.items()
        if digest != lock["templates"][name]
    ]
    for source, tables in seeds.items():
        built_from = lock["seeds"][source]
        others = [table for table, digest in tables.items() if digest != built_from.get(table)]
        if others:
            found.append(f"the seeds of {source} are others ({', '.join(others)})")
    return found
