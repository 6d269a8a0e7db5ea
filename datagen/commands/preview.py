"""Previews and plans of a recipe: a few of its rows, or their expected number, before a build.

Rows are sampled and rendered by the same functions as in a build, in a temporary folder. Only a build can
tell duplicates and rows that cross the split.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from datagen.console.progress import Say
from datagen.console.text import with_counts
from datagen.pipeline import steps
from datagen.pipeline.render import EXAMPLE, job_of, word
from datagen.pipeline.sampling import SIDES, Drawn, draw, quotas, with_spare
from datagen.pipeline.shared_tables import rows_read, shared, turns
from datagen.prompts.token_estimate import estimated_tokens
from datagen.recipe.model import Loaded, Recipe, Task
from datagen.recipe.narrow import tasks_named
from datagen.reports import shortcuts
from datagen.schema import REJECT
from datagen.sources.database import Seeds, open_seeds
from datagen.sources.query import columns_of
from datagen.tasks import TASKS, generation

SHORTCUT_ROWS = 500
"""Rows of each task whose shortcuts `preview` measures."""

PLAN_ROWS = 200
"""Rows of each task that `plan` looks at."""

SHARD_SHARE, SHARD_ROW = 0.3, 30
"""A shard's bytes for each byte of prompt and answer, as zstd packs what rows share, and for each id."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as a build would make it, and the grader's reading and score of its gold answer."""

    id: str
    side: str
    language: str
    wording: int
    prompt: str
    gold: str
    read: Any
    score: float


@dataclass(frozen=True, slots=True)
class TaskPreview:
    """Rows of one task; `rejects` are (key, reason) of those that were left out of `looked_at`.

    `details` tells of some keys in Jinja's words why their row cannot be rendered.
    """

    name: str
    task: Task
    looked_at: int
    rows: list[Row]
    rejects: list[tuple[str, str]]
    shortcuts: shortcuts.Measured | None
    details: dict[str, str]


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The expected rows of one task, by side. `looked_at` rows were tried, of which `share` passed.

    `tokens` and `size` (bytes of Parquet) are estimates for an average row.
    """

    name: str
    available: dict[str, int]
    wanted: dict[str, int]
    expected: dict[str, int]
    looked_at: int
    share: float
    tokens: float
    size: float
    reasons: Counter[str]

    @property
    def rows(self) -> int:
        """Rows to expect, train and test."""
        return sum(self.expected.values())


def preview(
    recipe: Loaded, seeds: Path, rows: int, task: str | None = None, *, say: Say = lambda text: None
) -> Iterator[TaskPreview]:
    """The first `rows` rows of every task, or of one; `say` is told of what is odd about the seeds.

    Raises UserError where the recipe has no such task.
    """
    names = tasks_named(recipe, task)
    wanted = {name: max(rows, min(SHORTCUT_ROWS, recipe.tasks[name].rows)) for name in names}
    for name, _, examples, rejects in worded(recipe, seeds, wanted, say):
        yield TaskPreview(
            name,
            recipe.tasks[name],
            examples.num_rows + rejects.num_rows,
            [_row(recipe.tasks[name], values) for values in examples.slice(0, rows).to_pylist()],
            list(zip(rejects["key"].to_pylist(), rejects["reason"].to_pylist(), strict=True)),
            _shortcuts(recipe.tasks[name], examples),
            {
                row["key"]: row["detail"]
                for row in rejects.select(["key", "detail"]).to_pylist()
                if row["detail"]
            },
        )


def plan(recipe: Loaded, seeds: Path, *, say: Say = lambda text: None) -> Iterator[TaskPlan]:
    """The expected rows of every task, from the count of its query's rows and a trial of some."""
    for name, drawn, examples, rejects in worded(recipe, seeds, dict.fromkeys(recipe.tasks, PLAN_ROWS), say):
        looked_at = examples.num_rows + rejects.num_rows
        share = examples.num_rows / looked_at if looked_at else 0.0
        wanted = quotas(recipe.tasks[name].rows, recipe.split.test, drawn.available)
        usable = {side: min(drawn.available[side], with_spare(wanted[side])) * share for side in SIDES}
        whole = pc.binary_join_element_wise(examples["prompt"], examples["answer"], "\n").combine_chunks()
        yield TaskPlan(
            *(name, drawn.available, wanted),
            {side: min(wanted[side], round(usable[side])) for side in SIDES},
            *(looked_at, share),
            _mean(pa.array([estimated_tokens(text) for text in whole.to_pylist()], pa.int64())),
            _mean(pc.binary_length(whole)) * SHARD_SHARE + SHARD_ROW,
            Counter(rejects["reason"].to_pylist()),
        )


def worded(
    recipe: Loaded, seeds: Path, wanted: Mapping[str, int], say: Say
) -> Iterator[tuple[str, Drawn, pa.Table, pa.Table]]:
    """Name, counts, examples and rejects of each task, from the rows that a build of so many would draw."""
    recipe, filled = steps.fill(recipe, seeds, Path("runs"), ask=False, say=say)
    wanted = {name: rows for name, rows in wanted.items() if name in recipe.tasks}
    with (
        open_seeds(
            *(recipe.sources, seeds, recipe.seed), tables=recipe.tables, filled=filled.tables, say=say
        ) as opened,
        tempfile.TemporaryDirectory(prefix="shoptalk-preview-") as folder,
    ):
        of_tasks = turns(opened, {name: recipe.tasks[name].query for name in wanted})
        for name, rows in wanted.items():
            with shared(opened, name, of_tasks[name]):
                found = _one(recipe, opened, name, rows, Path(folder) / "drawn.arrow")
                if not sum(found[0].available.values()):
                    say(f"{name}: {_dry(opened, name, recipe.tasks[name].query)}")
            yield name, *found


def _one(recipe: Recipe, opened: Seeds, name: str, rows: int, path: Path) -> tuple[Drawn, pa.Table, pa.Table]:
    sql = recipe.tasks[name].query
    columns = list(columns_of(opened.of(name), sql))
    drawn = draw(opened, name, sql, columns, rows, recipe.split.test, path)
    job = job_of(recipe, name)
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        batches = [word(reader.get_batch(i), job) for i in range(reader.num_record_batches)]
    none = (EXAMPLE.empty_table(), REJECT.empty_table())
    examples, rejects = (pa.concat_tables(tables) for tables in zip(none, *batches, strict=True))
    return drawn, examples.sort_by("id"), rejects.sort_by("key")


def _dry(opened: Seeds, task: str, sql: str) -> str:
    """What is known of a query that gives nothing: the tables that it reads may have no rows themselves."""
    counts = with_counts(rows_read(opened, task, sql))
    return f"its query gives no rows from these seeds. Rows of the tables that it reads: {counts}"


def _shortcuts(task: Task, examples: pa.Table) -> shortcuts.Measured | None:
    if generation.embeds(task.metric) or not examples.num_rows:
        return None
    prompts = examples["prompt"].to_pylist()
    return shortcuts.of_rows(task, prompts, examples["options"], examples["target"])


def _row(task: Task, values: dict[str, Any]) -> Row:
    module = TASKS[task.type]
    read = module.parse(values["answer"])
    score = module.score(read, json.loads(values["target"]), task.metric)
    same = {name: values[name] for name in ("id", "side", "language", "wording", "prompt")}
    return Row(**same, gold=values["answer"], read=read, score=score)


def _mean(values: pa.Array) -> float:
    return float(pc.mean(values).as_py() or 0.0)
