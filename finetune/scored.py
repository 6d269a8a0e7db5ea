"""The command `infer`, run in a process of its own, where training needs answers and scores.

The packages do not import each other: an engine that answers would stay in the memory of what trains.
"""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from datagen.errors import UserError

FEWEST = 10
"""Of fewer scored questions a task, intervals are narrower than the truth: as `infer compare` has it."""


def infer(*words: object) -> str:
    """What a command of `infer` prints; its progress goes where ours does. Raises UserError if it fails."""
    told = list(map(str, words))
    done = subprocess.run(
        [sys.executable, "-m", "infer.cli", *told], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise UserError(
            f"`infer {' '.join(told)}` failed, as told above. The same command goes on from there"
        )
    return done.stdout


def counted(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """How many questions of how many tasks were scored, of the `tasks` of `infer compare --json`."""
    return {"questions": sum(task["n"] for task in tasks.values()), "tasks": len(tasks)}


def few(scored: Mapping[str, int]) -> str:
    """The words that so many questions are few; none where they are enough."""
    if scored["questions"] >= FEWEST * scored["tasks"]:
        return ""
    return f"{scored['questions']:,} questions of {scored['tasks']} tasks are few"
