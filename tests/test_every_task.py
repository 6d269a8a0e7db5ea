"""Every task of every recipe that ships, on the sample: its rows keep what each kind of row promises.

Recipes are found in their folder: a new one is tested without a line here.
"""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datagen.classify.task_type import Guess, classify
from datagen.pipeline.build import build
from datagen.prompts.token_estimate import estimated_tokens
from datagen.schema import TaskType
from datagen.sources.locate import find_seeds
from datagen.storage.manifest import read_manifest
from datagen.tasks import TASKS, generation
from infer.serve.constraints import constraint
from tests.conftest import all_tasks

FEWEST = 20
"""Rows that each task gives from the sample."""

LONGEST = 2048
"""Tokens of a prompt that the smallest models read."""

MISREAD = 0.05
"""The largest share of a task's questions whose type the classifier may miss."""

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def rows(everything: Path) -> Rows:
    """The rows of every task."""
    found: Rows = defaultdict(list)
    for row in pq.read_table(everything / "data").to_pylist():
        found[row["task"]].append(row)
    return found


def test_every_task_gives_rows(rows: Rows) -> None:
    few = {name: len(rows[name]) for name in all_tasks().tasks if len(rows[name]) < FEWEST}
    assert not few


def test_every_gold_answer_scores_one_and_its_constraint_admits_it(rows: Rows) -> None:
    wrong = []
    for name, of_task in rows.items():
        for row in of_task:
            module, answer = TASKS[TaskType(row["task_type"])], row["completion"][0]["content"]
            embeds = row["task_type"] == TaskType.GENERATION and generation.embeds(row["metric"])
            if (
                not embeds
                and module.score(module.parse(answer), json.loads(row["target"]), row["metric"]) != 1
            ):
                wrong.append((name, row["key"], answer))
    assert not wrong


def test_the_classifier_reads_every_task(rows: Rows) -> None:
    """The type, and so the constraint; what it is told of multiple choice is what ShopBench tells."""
    misread: dict[str, Counter[str]] = defaultdict(Counter)
    refused = []
    for name, of_task in rows.items():
        for row in of_task:
            choice = row["task_type"] == TaskType.MULTIPLE_CHOICE
            guess = classify(row["prompt"][-1]["content"], choice)
            if guess.task_type != row["task_type"]:
                misread[name][guess.task_type] += 1
            elif not admitted(guess, row["completion"][0]["content"]):
                refused.append((name, row["key"], row["completion"][0]["content"]))
    assert not {name: found for name, found in misread.items() if found.total() > MISREAD * len(rows[name])}
    assert len(refused) <= MISREAD * sum(map(len, rows.values())) / 10, refused


def admitted(guess: Guess, answer: str) -> bool:
    """Whether a model under the guess's constraint can give the answer.

    Retrievals are answered by three numbers, choices without the steps that may follow their number.
    """
    if guess.task_type is TaskType.MULTIPLE_CHOICE:
        answer = answer.partition("\n")[0]
    if guess.task_type is TaskType.RETRIEVAL:
        return set(map(int, answer.split(","))) <= set(guess.numbers)
    return constraint(guess).admits(answer)


def test_every_prompt_is_whole(rows: Rows) -> None:
    for name, of_task in rows.items():
        for row in of_task:
            prompt = row["prompt"][-1]["content"]
            assert not any(sign in prompt for sign in ("{{", "}}", "{%")), (name, row["key"])
            assert estimated_tokens(prompt) <= LONGEST, (name, row["key"])


def test_rows_are_accounted_for(everything: Path) -> None:
    for name, task in read_manifest(everything)["tasks"].items():
        drawn, kept = sum(task["drawn"].values()), sum(task["kept"].values())
        assert drawn == kept + sum(task["rejected"].values()), name


def test_the_same_bytes_from_several_workers(everything: Path, tmp_path: Path) -> None:
    build(all_tasks(), find_seeds("sample", {}, everything.parent), tmp_path, workers=2)
    assert read_manifest(tmp_path / "everything") == read_manifest(everything)
