"""The history of one row of a run, as text: what `datagen show` prints.

It holds the seed row (the task's query, run again for its key), the query, the wording, the checks that
the row passed, its messages, and what the grader reads in the answer.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from datagen.commands.find_row import Found, find_row
from datagen.console.text import aside, block, heading
from datagen.errors import UserError
from datagen.paths import find
from datagen.pipeline import steps
from datagen.pipeline.lockfile import changes, read_lock, recipe_of
from datagen.pipeline.render import job_of, word
from datagen.pipeline.sampling import draw_one
from datagen.prompts.chat import chat
from datagen.prompts.template import load_template, reworded_path
from datagen.recipe.model import Loaded, Recipe
from datagen.reject_reasons import STAGES, explain, stage_of
from datagen.sources.database import open_seeds
from datagen.sources.query import columns_of
from datagen.storage.manifest import read_manifest
from datagen.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Origin:
    """A row's seed row, and the example that it becomes today, if any."""

    seed: dict[str, Any]
    example: dict[str, Any] | None


def show(run: Path, name: str, seeds: Path | None, task: str | None = None) -> str:
    """The history of the row with this id, beginning of an id, or key; `task` tells equal keys apart.

    `seeds` is where the run's seeds should lie; what needs them is left out, and said, where they are
    not there or others. Raises UserError where no row, or more than one, has the name.
    """
    read_manifest(run)
    lock = read_lock(run)
    recipe = recipe_of(lock)
    found = find_row(run, recipe, name, task)
    origin, notes = _origin(lock, recipe, found, seeds, run.parent)
    parts = [
        _decision(run, recipe, found),
        _seed_row(found, origin, notes),
        [heading("Query"), _indented(recipe.tasks[found.row["task"]].query)],
        *([heading(f"Table {name}"), _indented(sql)] for name, sql in _tables(recipe, found.row["task"])),
        _wording(recipe, found, origin),
        _passed(found.reason),
        _messages(recipe, found),
        _grade(recipe, found, origin),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _tables(recipe: Recipe, task: str) -> list[tuple[str, str]]:
    """The recipe's own tables behind a task's query, by the names that it writes, the nearest first."""
    scope = task.rpartition(".")[0]
    begin = f"{scope}." if scope else ""
    own = {name.removeprefix(begin): sql for name, sql in recipe.tables.items() if name.startswith(begin)}
    found: dict[str, str] = {}
    queries = [recipe.tasks[task].query]
    for query in queries:  # which grows
        for name, sql in own.items():
            if name not in found and re.search(rf"\b{name}\b", query):
                found[name] = sql
                queries.append(sql)
    return list(found.items())


def _origin(
    lock: dict[str, Any], recipe: Loaded, found: Found, seeds: Path | None, runs: Path
) -> tuple[Origin | None, list[str]]:
    """The row's origin, None where its seeds are not there, and a notice about it for the reader."""
    if seeds is None:
        return None, ["Its seeds are not where they were; name their place by --seeds to see it."]
    task, key = found.row["task"], found.row["key"]
    sql = recipe.tasks[task].query
    try:
        recipe, filled = steps.fill(recipe, seeds, runs, ask=False)
        if task not in recipe.tasks:
            return None, ["The tables that its teacher filled are no longer there: build it again."]
        with open_seeds(
            *(recipe.sources, seeds, recipe.seed), tables=recipe.tables, filled=filled.tables
        ) as opened:
            changed = changes(lock, opened.hashes())
            if any(change.startswith("the seeds") for change in changed):
                return None, [f"Not from {seeds}: {'; '.join(changed)}. Name the run's own by --seeds."]
            columns = list(columns_of(opened.of(task), sql))
            batch = draw_one(opened, task, sql, columns, recipe.split.test, key)
    except UserError as error:
        return None, [f"Its seeds cannot be read: {error}"]
    if not batch.num_rows:
        return None, ["The query gives this key no longer."]
    examples, _ = word(batch, job_of(recipe, task))
    example = examples.to_pylist()[0] if examples.num_rows else None
    return Origin(_read(batch), example), [f"Since the build, {change}." for change in changed]


def _read(batch: pa.RecordBatch) -> dict[str, Any]:
    """The first row; dates beyond Python's calendar, such as `infinity`, as nulls."""
    row: dict[str, Any] = {}
    for name in batch.schema.names:
        try:
            row[name] = batch.column(name)[0].as_py()
        except OverflowError:
            row[name] = None
    return row


def _decision(run: Path, recipe: Recipe, found: Found) -> list[str]:
    row = found.row
    task = recipe.tasks[row["task"]]
    name = row["id"] if found.reason is None else f"key {row['key']}"
    lines = [heading(f"{name} in {run}")]
    lines.append(block("task", f"{row['task']} ({task.type.value}, {task.track.value})"))
    if found.reason is None:
        lines.append(block("kept", f"in {found.side}: {found.file}, row {found.position} (from 0)"))
        return lines
    lines.append(block("left out", f"{found.reason}: {explain(found.reason)}"))
    if row["detail"] and stage_of(found.reason) in ("wording", "evaluation"):
        lines.append(block("caused by", row["detail"]))
    elif row["detail"]:
        lines.append(block("caused by", f"{row['detail']} (`datagen show {row['detail'][:12]} --run {run}`)"))
    lines.append(block("stored in", f"{found.file}, row {found.position} (from 0)"))
    return lines


def _seed_row(found: Found, origin: Origin | None, notes: list[str]) -> list[str]:
    stored = json.loads(found.row.get("seed") or "{}")
    seed = origin.seed if origin else {"key": found.row["key"], **stored}
    width = max(map(len, seed)) + 2
    lines = [block(name, _value(value), width) for name, value in seed.items()]
    return [heading("Seed row"), *lines, *(aside(f"  {note}") for note in notes)]


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(f"- {_value(item)}" for item in value)
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else str(value)


def _wording(recipe: Recipe, found: Found, origin: Origin | None) -> list[str]:
    example = origin.example if origin else None
    number = found.row["wording"] if found.reason is None else example["wording"] if example else None
    if number is None:
        return []
    name = recipe.tasks[found.row["task"]].template
    wordings = load_template(find("templates", name)).wordings
    if number >= len(wordings):
        return [heading("Wording"), f"  {number} of templates/{name}, which has only {len(wordings)} now"]
    wording = wordings[number]
    serves = f"for {wording.language} rows" if wording.language else "for rows of any language"
    file = reworded_path(Path(name)).as_posix() if wording.teacher else name
    place = f"  {number} (from 0) of {len(wordings)}, templates/{file} line {wording.line}, {serves}"
    if wording.teacher:
        place += f", by {wording.teacher}"
    return [heading("Wording"), place, _indented(wording.text)]


def _passed(reason: str | None) -> list[str]:
    stages, failed = list(STAGES), stage_of(reason) if reason else None
    reached = stages.index(failed) if failed else len(stages)
    lines = [heading("Checks")]
    for number, (stage, codes) in enumerate(STAGES.items()):
        if stage == failed:
            lines.append(block(stage, f"{reason}: {explain(reason or '')}", 12))
        else:
            state = "passed" if number < reached else "not reached"
            lines.append(block(stage, f"{state}  {aside(f'looks for {_few(list(codes))}')}", 12))
    return lines


def _few(codes: list[str]) -> str:
    return ", ".join(codes) if len(codes) <= 5 else f"{', '.join(codes[:3])} and {len(codes) - 3} more"


def _messages(recipe: Recipe, found: Found) -> list[str]:
    row = found.row
    if found.reason is None:
        messages = [*row["prompt"], *row["completion"]]
    elif row["prompt"]:
        messages = chat(recipe.tasks[row["task"]].type, row["prompt"])
        messages += [{"role": "assistant", "content": row["answer"]}]
    else:
        return []
    return [heading("Messages"), *(block(message["role"], message["content"]) for message in messages)]


def _grade(recipe: Recipe, found: Found, origin: Origin | None) -> list[str]:
    example = origin.example if origin else None
    kept = found.reason is None
    if not kept and not example:
        return []
    target = found.row["target"] if kept else example["target"] if example else ""
    answer = found.row["completion"][0]["content"] if kept else found.row["answer"]
    task = recipe.tasks[found.row["task"]]
    module = TASKS[task.type]
    read = module.parse(answer)
    lines = [
        *(
            heading("Grade"),
            block("metric", task.metric),
            block("target", target),
            block("read as", repr(read)),
        ),
        block("score", module.score(read, json.loads(target), task.metric)),
    ]
    if kept and origin:
        same = example is not None and example["prompt"] == found.row["prompt"][-1]["content"]
        lines.append(
            aside("  Worded again from its seeds: " + ("the same prompt." if same else "another prompt!"))
        )
    return lines


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip("\n").splitlines())
